//! Virtual hosts: which exist, and which routes stand in them, in which order.

use std::cmp::Ordering;
use std::sync::Arc;

use ir::Hostname;

use crate::gateway::facts::{
    Entries, HostFace, HostKey, OrderKey, OrderedRoute, RouteContent, RouteKey, Varying,
};
use crate::gateway::view::View;
use crate::xds::{self};

/// The virtual host of a hostname in a route table. It exists where a route of its own listener names it, and for the
/// hostname of each listener, if only to answer 404.
///
/// In the table of an HTTPS listener stand also the hostnames of the other listeners of the port, as far as they are
/// below its own, and, where it has a hostname, every other host: a client may send requests for them on a connection
/// that it has (RFC 9113 §9.1.1), whose TLS settings are not theirs. They are answered 421.
pub(crate) fn host(view: &impl View, key: &HostKey) -> Option<HostFace> {
    let HostKey { gateway, table, hostname } = key;
    let value = view.port(gateway, table.port)?;
    let face = &value.face;
    if !face.has_table(table) {
        return None;
    }
    let own = table.https.as_ref();
    match face.owner(hostname).filter(|owner| owner.table.as_ref() == Some(table)) {
        Some(owner) => {
            let is_named = || view.routes_at(gateway, table, hostname).any(|(_, at)| *at == owner.name);
            (owner.hostname == *hostname || is_named())
                .then(|| HostFace::Of { listener: owner.name.clone(), places: owner.places.clone() })
        }
        None => {
            let own = own?;
            let is_anothers = own.covers(hostname) && face.has_listener_for(hostname);
            let is_every_other = *hostname == Hostname::Any && *own != Hostname::Any;
            (is_anothers || is_every_other).then_some(HostFace::Misdirected)
        }
    }
}

/// What a route adds to a virtual host; `None` if nothing.
///
/// A request that no route of its most specific hostname takes falls to the routes of wider hostnames of the same
/// listener: so a route stands in every virtual host that one of its hostnames covers, and of several the most
/// specific as written counts.
pub(crate) fn entries(view: &impl View, key: &Arc<HostKey>, route: &RouteKey) -> Option<Entries> {
    let HostKey { gateway, table, hostname } = &**key;
    let host = view.host(key)?;
    let HostFace::Of { listener, .. } = &*host else { return None };
    let served = view.served(route)?;
    let rows = served.rows.iter().filter(|row| {
        row.gateway == *gateway
            && row.table.as_ref() == Some(table)
            && row.listener == *listener
            && row.effective.covers(hostname)
    });
    let original = &rows.min_by(|left, right| left.original.cmp(&right.original))?.original;
    let value = view.port(gateway, table.port)?;
    let entry = |ordered: &OrderedRoute| {
        let key = OrderKey {
            hostname: original.clone(),
            matches: ordered.precedence,
            created: served.route.created,
            route: route.name.clone(),
            kind: route.kind,
            rule: ordered.rule,
            rule_match: ordered.rule_match,
        };
        let bytes = match ordered.content.at(gateway, listener) {
            RouteContent::Everywhere(bytes) => bytes.clone(),
            RouteContent::Varying(varying) => match &**varying {
                Varying::ByHost(route) => xds::encode_route(route, hostname, &value.face.listener).into(),
                // Contents of places do not depend on places.
                Varying::ByPlace(_) => Vec::new().into(),
            },
        };
        (key, bytes)
    };
    let entries: Vec<_> = served.route.routes.iter().map(entry).collect();
    debug_assert!(entries.is_sorted_by(|(left, _), (right, _)| left.cmp(right) != Ordering::Equal));
    (!entries.is_empty()).then_some(Entries(entries))
}
