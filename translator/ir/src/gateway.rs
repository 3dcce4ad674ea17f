//! What one Envoy fleet serves.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::{
    ClusterIr, ClusterName, GatewayName, Hostname, ListenerName, RouteConfigName, RouteIr, Scheme, SecretIr,
    SecretName, VirtualHostName,
};

/// All that the Envoys of one Gateway need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayIr {
    /// Whose fleet this is.
    pub name: GatewayName,
    /// Its listeners, by name.
    pub listeners: BTreeMap<ListenerName, ListenerIr>,
    /// Every cluster that a route names, by name.
    pub clusters: BTreeMap<ClusterName, ClusterIr>,
    /// Every secret that a cluster names, by name.
    pub secrets: BTreeMap<SecretName, SecretIr>,
}

/// One port on which HTTP is served. Several Gateway listeners may share it, told apart by host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerIr {
    /// Stable while the port is.
    pub name: ListenerName,
    /// The addresses to bind; the first is the main one, never empty.
    pub addresses: Vec<IpAddr>,
    /// The port to bind.
    pub port: u16,
    /// What becomes of requests with an escaped slash in their path.
    pub escaped_slashes: EscapedSlashes,
    /// The name of its route table.
    pub route_config: RouteConfigName,
    /// Its route table: one virtual host per hostname, the most specific first.
    pub virtual_hosts: Vec<VirtualHost>,
}

impl ListenerIr {
    /// The scheme of the URLs that lead to it.
    pub fn scheme(&self) -> Scheme {
        Scheme::Http
    }
}

/// What becomes of requests whose path holds an escaped slash or backslash (`%2F`, `%5C`). Servers do not
/// agree on whether it separates path elements, so a route that guards a path can be got round by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub enum EscapedSlashes {
    /// The client is redirected (307) to the path with a slash instead.
    #[default]
    Redirect,
    /// The request is refused (400).
    Reject,
    /// The escape stays, and counts as a part of its path element.
    Keep,
}

/// The routes of one hostname; the unit in which routes are translated and compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VirtualHost {
    /// Unique within its route table.
    pub name: VirtualHostName,
    /// The host that it serves; unique within its route table.
    pub hostname: Hostname,
    /// In the order in which they are tried. Empty: the host exists, and every path is 404.
    pub routes: Vec<RouteIr>,
}
