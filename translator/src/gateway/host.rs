//! Virtual hosts: which exist, and which routes stand in them, in which order.

use std::cmp::Ordering;
use std::sync::Arc;

use ir::{Hostname, ListenerIr, Precedence};

use crate::engine::{GatewayKey, RouteKey, View};
use crate::xds;

/// Where a route stands among those of its virtual host. What sorts first is tried first: the more specific hostname
/// as written, then the match, then the older route, then its name, then its place in the spec (Gateway API,
/// `HTTPRouteSpec.hostnames` and `HTTPRouteRule.matches`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OrderKey {
    hostname: Hostname,
    matches: Precedence,
    created: Option<i64>,
    route: RouteKey,
    rule: usize,
    rule_match: usize,
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
    pub listener: String,
}

/// The part of a port that virtual hosts depend on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PortFace {
    pub listener: ListenerIr,
    /// The listeners of the Gateway on the port: name and hostname.
    pub hostnames: Vec<(String, Hostname)>,
}

impl PortFace {
    /// The listener that a host belongs to: that with the most specific hostname that covers it. Routes of wider
    /// listeners do not serve it (listener isolation).
    fn owner(&self, hostname: &Hostname) -> Option<&(String, Hostname)> {
        let covering = self.hostnames.iter().filter(|(_, listener)| listener.covers(hostname));
        covering.min_by(|(_, left), (_, right)| left.cmp(right))
    }
}

/// The virtual host of a hostname. It exists where a route of its own listener names it, and for the hostname of each
/// listener, if only to answer 404.
pub(crate) fn host(
    view: &View<'_>,
    gateway: &GatewayKey,
    port: u16,
    hostname: &Hostname,
) -> Option<HostFace> {
    let value = view.port(gateway, port)?;
    let (listener, its_hostname) = value.face.owner(hostname)?;
    let is_named = || view.routes_at(gateway, port, hostname).any(|(_, at)| at == listener);
    (its_hostname == hostname || is_named()).then(|| HostFace { listener: listener.clone() })
}

/// What a route adds to a virtual host; `None` if nothing.
///
/// A request that no route of its most specific hostname takes falls to the routes of wider hostnames of the same
/// listener: so a route stands in every virtual host that one of its hostnames covers, and of several the most
/// specific as written counts.
pub(crate) fn entries(
    view: &View<'_>,
    gateway: &GatewayKey,
    port: u16,
    hostname: &Hostname,
    route: &RouteKey,
) -> Option<Entries> {
    let host = view.host(gateway, port, hostname)?;
    let served = view.served(route)?;
    let rows = served.rows.iter().filter(|row| {
        row.gateway == *gateway
            && row.port == Some(port)
            && row.listener == host.listener
            && row.effective.covers(hostname)
    });
    let original = &rows.min_by(|left, right| left.original.cmp(&right.original))?.original;
    let value = view.port(gateway, port)?;
    let entry = |ordered: &super::http_route::OrderedRoute| {
        let key = OrderKey {
            hostname: original.clone(),
            matches: ordered.precedence,
            created: served.route.created,
            route: route.clone(),
            rule: ordered.rule,
            rule_match: ordered.rule_match,
        };
        (key, xds::encode_route(&ordered.route, hostname, &value.face.listener).into())
    };
    let entries: Vec<_> = served.route.routes.iter().map(entry).collect();
    debug_assert!(entries.is_sorted_by(|(left, _), (right, _)| left.cmp(right) != Ordering::Equal));
    (!entries.is_empty()).then_some(Entries(entries))
}
