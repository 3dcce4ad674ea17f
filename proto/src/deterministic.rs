//! Encoding that gives equal bytes for equal messages.
//!
//! The generated messages keep maps in `HashMap`s, whose order differs from one instance to the next, and
//! so would their encoded bytes and every version that is a hash of them. Here the entries of each map
//! are sorted after the fact, in the encoded bytes, where the descriptors say that a map can occur.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use prost::encoding::{WireType, decode_key, decode_varint, encode_key, encode_varint};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::descriptors;

/// Encodes a message so that equal messages give equal bytes.
///
/// What an `Any` inside the message holds is taken as it is: [`pack`](crate::pack) made it deterministic.
/// A message that the pinned Envoy does not know is encoded as it comes.
pub fn encode<M: prost::Name>(message: &M) -> Vec<u8> {
    sort_maps(&M::full_name(), message.encode_to_vec())
}

/// Sorts the entries of all maps in an encoded message.
pub(crate) fn sort_maps(message: &str, bytes: Vec<u8>) -> Vec<u8> {
    match SHAPES.get(message) {
        // Bytes that do not parse stay what they are; whoever reads them will say so.
        Some(shape) => sorted(shape, &bytes).unwrap_or(bytes),
        None => bytes,
    }
}

/// The fields of a message that are maps or lead to maps, by number.
type Shape = HashMap<u32, Field>;

struct Field {
    /// The message type of the field; of a map, that of its entries.
    message: String,
    is_map: bool,
}

/// The messages in which a map can occur, by full name.
static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let messages: Vec<_> = descriptors::pool().all_messages().collect();
    let reaching = messages_reaching_maps(&messages);
    let shape = |message: &MessageDescriptor| -> Shape {
        message
            .fields()
            .filter_map(|field| {
                let target = target(&field)?;
                let is_map = field.is_map();
                (is_map || reaching.contains(target.full_name()))
                    .then(|| (field.number(), Field { message: target.full_name().to_owned(), is_map }))
            })
            .collect()
    };
    messages
        .iter()
        .filter(|message| reaching.contains(message.full_name()))
        .map(|message| (message.full_name().to_owned(), shape(message)))
        .collect()
});

/// The names of the messages that have a map, or a field whose message is such a one.
fn messages_reaching_maps(messages: &[MessageDescriptor]) -> HashSet<String> {
    let mut users: HashMap<String, Vec<&str>> = HashMap::new();
    let mut pending = Vec::new();
    for message in messages {
        for field in message.fields() {
            if let Some(target) = target(&field) {
                users.entry(target.full_name().to_owned()).or_default().push(message.full_name());
            }
            if field.is_map() {
                pending.push(message.full_name());
            }
        }
    }
    let mut reaching = HashSet::new();
    while let Some(name) = pending.pop() {
        if reaching.insert(name.to_owned()) {
            pending.extend(users.get(name).into_iter().flatten());
        }
    }
    reaching
}

fn target(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) => Some(message),
        _ => None,
    }
}

/// Copies an encoded message with the entries of its maps in the order of their bytes; `None` when it
/// does not parse.
fn sorted(shape: &Shape, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    // The entries of the map that is being read: prost writes them one after the other.
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut map = None;
    let mut rest = bytes;
    while !rest.is_empty() {
        let (number, field, after) = split_field(rest)?;
        rest = after;
        if map != Some(number) {
            flush(&mut map, &mut entries, &mut out);
        }
        match shape.get(&number) {
            None => out.extend_from_slice(field),
            Some(step) => {
                let content = sorted_content(&step.message, content(field)?)?;
                if step.is_map {
                    map = Some(number);
                    entries.push(content);
                } else {
                    push_message(number, &content, &mut out);
                }
            }
        }
    }
    flush(&mut map, &mut entries, &mut out);
    Some(out)
}

fn sorted_content(message: &str, content: &[u8]) -> Option<Vec<u8>> {
    SHAPES.get(message).map_or_else(|| Some(content.to_vec()), |shape| sorted(shape, content))
}

fn flush(map: &mut Option<u32>, entries: &mut Vec<Vec<u8>>, out: &mut Vec<u8>) {
    entries.sort();
    let entries = entries.drain(..);
    if let Some(number) = map.take() {
        entries.for_each(|entry| push_message(number, &entry, out));
    }
}

fn push_message(number: u32, content: &[u8], out: &mut Vec<u8>) {
    encode_key(number, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

/// The number of the first field, its bytes with the key, and what follows it.
fn split_field(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let mut rest = bytes;
    let (number, wire_type) = decode_key(&mut rest).ok()?;
    let skip = match wire_type {
        WireType::Varint => {
            decode_varint(&mut rest).ok()?;
            0
        }
        WireType::SixtyFourBit => 8,
        WireType::ThirtyTwoBit => 4,
        WireType::LengthDelimited => usize::try_from(decode_varint(&mut rest).ok()?).ok()?,
        // Groups are not part of proto3.
        WireType::StartGroup | WireType::EndGroup => return None,
    };
    let after = rest.get(skip..)?;
    let field = bytes.get(..bytes.len() - after.len())?;
    Some((number, field, after))
}

/// The content of a length-delimited field.
fn content(field: &[u8]) -> Option<&[u8]> {
    let mut rest = field;
    let (_, wire_type) = decode_key(&mut rest).ok()?;
    (wire_type == WireType::LengthDelimited).then_some(())?;
    decode_varint(&mut rest).ok()?;
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Metadata;
    use crate::{cluster::Cluster, endpoint, pack, struct_value, wkt};
    use prost::Message as _;

    fn metadata(keys: impl Iterator<Item = u32>) -> Metadata {
        let fields = || serde_json::Map::from_iter((0..9).map(|n| (format!("f{n}"), n.into())));
        let entry = |n: u32| (format!("key-{n}"), struct_value(fields()));
        Metadata { filter_metadata: keys.map(entry).collect(), ..Default::default() }
    }

    fn cluster(keys: impl Iterator<Item = u32>) -> Cluster {
        Cluster { name: "a".to_owned(), metadata: Some(metadata(keys)), ..Default::default() }
    }

    #[test]
    fn equal_messages_with_maps_give_equal_bytes() {
        let (up, down) = (cluster(0..20), cluster((0..20).rev()));
        assert_eq!(up, down);
        assert_eq!(encode(&up), encode(&down));
    }

    #[test]
    fn maps_are_sorted_in_lists_in_map_values_and_before_packing() {
        let endpoint = |keys| endpoint::LbEndpoint { metadata: Some(keys), ..Default::default() };
        let assignment = |reverse: bool| {
            let keys = || if reverse { metadata((0..20).rev()) } else { metadata(0..20) };
            let locality = endpoint::LocalityLbEndpoints {
                lb_endpoints: vec![endpoint(keys()), endpoint(keys())],
                ..Default::default()
            };
            endpoint::ClusterLoadAssignment { endpoints: vec![locality], ..Default::default() }
        };
        assert_eq!(pack(&assignment(false)), pack(&assignment(true)));
    }

    #[test]
    fn nothing_but_the_order_changes() {
        let cluster = cluster(0..20);
        let bytes = encode(&cluster);
        assert_eq!(bytes.len(), cluster.encoded_len());
        assert_eq!(Cluster::decode(bytes.as_slice()), Ok(cluster));
    }

    #[test]
    fn a_message_without_maps_is_encoded_as_it_comes() {
        let value = wkt::UInt32Value { value: 5 };
        assert_eq!(encode(&value), value.encode_to_vec());
    }

    #[test]
    fn bytes_that_do_not_parse_stay_what_they_are() {
        let bytes = b"\x0a\x7fshort".to_vec();
        assert_eq!(sort_maps("envoy.config.cluster.v3.Cluster", bytes.clone()), bytes);
    }
}
