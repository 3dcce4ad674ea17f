//! Dynamic metadata as Envoy takes it in one call: a serialized `google.protobuf.Struct`.
//!
//! One call for each value would cost Envoy more than the rest of what is done to a metered request. What is written is four of
//! protobuf's rules, which do not change: `Struct.fields` is field 1, a map, so each entry is a message with the name
//! in field 1 and the value in field 2; a `Value` has the enum of null in field 1, a number in field 2, a text in field 3, a truth value in field 4, a
//! `Struct` in field 5, a list in field 6; a `ListValue` has its values in field 1.

/// The tag of a field that is a message, a text or a map's entry.
const fn bytes_tag(field: u8) -> u8 {
    field << 3 | 2
}

/// The tag of `Value.number_value`: field 2, eight bytes.
const NUMBER_TAG: u8 = 2 << 3 | 1;

/// The tag of `Value.null_value`: field 1, a varint.
const NULL_TAG: u8 = 1 << 3;

/// The tag of `Value.bool_value`: field 4, a varint.
const BOOL_TAG: u8 = 4 << 3;

/// Values under their names, serialized.
#[derive(Debug, Default)]
pub struct Metadata(Vec<u8>);

impl Metadata {
    /// With room for what an attempt usually comes to.
    pub fn new() -> Self {
        Self(Vec::with_capacity(512))
    }

    /// The serialized `Struct`.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values that these do not hold already under the same names.
    #[must_use]
    pub fn without(&self, known: &Self) -> Self {
        let mut news = Self(Vec::with_capacity(self.0.len()));
        let is_news = |entry: &&[u8]| !known.entries().any(|known| known == *entry);
        self.entries().filter(is_news).for_each(|entry| news.0.extend_from_slice(entry));
        news
    }

    /// The entries of the map, serialized.
    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let mut length = 0;
            let mut head = 1;
            for byte in rest.get(1..)? {
                length |= usize::from(byte & 0x7f) << (7 * (head - 1));
                head += 1;
                if byte & 0x80 == 0 {
                    break;
                }
            }
            let (entry, after) = rest.split_at_checked(head + length)?;
            rest = after;
            Some(entry)
        })
    }

    /// Adds a text.
    pub fn text(&mut self, name: &str, value: &str) {
        self.entry(name, message_length(value.len()));
        self.0.push(bytes_tag(3));
        self.varint(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    /// Adds a number.
    #[allow(clippy::cast_precision_loss, reason = "token counts are far below 2^52")]
    pub fn number(&mut self, name: &str, value: u64) {
        self.entry(name, 9);
        self.0.push(NUMBER_TAG);
        self.0.extend_from_slice(&(value as f64).to_le_bytes());
    }

    /// Adds a truth value.
    pub fn truth(&mut self, name: &str, value: bool) {
        self.entry(name, 2);
        self.0.extend_from_slice(&[BOOL_TAG, u8::from(value)]);
    }

    /// Adds that there is no value. It takes the place of one that was written before.
    pub fn null(&mut self, name: &str) {
        self.entry(name, 2);
        self.0.extend_from_slice(&[NULL_TAG, 0]);
    }

    /// Adds a list of structs.
    pub fn structs(&mut self, name: &str, items: &[Self]) {
        let items: Vec<_> = items.iter().map(Self::as_bytes).collect();
        self.list(name, 5, &items);
    }

    /// Adds a list of texts.
    pub fn texts(&mut self, name: &str, items: &[&str]) {
        let items: Vec<_> = items.iter().map(|item| item.as_bytes()).collect();
        self.list(name, 3, &items);
    }

    /// Adds a list of values that stand in this field of `Value`, serialized.
    fn list(&mut self, name: &str, field: u8, items: &[&[u8]]) {
        let value = |item: &[u8]| message_length(item.len());
        let list: usize = items.iter().map(|item| message_length(value(item))).sum();
        self.entry(name, message_length(list));
        self.0.push(bytes_tag(6));
        self.varint(list);
        for item in items {
            self.0.push(bytes_tag(1));
            self.varint(value(item));
            self.0.push(bytes_tag(field));
            self.varint(item.len());
            self.0.extend_from_slice(item);
        }
    }

    /// The beginning of an entry whose value is a message of this length, which comes next.
    fn entry(&mut self, name: &str, value: usize) {
        self.0.push(bytes_tag(1));
        self.varint(message_length(name.len()) + message_length(value));
        self.0.push(bytes_tag(1));
        self.varint(name.len());
        self.0.extend_from_slice(name.as_bytes());
        self.0.push(bytes_tag(2));
        self.varint(value);
    }

    fn varint(&mut self, value: usize) {
        push_varint(&mut self.0, value as u64);
    }
}

/// Writes a number as protobuf does, seven bits at a time.
pub(crate) fn push_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// How long a field is whose value has this length.
fn message_length(value: usize) -> usize {
    1 + varint_length(value) + value
}

fn varint_length(value: usize) -> usize {
    let bits = (usize::BITS - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_protobuf_writes() {
        let mut metadata = Metadata::new();
        metadata.text("a", "xy");
        metadata.number("n", 3);
        metadata.truth("b", true);
        metadata.null("z");
        let expected: &[&[u8]] = &[
            b"\x0a\x09\x0a\x01a\x12\x04\x1a\x02xy",
            b"\x0a\x0e\x0a\x01n\x12\x09\x11\0\0\0\0\0\0\x08\x40",
            b"\x0a\x07\x0a\x01b\x12\x02\x20\x01",
            b"\x0a\x07\x0a\x01z\x12\x02\x08\0",
        ];
        assert_eq!(metadata.as_bytes(), expected.concat());
    }

    #[test]
    fn lists_are_what_protobuf_writes() {
        let item = |name: &str| {
            let mut item = Metadata::new();
            item.text("n", name);
            item
        };
        let mut metadata = Metadata::new();
        metadata.structs("l", &[item("x"), item("y")]);
        metadata.structs("e", &[]);
        metadata.texts("t", &["a", ""]);
        let expected: &[&[u8]] = &[
            b"\x0a\x23\x0a\x01l\x12\x1e\x32\x1c",
            b"\x0a\x0c\x2a\x0a\x0a\x08\x0a\x01n\x12\x03\x1a\x01x",
            b"\x0a\x0c\x2a\x0a\x0a\x08\x0a\x01n\x12\x03\x1a\x01y",
            b"\x0a\x07\x0a\x01e\x12\x02\x32\0",
            b"\x0a\x10\x0a\x01t\x12\x0b\x32\x09\x0a\x03\x1a\x01a\x0a\x02\x1a\0",
        ];
        assert_eq!(metadata.as_bytes(), expected.concat());
    }

    #[test]
    fn what_is_known_is_left_out() {
        let metadata = |model: &str, tokens: u64, long: usize| {
            let mut metadata = Metadata::new();
            metadata.text("model", model);
            metadata.null("z");
            metadata.text("long", &"x".repeat(long));
            metadata.number("tokens", tokens);
            metadata
        };
        let mut of_one = Metadata::new();
        of_one.number("tokens", 7);
        for long in [0, 1, 100, 200, 20_000] {
            let known = metadata("m", 3, long);
            assert!(known.without(&known).is_empty());
            assert_eq!(known.without(&Metadata::default()).as_bytes(), known.as_bytes());
            assert_eq!(metadata("m", 7, long).without(&known).as_bytes(), of_one.as_bytes());
            let other = metadata("n", 7, long + 1);
            assert_eq!(other.entries().count(), 4);
            assert_eq!(other.without(&known).entries().count(), 3);
        }
    }

    /// Lengths of more than one byte, at both places where there may be one.
    #[test]
    fn lengths_are_varints() {
        for length in [0, 1, 120, 127, 128, 300, 16_383, 16_384, 100_000] {
            let mut metadata = Metadata::new();
            metadata.text("name", &"x".repeat(length));
            let (entry, rest) = message(metadata.as_bytes(), 0x0a);
            assert!(rest.is_empty(), "{length}");
            let (name, rest) = message(entry, 0x0a);
            assert_eq!(name, b"name");
            let (value, rest) = message(rest, 0x12);
            assert!(rest.is_empty(), "{length}");
            let (text, rest) = message(value, 0x1a);
            assert_eq!((text.len(), rest.len()), (length, 0));
        }
    }

    /// The content of a field with this tag, and what is behind it.
    fn message(bytes: &[u8], tag: u8) -> (&[u8], &[u8]) {
        assert_eq!(bytes[0], tag);
        let end = 1 + bytes[1..].iter().position(|byte| byte & 0x80 == 0).unwrap();
        let length = bytes[1..=end].iter().rev().fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
        bytes[end + 1..].split_at(length)
    }
}
