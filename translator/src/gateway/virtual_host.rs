//! The route table of a port: which routes stand under which host, in which order.

use std::collections::{BTreeMap, BTreeSet};

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
struct Precedence<'a, M> {
    hostname: &'a Hostname,
    matches: M,
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
        for hostname in served.into_iter().filter(|hostname| owns(listener, hostname, listeners)) {
            hosts.insert(hostname.clone(), routes_of(listener, hostname));
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

/// The routes that serve a host, in order.
fn routes_of(listener: &ListenerRoutes<'_>, hostname: &Hostname) -> Vec<RouteIr> {
    let mut ordered: Vec<(Precedence<'_, _>, &RouteIr)> = Vec::new();
    for route in &listener.routes {
        let covering = route.hostnames.iter().filter(|attached| attached.effective.covers(hostname));
        let Some(attached) = covering.min_by_key(|attached| &attached.original) else { continue };
        ordered.extend(route.translated.routes.iter().map(|ordered| {
            let precedence = Precedence {
                hostname: &attached.original,
                matches: ordered.route.matches.precedence(),
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
