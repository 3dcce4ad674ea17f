//! Ports, virtual hosts, and what routes add to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::{Kind, NamespacedName};
use ir::{
    Hostname, L4FilterIr, L4Share, ListenerAuthIr, ListenerIr, ListenerPlaces, Precedence, RouteTableId,
    Transport,
};

use super::key::BackendKey;
use crate::xds::EncodedResource;

/// Where a route stands among those of its virtual host. What sorts first is tried first: the more specific hostname
/// as written, then the match, then the older route, then its name, then its place in the spec (Gateway API,
/// `HTTPRouteSpec.hostnames` and `HTTPRouteRule.matches`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderKey {
    pub hostname: Hostname,
    pub matches: Precedence,
    pub created: Option<i64>,
    pub route: NamespacedName,
    pub kind: Kind,
    pub rule: usize,
    pub rule_match: usize,
}

impl OrderKey {
    /// The place in the spec of its route: rule and match.
    pub(crate) fn place(&self) -> (usize, usize) {
        (self.rule, self.rule_match)
    }
}

/// What a route adds to a virtual host: encoded routes of Envoy's, by place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entries(pub Vec<(OrderKey, Arc<[u8]>)>);

/// A virtual host that exists.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum HostFace {
    /// The listener that it belongs to; only routes that attach there serve it.
    Of {
        /// Its name.
        listener: Arc<str>,
        /// Where services are asked about its requests before a route is chosen; `None` if nowhere.
        places: Option<Arc<ListenerPlaces>>,
    },
    /// It belongs to another listener of the port than the connection does.
    Misdirected,
}

/// The part of a port that virtual hosts depend on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortFace {
    pub listener: ListenerIr,
    /// Where the connections of chains go that are not HTTP.
    pub filters: Vec<L4FilterIr>,
    /// The filters that ask services before a route is chosen.
    pub auth_filters: Vec<ListenerAuthIr>,
    /// The listener for datagrams, where there is one for connections as well.
    pub udp: Option<ListenerIr>,
    /// The listeners of the Gateway on the port.
    pub listeners: Vec<PortListener>,
    /// Where the spans and logs of its requests go, and who is asked before a route is chosen.
    pub backends: BTreeSet<BackendKey>,
    /// All that is named for these, whether it can be used or not.
    pub named: BTreeSet<BackendKey>,
}

/// A listener of a Gateway on a port.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortListener {
    pub name: Arc<str>,
    pub hostname: Hostname,
    /// Its route table; `None` if it has none, or is not served.
    pub table: Option<Arc<RouteTableId>>,
    /// Where services are asked about its requests before a route is chosen; `None` if nowhere.
    pub places: Option<Arc<ListenerPlaces>>,
}

impl PortFace {
    /// The listeners that the proxies open, each with where it leads what is not HTTP.
    pub(crate) fn summary(&self) -> impl Iterator<Item = (&ListenerIr, Vec<(Hostname, Vec<L4Share>)>)> {
        std::iter::once(&self.listener).chain(&self.udp).map(|listener| {
            let forwards = match listener.transport {
                Transport::Udp => vec![(Hostname::Any, listener.datagrams.clone())],
                Transport::Plain | Transport::Tls => {
                    let forward = |filter: &L4FilterIr| (filter.server_name.clone(), filter.shares.clone());
                    self.filters.iter().map(forward).collect()
                }
            };
            (listener, forwards)
        })
    }

    /// The listener that a host belongs to: that with the most specific hostname that covers it. Routes of wider
    /// listeners do not serve it (listener isolation).
    pub(crate) fn owner(&self, hostname: &Hostname) -> Option<&PortListener> {
        let covering = self.listeners.iter().filter(|listener| listener.hostname.covers(hostname));
        covering.min_by(|left, right| left.hostname.cmp(&right.hostname))
    }

    /// Whether a route table is served here.
    pub(crate) fn has_table(&self, table: &RouteTableId) -> bool {
        self.listener.tables().any(|served| **served == *table)
    }

    /// Whether a hostname is that of a listener.
    pub(crate) fn has_listener_for(&self, hostname: &Hostname) -> bool {
        self.listeners.iter().any(|listener| listener.hostname == *hostname)
    }
}

/// A port of a Gateway: what virtual hosts depend on, and what is sent to the proxies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortValue {
    pub face: PortFace,
    pub encoded: Vec<Arc<EncodedResource>>,
}
