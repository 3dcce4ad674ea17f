//! One named, versioned piece of Envoy configuration, kept as the bytes that go on the wire.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use prost::encoding::{self, WireType};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The kinds of resource served, **declared in the order in which they are pushed**
/// ([make before break]): what is used comes before what uses it. Secrets sit beside endpoints because
/// a cluster that verifies or presents a certificate is not warm without them.
///
/// [make before break]: https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#eventual-consistency-considerations
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    /// `envoy.config.cluster.v3.Cluster` (CDS).
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment` (EDS).
    Endpoint,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret` (SDS).
    Secret,
    /// `envoy.config.listener.v3.Listener` (LDS).
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration` (RDS).
    Route,
}

impl ResourceType {
    /// Every type, in push order.
    pub const ALL: [Self; 5] = [Self::Cluster, Self::Endpoint, Self::Secret, Self::Listener, Self::Route];

    /// The type URL that names this type in requests, responses and `google.protobuf.Any`.
    pub const fn type_url(self) -> &'static str {
        match self {
            Self::Cluster => "type.googleapis.com/envoy.config.cluster.v3.Cluster",
            Self::Endpoint => "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            Self::Secret => "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
            Self::Listener => "type.googleapis.com/envoy.config.listener.v3.Listener",
            Self::Route => "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        }
    }

    /// The type that `url` names; `None` for a type that this server does not serve.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }

    /// Short lower-case name for metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Endpoint => "endpoint",
            Self::Secret => "secret",
            Self::Listener => "listener",
            Self::Route => "route",
        }
    }

    /// Whether a state-of-the-world response must list everything subscribed, because the client takes
    /// what is missing as deleted (CDS and LDS; the other types may be answered in parts).
    pub(crate) const fn is_listed_in_full(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }

    /// Whether each resource travels in a response of its own. Envoy applies the good clusters and
    /// listeners of a response whose others it rejects, but stops at the first bad route table or
    /// secret; alone, a bad one takes no neighbour with it.
    pub(crate) const fn travels_alone(self) -> bool {
        matches!(self, Self::Secret | Self::Route)
    }

    /// Whether a first request without names means "everything" (the legacy wildcard).
    pub(crate) const fn has_legacy_wildcard(self) -> bool {
        matches!(self, Self::Cluster | Self::Listener)
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One value for each resource type.
#[derive(Clone, Debug)]
pub(crate) struct PerType<T> {
    cluster: T,
    endpoint: T,
    secret: T,
    listener: T,
    route: T,
}

impl<T> PerType<T> {
    pub(crate) fn new(mut value: impl FnMut(ResourceType) -> T) -> Self {
        Self {
            cluster: value(ResourceType::Cluster),
            endpoint: value(ResourceType::Endpoint),
            secret: value(ResourceType::Secret),
            listener: value(ResourceType::Listener),
            route: value(ResourceType::Route),
        }
    }

    pub(crate) fn get(&self, kind: ResourceType) -> &T {
        match kind {
            ResourceType::Cluster => &self.cluster,
            ResourceType::Endpoint => &self.endpoint,
            ResourceType::Secret => &self.secret,
            ResourceType::Listener => &self.listener,
            ResourceType::Route => &self.route,
        }
    }

    pub(crate) fn get_mut(&mut self, kind: ResourceType) -> &mut T {
        match kind {
            ResourceType::Cluster => &mut self.cluster,
            ResourceType::Endpoint => &mut self.endpoint,
            ResourceType::Secret => &mut self.secret,
            ResourceType::Listener => &mut self.listener,
            ResourceType::Route => &mut self.route,
        }
    }
}

/// A content hash (XXH3, 128 bits), written as 32 hexadecimal digits. Equal content has equal versions on
/// every replica and after every restart, which is what lets a reconnecting client be sent nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceVersion(u128);

impl ResourceVersion {
    /// The version of a resource whose encoded message is `message`.
    pub fn of(message: &[u8]) -> Self {
        Self(xxh3_128(message))
    }

    /// The version of a set of resources: a hash over names and versions, which must come sorted by name.
    pub(crate) fn of_set<'a>(resources: impl Iterator<Item = &'a Arc<Resource>>) -> Self {
        let mut hasher = Xxh3::new();
        for resource in resources {
            let name = resource.name().as_bytes();
            hasher.update(&u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(name);
            hasher.update(&resource.version().0.to_be_bytes());
        }
        Self(hasher.digest128())
    }
}

impl fmt::Display for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ResourceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version that a client states but this server cannot have issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForeignVersion;

impl fmt::Display for ForeignVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a version of this server")
    }
}

impl std::error::Error for ForeignVersion {}

impl FromStr for ResourceVersion {
    type Err = ForeignVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 32 {
            return Err(ForeignVersion);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| ForeignVersion)
    }
}

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
    needs: Vec<(ResourceType, String)>,
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
        let name = name.into();
        let version = ResourceVersion::of(message);
        let (entry, any_offset) = encode_entry(&name, version, kind, message);
        Self { kind, name, version, entry, any_offset, needs }
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
fn encode_entry(name: &str, version: ResourceVersion, kind: ResourceType, message: &[u8]) -> (Bytes, usize) {
    let version = version.to_string();
    let any_len =
        field_len(ANY_TYPE_URL_TAG, kind.type_url().len()) + field_len(ANY_VALUE_TAG, message.len());
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
    put_field(ANY_VALUE_TAG, message, &mut buffer);
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
    fn version_parses_what_it_prints() {
        let version = ResourceVersion::of(b"x");
        assert_eq!(version.to_string().parse(), Ok(version));
        assert_eq!("1".parse::<ResourceVersion>(), Err(ForeignVersion));
        assert_eq!("".parse::<ResourceVersion>(), Err(ForeignVersion));
    }

    #[test]
    fn type_urls_name_their_types() {
        for kind in ResourceType::ALL {
            assert_eq!(ResourceType::from_type_url(kind.type_url()), Some(kind));
        }
        assert_eq!(ResourceType::from_type_url("type.googleapis.com/other"), None);
        assert!(ResourceType::ALL.is_sorted(), "declared in push order");
    }
}
