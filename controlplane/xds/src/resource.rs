//! One named, versioned piece of Envoy configuration, kept as the bytes that go on the wire.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{self, WireType};

use crate::resource_type::ResourceType;
use crate::version::ResourceVersion;

/// A resource, encoded once and shared by every stream that sends it.
///
/// `Debug` shows no body: it may hold a private key.
#[derive(Clone)]
pub struct Resource {
    kind: ResourceType,
    name: Arc<str>,
    version: ResourceVersion,
    /// See [`Resource::delta_entry`].
    entry: Bytes,
    /// Where in `entry` the state-of-the-world form begins.
    any_offset: usize,
    /// How many bytes at the end of `entry` are the message.
    message_len: usize,
    needs: Vec<(ResourceType, String)>,
    is_optional: bool,
}

impl Resource {
    /// A resource of type `kind` whose encoded protobuf message is `message`.
    ///
    /// `needs` names the resources without which this one cannot be used; a cluster names its load
    /// assignment and its secrets. They decide how long listeners and routes wait for a new cluster.
    pub fn new(
        name: impl Into<Arc<str>>,
        kind: ResourceType,
        message: &[u8],
        needs: Vec<(ResourceType, String)>,
    ) -> Self {
        Self::with_version(name, kind, ResourceVersion::of(message), &[message], needs)
    }

    /// Like [`new`](Self::new), for whoever knows the version already and has the encoded message in
    /// `pieces`, which are put one after another. Content and version must go together: a client that has
    /// the version is not sent the content.
    pub fn with_version(
        name: impl Into<Arc<str>>,
        kind: ResourceType,
        version: ResourceVersion,
        pieces: &[&[u8]],
        needs: Vec<(ResourceType, String)>,
    ) -> Self {
        let name = name.into();
        let (entry, any_offset) = encode_entry(&name, version, kind, pieces);
        let message_len = pieces.iter().map(|piece| piece.len()).sum();
        Self { kind, name, version, entry, any_offset, message_len, needs, is_optional: false }
    }

    /// The same, without which a client that refuses it counts as having everything. Filters that need it are not sent
    /// until the client has it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { is_optional: true, ..self }
    }

    /// See [`optional`](Self::optional).
    pub(crate) fn is_optional(&self) -> bool {
        self.is_optional
    }

    /// The type.
    pub fn resource_type(&self) -> ResourceType {
        self.kind
    }

    /// The name, unique within its type and snapshot.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The content hash.
    pub fn version(&self) -> ResourceVersion {
        self.version
    }

    /// The resources without which this one cannot be used.
    pub fn needs(&self) -> &[(ResourceType, String)] {
        &self.needs
    }

    /// The encoded message. It may be a private key.
    pub fn message(&self) -> Bytes {
        self.entry.slice(self.entry.len().saturating_sub(self.message_len)..)
    }

    /// Whether both have the same content and are used in the same way.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.version == other.version && self.needs == other.needs && self.is_optional == other.is_optional
    }

    /// Field 2 (`resources`) of a `DeltaDiscoveryResponse`, key and length included.
    pub(crate) fn delta_entry(&self) -> Bytes {
        self.entry.clone()
    }

    /// Field 2 (`resources`) of a `DiscoveryResponse`, key and length included.
    pub(crate) fn any_entry(&self) -> Bytes {
        self.entry.slice(self.any_offset..)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("version", &self.version)
            .field("encoded_len", &self.entry.len())
            .field("needs", &self.needs)
            .finish()
    }
}

// --- Encoding ---

/// `resources` in both response messages, and `resource` in `Resource`.
const RESOURCES_TAG: u32 = 2;
const RESOURCE_NAME_TAG: u32 = 3;
const RESOURCE_VERSION_TAG: u32 = 1;
const ANY_TYPE_URL_TAG: u32 = 1;
const ANY_VALUE_TAG: u32 = 2;

/// Encodes the entry of a delta response so that its tail is the entry of a state-of-the-world response:
///
/// ```text
/// DeltaDiscoveryResponse.resources (2) ─┬─ Resource.name (3)
///                                       ├─ Resource.version (1)
///                                       └─ Resource.resource (2) = Any   ◄── this field, key and all, is also
///                                                                            DiscoveryResponse.resources (2)
/// ```
/// Both fields happen to have tag 2, and protobuf lets fields come in any order, so one allocation serves
/// both protocols.
fn encode_entry(
    name: &str,
    version: ResourceVersion,
    kind: ResourceType,
    pieces: &[&[u8]],
) -> (Bytes, usize) {
    let version = version.to_string();
    let message_len = pieces.iter().map(|piece| piece.len()).sum();
    let any_len = field_len(ANY_TYPE_URL_TAG, kind.type_url().len()) + field_len(ANY_VALUE_TAG, message_len);
    let resource_len = field_len(RESOURCE_NAME_TAG, name.len())
        + field_len(RESOURCE_VERSION_TAG, version.len())
        + field_len(RESOURCES_TAG, any_len);

    let mut buffer = BytesMut::with_capacity(field_len(RESOURCES_TAG, resource_len));
    put_header(RESOURCES_TAG, resource_len, &mut buffer);
    put_field(RESOURCE_NAME_TAG, name.as_bytes(), &mut buffer);
    put_field(RESOURCE_VERSION_TAG, version.as_bytes(), &mut buffer);
    let any_offset = buffer.len();
    put_header(RESOURCES_TAG, any_len, &mut buffer);
    put_field(ANY_TYPE_URL_TAG, kind.type_url().as_bytes(), &mut buffer);
    put_header(ANY_VALUE_TAG, message_len, &mut buffer);
    pieces.iter().for_each(|piece| buffer.put_slice(piece));
    (buffer.freeze(), any_offset)
}

/// Writes a length-delimited field (string, bytes or message).
pub(crate) fn put_field(tag: u32, value: &[u8], buffer: &mut BytesMut) {
    put_header(tag, value.len(), buffer);
    buffer.put_slice(value);
}

fn put_header(tag: u32, len: usize, buffer: &mut BytesMut) {
    encoding::encode_key(tag, WireType::LengthDelimited, buffer);
    encoding::encode_varint(len as u64, buffer);
}

fn field_len(tag: u32, len: usize) -> usize {
    encoding::key_len(tag) + encoding::encoded_len_varint(len as u64) + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_body() {
        let resource = Resource::new("s", ResourceType::Secret, b"PRIVATE", vec![]);
        let shown = format!("{resource:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains("80, 82, 73"), "{shown}");
    }

    #[test]
    fn equal_content_has_equal_versions_and_the_name_does_not_matter() {
        let version = |name: &str, body: &[u8]| {
            Resource::new(name, ResourceType::Cluster, body, vec![]).version().to_string()
        };
        assert_eq!(version("a", b"x"), version("b", b"x"));
        assert_ne!(version("a", b"x"), version("a", b"y"));
        // A change of the hash would make every client reload everything once.
        assert_eq!(version("a", b"x"), "5c7401c0ec22eeeeeaf06c6480b2cd11");
    }

    #[test]
    fn a_message_in_pieces_is_encoded_like_a_whole_one() {
        let whole = Resource::new("a", ResourceType::Cluster, b"one two", vec![]);
        let version = ResourceVersion::from_u128(whole.version().to_u128());
        let pieces: &[&[u8]] = &[b"one", b"", b" two"];
        let pieces = Resource::with_version("a", ResourceType::Cluster, version, pieces, vec![]);
        assert_eq!((pieces.delta_entry(), pieces.any_entry()), (whole.delta_entry(), whole.any_entry()));
    }

    #[test]
    fn an_entry_is_one_allocation_for_both_protocols() {
        let resource = Resource::new("a", ResourceType::Cluster, b"body", vec![]);
        let (delta, any) = (resource.delta_entry(), resource.any_entry());
        assert_eq!(delta.as_ptr_range().end, any.as_ptr_range().end);
        assert!(delta.ends_with(&any));
    }
}
