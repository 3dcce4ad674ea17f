//! The route table of a port: which routes stand under which host, in which order.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crds::NamespacedName;
use ir::{Hostname, RouteIr, RouteMatch, VirtualHost, VirtualHostName};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::attach::AttachedHostname;
use super::http_route::TranslatedRoute;

/// A listener on the port, with the routes that attach to it.
pub(crate) struct ListenerRoutes<'a> {
    pub hostname: Hostname,
    pub routes: Vec<RouteAtListener<'a>>,
}

/// A route at a listener.
pub(crate) struct RouteAtListener<'a> {
    pub key: &'a NamespacedName,
    pub created: Option<&'a Time>,
    pub hostnames: &'a [AttachedHostname],
    pub translated: &'a TranslatedRoute,
}

/// Where a route stands among those of its virtual host. What sorts first is tried first: the more
/// specific hostname as written, then the match, then the older route, then its name, then its
/// place in the spec (Gateway API, `HTTPRouteSpec.hostnames` and `HTTPRouteRule.matches`).
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Precedence<'a> {
    hostname: &'a Hostname,
    matches: ir::Precedence,
    /// A route without a time (a file) counts as oldest: all of a folder are alike, and the name
    /// decides.
    created: Option<&'a Time>,
    route: &'a NamespacedName,
    rule: usize,
    rule_match: usize,
    /// Makes the order total where two matches of one place differ in content only.
    content: &'a RouteMatch,
}

/// Builds the virtual hosts of a port, the most specific hostname first.
///
/// A host belongs to the listener with the most specific hostname that covers it, and routes of
/// wider listeners do not serve it (listener isolation); so a listener's own hostname always has a
/// virtual host, if only to answer 404. Within a listener, a request that no route of its most
/// specific hostname takes falls to the routes of wider hostnames: precedence is not exclusion.
pub(crate) fn virtual_hosts(listeners: &[ListenerRoutes<'_>]) -> Vec<VirtualHost> {
    let mut hosts = BTreeMap::new();
    for listener in listeners {
        let effective =
            listener.routes.iter().flat_map(|route| route.hostnames).map(|hostname| &hostname.effective);
        let served: BTreeSet<_> = effective.chain([&listener.hostname]).collect();
        let by_hostname = index(listener);
        for hostname in served.into_iter().filter(|hostname| owns(listener, hostname, listeners)) {
            hosts.insert(hostname.clone(), routes_of(listener, &by_hostname, hostname));
        }
    }
    let build = |(hostname, routes): (Hostname, Vec<RouteIr>)| {
        let name = VirtualHostName::new(&hostname.to_string());
        VirtualHost { name, hostname, routes }
    };
    hosts.into_iter().map(build).collect()
}

/// Whether no other listener on the port covers the host with a more specific hostname.
fn owns(listener: &ListenerRoutes<'_>, hostname: &Hostname, all: &[ListenerRoutes<'_>]) -> bool {
    !all.iter().any(|other| other.hostname < listener.hostname && other.hostname.covers(hostname))
}

/// The hostnames of a listener's routes, each with the number of its route, by what of them is served.
/// Every host looks up the few that cover it; to try all at every host would take the square of them.
type ByHostname<'a> = HashMap<&'a Hostname, Vec<(usize, &'a AttachedHostname)>>;

fn index<'a>(listener: &'a ListenerRoutes<'_>) -> ByHostname<'a> {
    let mut by_hostname = ByHostname::new();
    for (number, route) in listener.routes.iter().enumerate() {
        for attached in route.hostnames {
            by_hostname.entry(&attached.effective).or_default().push((number, attached));
        }
    }
    by_hostname
}

/// The routes that serve a host, in order.
fn routes_of(
    listener: &ListenerRoutes<'_>,
    by_hostname: &ByHostname<'_>,
    hostname: &Hostname,
) -> Vec<RouteIr> {
    // Of several hostnames of one route, that which is the most specific as written.
    let mut covering: BTreeMap<usize, &AttachedHostname> = BTreeMap::new();
    for wider in hostname.covering() {
        for (number, attached) in by_hostname.get(&wider).into_iter().flatten() {
            let chosen = covering.entry(*number).or_insert(attached);
            if attached.original < chosen.original {
                *chosen = attached;
            }
        }
    }
    let mut ordered: Vec<(Precedence<'_>, &RouteIr)> = Vec::new();
    for (number, attached) in covering {
        let Some(route) = listener.routes.get(number) else { continue };
        ordered.extend(route.translated.routes.iter().map(|ordered| {
            let precedence = Precedence {
                hostname: &attached.original,
                matches: ordered.precedence,
                created: route.created,
                route: route.key,
                rule: ordered.rule,
                rule_match: ordered.rule_match,
                content: &ordered.route.matches,
            };
            (precedence, &ordered.route)
        }));
    }
    ordered.sort_by(|(left, _), (right, _)| left.cmp(right));
    ordered.into_iter().map(|(_, route)| route.clone()).collect()
}
