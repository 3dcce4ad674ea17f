//! What the proxies of one Gateway listen on.

use std::net::IpAddr;

use serde::Serialize;

use crate::{ListenerName, RouteConfigName, Scheme};

/// What is bound together: a socket, and what is spoken on its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerIr {
    /// Stable while the port is.
    pub name: ListenerName,
    /// Where it listens.
    pub bind: Bind,
    /// What becomes of connections: the first chain that fits a connection takes it. Never empty.
    pub chains: Vec<FilterChainIr>,
}

/// Addresses with one port. Several Gateway listeners may share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The first is the main one, never empty.
    pub addresses: Vec<IpAddr>,
    /// The port.
    pub port: u16,
}

/// What becomes of the connections that it fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilterChainIr {
    /// What is spoken on them.
    pub protocol: Protocol,
}

/// What is spoken on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2.
    Http(HttpChain),
}

/// How HTTP is served on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpChain {
    /// The name of its route table.
    pub route_config: RouteConfigName,
    /// What becomes of requests with an escaped slash in their path.
    pub escaped_slashes: EscapedSlashes,
}

impl ListenerIr {
    /// The scheme of the URLs that lead to it.
    pub fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    /// The route tables that its chains name.
    pub fn route_configs(&self) -> impl Iterator<Item = &RouteConfigName> {
        self.chains.iter().map(|chain| match &chain.protocol {
            Protocol::Http(http) => &http.route_config,
        })
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
