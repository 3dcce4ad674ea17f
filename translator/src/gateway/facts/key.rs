//! Names of what stages come to.

use std::sync::Arc;

use crds::{Kind, NamespacedName, ObjectKey, ObjectRef};
use ir::{ClusterName, GatewayName, Hostname, RouteTableId};

/// The name of a Gateway.
pub(crate) type GatewayKey = NamespacedName;

/// A route of any kind.
pub(crate) type RouteKey = ObjectKey;

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostKey {
    pub gateway: GatewayKey,
    /// The route table that it stands in.
    pub table: Arc<RouteTableId>,
    pub hostname: Hostname,
}

/// What a cluster stands for: one port of a Service, an object of its own, or a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum BackendKey {
    /// A port of a Service, and how it is spoken to.
    Service(NamespacedName, u16, BackendProtocol),
    /// A Backend or an Upstream.
    Object(ObjectKey),
    /// An XBackend, and how it is spoken to.
    XBackend(NamespacedName, BackendProtocol),
    /// A server that is named by its address, which no route can name.
    Server(Arc<ServerKey>),
}

/// A server that is named by its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerKey {
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
    pub service: ServerService,
}

/// What a server is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum ServerService {
    /// It collects traces (OTLP).
    Traces {
        /// By gRPC, and not by plain HTTP.
        is_grpc: bool,
    },
    /// It tells the keys by which tokens are verified.
    TokenKeys,
    /// It decides about prompts and answers.
    Webhook,
    /// It judges prompts, with the credential that this policy names.
    Moderation(ObjectKey),
}

impl BackendKey {
    /// The object that it is, or of which it is a part.
    pub(crate) fn object(&self) -> Option<ObjectKey> {
        let object = |kind, name: &NamespacedName| Some(ObjectKey { kind, name: name.clone() });
        match self {
            Self::Service(name, ..) => object(Kind::Service, name),
            Self::XBackend(name, _) => object(Kind::XBackend, name),
            Self::Object(object) => Some(object.clone()),
            Self::Server(_) => None,
        }
    }
}

/// How a backend is spoken to, as the kind of the route wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum BackendProtocol {
    /// HTTP, in the version that the backend itself says.
    Http,
    /// gRPC: HTTP/2 in any case.
    Grpc,
    /// Connections of plain bytes, which may go by TLS to the backend.
    Tcp,
    /// Connections of TLS that the client began: their bytes pass as they are.
    Tls,
    /// Datagrams.
    Udp,
}

/// Whether routes of a kind are for connections or datagrams, and not for requests.
pub(crate) fn is_l4(kind: Kind) -> bool {
    !BackendProtocol::of_route(kind).is_http()
}

impl BackendProtocol {
    /// The name of the cluster of a backend that is spoken to in this way, given that of HTTP.
    pub(crate) fn cluster_name(self, name: ClusterName) -> ClusterName {
        match self {
            Self::Http => name,
            Self::Grpc => name.spoken("grpc"),
            Self::Tcp => name.spoken("tcp"),
            Self::Tls => name.spoken("tls"),
            Self::Udp => name.spoken("udp"),
        }
    }

    /// Whether HTTP is spoken, in whichever version.
    pub(crate) fn is_http(self) -> bool {
        match self {
            Self::Http | Self::Grpc => true,
            Self::Tcp | Self::Tls | Self::Udp => false,
        }
    }

    /// How the backends of a kind of route are spoken to.
    pub(crate) fn of_route(kind: Kind) -> Self {
        match kind {
            Kind::GrpcRoute => Self::Grpc,
            Kind::TcpRoute => Self::Tcp,
            // Where TLS ends at the listener, it is plain bytes that go on.
            Kind::TlsRoute => Self::Tls,
            Kind::UdpRoute => Self::Udp,
            _ => Self::Http,
        }
    }
}

/// A Gateway, for messages and statuses.
pub(crate) fn gateway_ref(gateway: &GatewayKey) -> ObjectRef {
    ObjectKey { kind: Kind::Gateway, name: gateway.clone() }.to_ref()
}

pub(crate) fn gateway_name(gateway: &GatewayKey) -> GatewayName {
    GatewayName { namespace: gateway.namespace.to_string(), name: gateway.name.to_string() }
}
