//! What the translation gives: typed messages by kind and name, and their encoded form.

use std::collections::BTreeMap;
use std::fmt;

use proto::cluster::Cluster;
use proto::core::TypedExtensionConfig;
use proto::endpoint::ClusterLoadAssignment;
use proto::listener::Listener;
use proto::route::RouteConfiguration;
use proto::tls::Secret;

use xxhash_rust::xxh3::xxh3_128;

/// The messages for one Envoy fleet, by name.
///
/// `Debug` shows the names alone: a secret's value is in its message.
#[derive(Clone, Default, PartialEq)]
pub struct XdsResources {
    /// Listeners (LDS).
    pub listeners: BTreeMap<String, Listener>,
    /// Route tables (RDS).
    pub routes: BTreeMap<String, RouteConfiguration>,
    /// Clusters (CDS).
    pub clusters: BTreeMap<String, Cluster>,
    /// The endpoints of the clusters that have them delivered apart (EDS).
    pub endpoints: BTreeMap<String, ClusterLoadAssignment>,
    /// Secrets (SDS).
    pub secrets: BTreeMap<String, Secret>,
    /// Filters that listeners name (ECDS).
    pub extensions: BTreeMap<String, TypedExtensionConfig>,
}

/// The kinds of resources. The order is that in which a change is pushed: what is named before what
/// names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum XdsKind {
    /// `envoy.config.cluster.v3.Cluster`
    Cluster,
    /// `envoy.config.endpoint.v3.ClusterLoadAssignment`
    Endpoint,
    /// `envoy.extensions.transport_sockets.tls.v3.Secret`
    Secret,
    /// `envoy.config.core.v3.TypedExtensionConfig`
    Extension,
    /// `envoy.config.listener.v3.Listener`
    Listener,
    /// `envoy.config.route.v3.RouteConfiguration`
    Route,
}

/// One resource, ready to be sent. `Debug` leaves out the bytes, which may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EncodedResource {
    /// Its kind.
    pub kind: XdsKind,
    /// Its name, unique within the kind.
    pub name: String,
    /// The encoded message, without an `Any` around it. Equal messages have equal bytes.
    pub bytes: Vec<u8>,
    /// Tells this content from any other: equal content has the same version on every replica.
    pub version: u128,
    /// The resources without which it cannot be used, each once, sorted: what a cluster or a listener names. A route
    /// table has none here: its clusters come first anyway, and it names thousands.
    pub needs: Vec<(XdsKind, String)>,
    /// Whether a proxy without it counts as having everything.
    pub is_optional: bool,
}

impl EncodedResource {
    /// A message, encoded.
    pub(crate) fn new<M: Named>(kind: XdsKind, message: &M, mut needs: Vec<(XdsKind, String)>) -> Self {
        needs.sort();
        needs.dedup();
        let bytes = proto::encode(message);
        Self {
            kind,
            name: message.name().to_owned(),
            version: xxh3_128(&bytes),
            bytes,
            needs,
            is_optional: false,
        }
    }
}

/// A message that carries the name of its resource.
pub(crate) trait Named: prost::Name {
    /// The name.
    fn name(&self) -> &str;
}

macro_rules! named {
    ($($message:ty: $field:ident;)+) => {
        $(impl Named for $message {
            fn name(&self) -> &str {
                &self.$field
            }
        })+
    };
}

named! {
    Cluster: name;
    ClusterLoadAssignment: cluster_name;
    Secret: name;
    TypedExtensionConfig: name;
    Listener: name;
    RouteConfiguration: name;
}

impl XdsKind {
    /// The type URL of the kind's message.
    pub fn type_url(self) -> String {
        match self {
            Self::Cluster => proto::type_url::<Cluster>(),
            Self::Endpoint => proto::type_url::<ClusterLoadAssignment>(),
            Self::Secret => proto::type_url::<Secret>(),
            Self::Extension => proto::type_url::<TypedExtensionConfig>(),
            Self::Listener => proto::type_url::<Listener>(),
            Self::Route => proto::type_url::<RouteConfiguration>(),
        }
    }
}

impl XdsResources {
    /// The messages of encoded resources. What is no message of its kind is left out; there is no such thing among
    /// what the translator gives.
    pub fn decode<'a>(resources: impl IntoIterator<Item = &'a EncodedResource>) -> Self {
        let mut all = Self::default();
        for EncodedResource { kind, name, bytes, .. } in resources {
            match kind {
                XdsKind::Cluster => decode_into(&mut all.clusters, name, bytes),
                XdsKind::Endpoint => decode_into(&mut all.endpoints, name, bytes),
                XdsKind::Secret => decode_into(&mut all.secrets, name, bytes),
                XdsKind::Extension => decode_into(&mut all.extensions, name, bytes),
                XdsKind::Listener => decode_into(&mut all.listeners, name, bytes),
                XdsKind::Route => decode_into(&mut all.routes, name, bytes),
            }
        }
        all
    }

    /// Whether a resource exists.
    pub fn contains(&self, kind: XdsKind, name: &str) -> bool {
        match kind {
            XdsKind::Cluster => self.clusters.contains_key(name),
            XdsKind::Endpoint => self.endpoints.contains_key(name),
            XdsKind::Secret => self.secrets.contains_key(name),
            XdsKind::Extension => self.extensions.contains_key(name),
            XdsKind::Listener => self.listeners.contains_key(name),
            XdsKind::Route => self.routes.contains_key(name),
        }
    }
}

fn decode_into<M: prost::Message + Default>(messages: &mut BTreeMap<String, M>, name: &str, bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        messages.insert(name.to_owned(), message);
    }
}

impl fmt::Debug for XdsResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdsResources")
            .field("listeners", &self.listeners.keys())
            .field("routes", &self.routes.keys())
            .field("clusters", &self.clusters.keys())
            .field("endpoints", &self.endpoints.keys())
            .field("secrets", &self.secrets.keys())
            .field("extensions", &self.extensions.keys())
            .finish()
    }
}

impl fmt::Debug for EncodedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedResource")
            .field("kind", &self.kind)
            .field("name", &self.name)
            .field("bytes", &self.bytes.len())
            .field("needs", &self.needs)
            .finish()
    }
}
