//! Names of what stages come to.

use std::sync::Arc;

use crds::{NamespacedName, ObjectKey};
use ir::{GatewayName, Hostname, RouteTableId};

/// The name of a Gateway.
pub(crate) type GatewayKey = NamespacedName;

/// The name of an HTTPRoute.
pub(crate) type RouteKey = NamespacedName;

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HostKey {
    pub gateway: GatewayKey,
    /// The route table that it stands in.
    pub table: Arc<RouteTableId>,
    pub hostname: Hostname,
}

/// A backend that a route can name: one port of a Service, or an object of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum BackendKey {
    /// A TCP port of a Service.
    Service(NamespacedName, u16),
    /// A Backend or an Upstream.
    Object(ObjectKey),
}

impl BackendKey {
    /// The Service, if it is one.
    pub(crate) fn service(&self) -> Option<&NamespacedName> {
        match self {
            Self::Service(name, _) => Some(name),
            Self::Object(_) => None,
        }
    }
}

pub(crate) fn gateway_name(gateway: &GatewayKey) -> GatewayName {
    GatewayName { namespace: gateway.namespace.to_string(), name: gateway.name.to_string() }
}
