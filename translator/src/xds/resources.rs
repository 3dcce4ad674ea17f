//! What the translation gives: typed messages by kind and name, and their encoded form.

use std::collections::BTreeMap;
use std::fmt;

use proto::cluster::Cluster;
use proto::endpoint::ClusterLoadAssignment;
use proto::listener::Listener;
use proto::route::RouteConfiguration;
use proto::tls::Secret;

use super::references;

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
    /// The resources that it names, each once, sorted.
    pub needs: Vec<(XdsKind, String)>,
}

impl XdsKind {
    /// The type URL of the kind's message.
    pub fn type_url(self) -> String {
        match self {
            Self::Cluster => proto::type_url::<Cluster>(),
            Self::Endpoint => proto::type_url::<ClusterLoadAssignment>(),
            Self::Secret => proto::type_url::<Secret>(),
            Self::Listener => proto::type_url::<Listener>(),
            Self::Route => proto::type_url::<RouteConfiguration>(),
        }
    }
}

impl XdsResources {
    /// Every resource, encoded, sorted by kind and name.
    pub fn encode(&self) -> Vec<EncodedResource> {
        let mut all = Vec::new();
        encode_kind(XdsKind::Cluster, &self.clusters, references::of_cluster, &mut all);
        encode_kind(XdsKind::Endpoint, &self.endpoints, |_| Vec::new(), &mut all);
        encode_kind(XdsKind::Secret, &self.secrets, |_| Vec::new(), &mut all);
        encode_kind(XdsKind::Listener, &self.listeners, references::of_listener, &mut all);
        encode_kind(XdsKind::Route, &self.routes, references::of_route_configuration, &mut all);
        all
    }

    /// Whether a resource exists.
    pub fn contains(&self, kind: XdsKind, name: &str) -> bool {
        match kind {
            XdsKind::Cluster => self.clusters.contains_key(name),
            XdsKind::Endpoint => self.endpoints.contains_key(name),
            XdsKind::Secret => self.secrets.contains_key(name),
            XdsKind::Listener => self.listeners.contains_key(name),
            XdsKind::Route => self.routes.contains_key(name),
        }
    }
}

fn encode_kind<M: prost::Name>(
    kind: XdsKind,
    messages: &BTreeMap<String, M>,
    needs: impl Fn(&M) -> Vec<(XdsKind, String)>,
    all: &mut Vec<EncodedResource>,
) {
    all.extend(messages.iter().map(|(name, message)| EncodedResource {
        kind,
        name: name.clone(),
        bytes: proto::encode(message),
        needs: needs(message),
    }));
}

impl fmt::Debug for XdsResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XdsResources")
            .field("listeners", &self.listeners.keys())
            .field("routes", &self.routes.keys())
            .field("clusters", &self.clusters.keys())
            .field("endpoints", &self.endpoints.keys())
            .field("secrets", &self.secrets.keys())
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
