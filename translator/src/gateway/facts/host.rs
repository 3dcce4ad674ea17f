//! Ports, virtual hosts, and what routes add to them.

use std::sync::Arc;

use ir::{Hostname, ListenerIr, Precedence};

use super::key::RouteKey;
use crate::xds::EncodedResource;

/// Where a route stands among those of its virtual host. What sorts first is tried first: the more specific hostname
/// as written, then the match, then the older route, then its name, then its place in the spec (Gateway API,
/// `HTTPRouteSpec.hostnames` and `HTTPRouteRule.matches`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderKey {
    pub hostname: Hostname,
    pub matches: Precedence,
    pub created: Option<i64>,
    pub route: RouteKey,
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
pub(crate) struct HostFace {
    /// The listener that it belongs to; only routes that attach there serve it.
    pub listener: Arc<str>,
}

/// The part of a port that virtual hosts depend on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortFace {
    pub listener: ListenerIr,
    /// The listeners of the Gateway on the port: name and hostname.
    pub hostnames: Vec<(Arc<str>, Hostname)>,
}

impl PortFace {
    /// The listener that a host belongs to: that with the most specific hostname that covers it. Routes of wider
    /// listeners do not serve it (listener isolation).
    pub(crate) fn owner(&self, hostname: &Hostname) -> Option<&(Arc<str>, Hostname)> {
        let covering = self.hostnames.iter().filter(|(_, listener)| listener.covers(hostname));
        covering.min_by(|(_, left), (_, right)| left.cmp(right))
    }
}

/// A port of a Gateway: what virtual hosts depend on, and what is sent to the proxies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortValue {
    pub face: PortFace,
    pub encoded: Arc<EncodedResource>,
}
