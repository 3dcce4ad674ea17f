//! What the proxies of one Gateway listen on.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::{
    AccessLogIr, ClientHttp, ClusterName, FilterName, Hostname, L4Share, ListenerName, RouteConfigName,
    Scheme, SecretName, TracingIr,
};

/// What is bound together: a socket, and what is spoken on its connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerIr {
    /// Stable while the port is.
    pub name: ListenerName,
    /// Where it listens.
    pub bind: Bind,
    /// How its connections begin.
    pub transport: Transport,
    /// What becomes of connections: the chain with the most specific server name that fits takes a connection; where
    /// none fits, it is closed. Of plain connections there is one chain, of datagrams none.
    pub chains: Vec<FilterChainIr>,
    /// Where datagrams go, by weight; empty: nowhere.
    pub datagrams: Vec<L4Share>,
}

/// How the connections of a listener begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Transport {
    /// Without TLS.
    Plain,
    /// With the first message of a TLS handshake, by whose server name (SNI) a chain is chosen.
    Tls,
    /// There are none, but datagrams.
    Udp,
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
    /// The server names (SNI) that it fits; [`Hostname::Any`] is every other, and connections without one. Of plain
    /// connections it says nothing.
    pub server_name: Hostname,
    /// How TLS is ended here; `None` where connections are plain, or are passed on as they are.
    pub tls: Option<DownstreamTls>,
    /// What is spoken on them.
    pub protocol: Protocol,
}

/// TLS with clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DownstreamTls {
    /// The certificates, of which the client gets the one that fits its server name and its algorithms. Never empty.
    pub certificates: Vec<SecretName>,
    /// Whether clients must show certificates.
    pub client_validation: Option<ClientValidation>,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientValidation {
    /// Who may have signed them.
    pub trust: SecretName,
    /// Whether a connection goes on whatever the client shows, if anything.
    pub accept_invalid: bool,
}

/// What is spoken on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2.
    Http(HttpChain),
    /// Anything: the bytes pass as they are, to where the filter of this name says, which is delivered apart.
    Bytes(FilterName),
    /// Nothing: connections are closed at once.
    Closed,
}

/// How HTTP is served on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HttpChain {
    /// Its route table.
    pub table: Arc<RouteTableId>,
    /// What becomes of requests with an escaped slash in their path.
    pub escaped_slashes: EscapedSlashes,
    /// The filters that ask services before a route is chosen, in order; delivered apart. There is always one, so that a
    /// listener that gets its first question stays as it is.
    pub auth_filters: Vec<FilterName>,
    /// What can be observed of its requests.
    pub observability: Observability,
    /// What policies say about how it is spoken.
    pub client: ClientHttp,
}

/// What can be observed of the requests of a listener, by what policies and parameters say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Observability {
    /// Where requests are logged; `None` for the proxy's own log.
    pub access_logs: Option<Vec<AccessLogIr>>,
    /// Where their spans go.
    pub tracing: Option<Box<TracingIr>>,
    /// The namespaces of dynamic metadata that the AI engine reads for labels of its metrics.
    pub labelling: BTreeSet<String>,
}

/// A route table of a Gateway: one for each port of plain HTTP, and one for each HTTPS listener, since a connection
/// belongs to the listener that its server name (SNI) chose.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RouteTableId {
    /// The port.
    pub port: u16,
    /// The hostname of the HTTPS listener, which no other listener of the port has; `None` is plain HTTP.
    pub https: Option<Hostname>,
}

impl ListenerIr {
    /// The scheme of the URLs that lead to it.
    pub fn scheme(&self) -> Scheme {
        match self.transport {
            Transport::Plain | Transport::Udp => Scheme::Http,
            Transport::Tls => Scheme::Https,
        }
    }

    /// The clusters to which spans and logs of its requests go.
    pub fn collectors(&self) -> impl Iterator<Item = &ClusterName> {
        let observed = self.chains.iter().filter_map(|chain| match &chain.protocol {
            Protocol::Http(http) => Some(&http.observability),
            Protocol::Bytes(_) | Protocol::Closed => None,
        });
        observed.flat_map(|Observability { access_logs, tracing, .. }| {
            let logs = access_logs.iter().flatten().filter_map(|log| log.sink.collector());
            logs.chain(tracing.as_deref().map(TracingIr::collector))
        })
    }

    /// The route tables that its chains name.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<RouteTableId>> {
        self.chains.iter().filter_map(|chain| match &chain.protocol {
            Protocol::Http(http) => Some(&http.table),
            Protocol::Bytes(_) | Protocol::Closed => None,
        })
    }

    /// The filters that its chains name.
    pub fn filters(&self) -> impl Iterator<Item = &FilterName> {
        self.chains.iter().flat_map(|chain| match &chain.protocol {
            Protocol::Bytes(filter) => std::slice::from_ref(filter),
            Protocol::Http(http) => &http.auth_filters,
            Protocol::Closed => &[],
        })
    }

    /// Those of them that ask services before a route is chosen.
    pub fn auth_filters(&self) -> impl Iterator<Item = &FilterName> {
        self.chains.iter().flat_map(|chain| match &chain.protocol {
            Protocol::Http(http) => http.auth_filters.as_slice(),
            Protocol::Bytes(_) | Protocol::Closed => &[],
        })
    }

    /// The secrets that its chains name.
    pub fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.chains.iter().filter_map(|chain| chain.tls.as_ref()).flat_map(|tls| {
            tls.certificates.iter().chain(tls.client_validation.as_ref().map(|validation| &validation.trust))
        })
    }
}

impl RouteTableId {
    /// Its name, as Envoy sees it.
    pub fn name(&self) -> RouteConfigName {
        match &self.https {
            None => RouteConfigName::http(self.port),
            Some(hostname) => RouteConfigName::https(self.port, hostname),
        }
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
