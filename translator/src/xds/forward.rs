//! Forwarding, by weight, to destinations that may differ in more than their cluster.
//!
//! Envoy's weighted clusters share one path rewrite, and none of them can be an answer of its own.
//! Destinations that agree in that become one route. Otherwise each gets a route of its own, with the
//! same match and a share of the random numbers: Envoy draws one number per request and compares every
//! route's fraction with it, so that cumulative fractions divide the traffic exactly.
//!
//! ```text
//! 50/30/20   match, number < 500000 ──► first
//!            match, number < 800000 ──► second
//!            match                  ──► third
//! ```

use std::collections::HashMap;
use std::time::Duration;

use ir::{
    ClusterName, Clusters, Destination, DirectResponse, FollowedRedirects, Forward, HostRewrite, Mirror,
    PathRewrite, RouteIr, Target,
};
use proto::core::Metadata;
use proto::route::route_action::{
    ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, UpgradeConfig,
};
use proto::route::weighted_cluster::ClusterWeight;
use proto::route::{InternalRedirectPolicy, Route, RouteAction, RouteMatch, WeightedCluster, route};
use proto::wkt::Any;
use proto::{bool_value, duration, u32_value, u64_value};

use super::engine;
use super::header::HeaderEdits;
use super::local_route::direct_response;
use super::matcher::{FRACTION_DENOMINATOR, below_fraction, build_match};
use super::mirror;
use super::optional_filters::enabled;
use super::priority_groups;
use super::retry;
use super::rewrite::{self, EnvoyRewrite};
use super::target_filter;

/// The Envoy routes of a forwarding rule.
pub(super) fn build_routes(ir: &RouteIr, forward: &Forward) -> Vec<Route> {
    let weighted = forward.destinations.iter().enumerate().filter(|(_, destination)| destination.weight > 0);
    let shares: Vec<_> =
        weighted.map(|(index, destination)| Share::new(index, destination, ir, forward)).collect();
    let matches = build_match(&ir.matches);
    match shares.as_slice() {
        [] => Vec::new(),
        [first, rest @ ..] if rest.iter().all(|share| share.outcome == first.outcome) => {
            vec![first.route(ir.name.to_string(), matches, forward)]
        }
        _ => match weighted_route(ir, &matches, forward, &shares) {
            Some(route) => vec![route],
            None => split_routes(ir, &matches, forward, &shares),
        },
    }
}

/// One destination with all that its requests get, from the rule and from itself.
struct Share<'a> {
    /// Its place among the rule's destinations.
    index: usize,
    weight: u32,
    outcome: Outcome<'a>,
}

#[derive(PartialEq)]
enum Outcome<'a> {
    Cluster { clusters: &'a Clusters, request: HeaderEdits, response: HeaderEdits, target: RequestTarget<'a> },
    Respond { response: &'a DirectResponse, edits: HeaderEdits },
}

/// The request's target as it goes upstream, and what becomes of it there: what destinations of one Envoy route must
/// agree in.
#[derive(Clone, PartialEq)]
struct RequestTarget<'a> {
    host: Option<HostRewrite>,
    path: Option<&'a PathRewrite>,
    /// Whether the connection may become a WebSocket.
    websocket: bool,
    /// Where copies go, beside those of the rule.
    mirrors: &'a [Mirror],
    /// Metadata belong to a route, so that destinations with different policies have routes of their own.
    ai_policy: Option<&'a str>,
}

impl<'a> Share<'a> {
    fn new(index: usize, destination: &'a Destination, ir: &'a RouteIr, forward: &'a Forward) -> Self {
        let outcome = match &destination.target {
            Target::Cluster {
                clusters,
                request_headers,
                response_headers,
                rewrite,
                websocket,
                mirrors,
                ai_policy,
            } => {
                let mut request = HeaderEdits::compose([&ir.request_headers, request_headers]);
                let rewritten = rewrite.host.as_ref().or(forward.rewrite.host.as_ref());
                let edited = request.host.take();
                let target = RequestTarget {
                    host: rewritten.cloned().or(edited.map(HostRewrite::Literal)),
                    path: rewrite.path.as_ref().or(forward.rewrite.path.as_ref()),
                    websocket: *websocket,
                    mirrors,
                    ai_policy: ai_policy.as_deref(),
                };
                let response = HeaderEdits::compose([response_headers, &ir.response_headers]);
                Outcome::Cluster { clusters, request, response, target }
            }
            Target::Respond(response) => {
                Outcome::Respond { response, edits: HeaderEdits::compose([&ir.response_headers]) }
            }
        };
        Self { index, weight: destination.weight, outcome }
    }

    /// A route that sends everything here.
    fn route(&self, name: String, matches: RouteMatch, forward: &Forward) -> Route {
        match &self.outcome {
            Outcome::Cluster { clusters, request, response, target } => {
                let action = match clusters {
                    Clusters::One(cluster) => {
                        let specifier = ClusterSpecifier::Cluster(cluster.to_string());
                        one_of_many(specifier, target, forward)
                    }
                    Clusters::Groups(groups) => RouteAction {
                        retry_policy: Some(priority_groups::retry_policy(groups, &forward.timeouts)),
                        ..route_action(
                            priority_groups::specifier(groups),
                            target,
                            forward.timeouts.request,
                            forward,
                        )
                    },
                };
                let pool = match clusters {
                    Clusters::One(_) => None,
                    Clusters::Groups(groups) => Some(groups.as_slice()),
                };
                let mut filters = target_filter_config(target);
                if pool.is_some() {
                    filters.extend(enabled(&[engine::NAME]));
                }
                // What the next attempt sends again: of a pool as much as the engine reads.
                let repeated = match pool {
                    Some(_) => Some(u64::from(ai_config::MAX_REQUEST_BYTES)),
                    None => forward.retry.as_ref().map(|_| retry::MAX_BODY_BYTES),
                };
                Route {
                    typed_per_filter_config: filters,
                    metadata: ai_metadata(target, pool),
                    request_body_buffer_limit: repeated.map(u64_value),
                    ..route(name, matches, route::Action::Route(action), request.clone(), response.clone())
                }
            }
            Outcome::Respond { response, edits } => {
                route(name, matches, direct_response(response), HeaderEdits::default(), edits.clone())
            }
        }
    }
}

/// One route for all shares, if they are clusters and agree in the request's target.
fn weighted_route(
    ir: &RouteIr,
    matches: &RouteMatch,
    forward: &Forward,
    shares: &[Share<'_>],
) -> Option<Route> {
    // Envoy rejects weights whose sum does not fit.
    u32::try_from(shares.iter().map(|share| u64::from(share.weight)).sum::<u64>()).ok()?;
    let mut common: Option<&RequestTarget<'_>> = None;
    let mut clusters = Vec::with_capacity(shares.len());
    for share in shares {
        let Outcome::Cluster { clusters: Clusters::One(name), request, response, target } = &share.outcome
        else {
            return None;
        };
        if **common.get_or_insert(target) != *target {
            return None;
        }
        clusters.push(ClusterWeight {
            name: name.to_string(),
            weight: Some(u32_value(share.weight)),
            request_headers_to_add: request.add.clone(),
            request_headers_to_remove: request.remove.clone(),
            response_headers_to_add: response.add.clone(),
            response_headers_to_remove: response.remove.clone(),
            ..ClusterWeight::default()
        });
    }
    let weighted = WeightedCluster { clusters, ..WeightedCluster::default() };
    let target = common?;
    let specifier = ClusterSpecifier::WeightedClusters(weighted);
    let action = one_of_many(specifier, target, forward);
    let none = HeaderEdits::default;
    Some(Route {
        typed_per_filter_config: target_filter_config(target),
        metadata: ai_metadata(target, None),
        request_body_buffer_limit: forward.retry.as_ref().map(|_| u64_value(retry::MAX_BODY_BYTES)),
        ..route(ir.name.to_string(), matches.clone(), route::Action::Route(action), none(), none())
    })
}

/// A route for each share, the last without a fraction.
fn split_routes(ir: &RouteIr, matches: &RouteMatch, forward: &Forward, shares: &[Share<'_>]) -> Vec<Route> {
    let total = shares.iter().map(|share| u64::from(share.weight)).sum::<u64>();
    let mut before = 0;
    let build = |share: &Share<'_>| {
        before += u64::from(share.weight);
        let matches = match fraction(before, total) {
            FRACTION_DENOMINATOR.. => matches.clone(),
            numerator => below_fraction(matches.clone(), numerator),
        };
        share.route(ir.name.share(share.index).to_string(), matches, forward)
    };
    shares.iter().map(build).collect()
}

/// `part` of `total` as a numerator over [`FRACTION_DENOMINATOR`], rounded to the nearest; less than
/// the whole as long as `part` is.
pub(super) fn fraction(part: u64, total: u64) -> u32 {
    if part >= total {
        return FRACTION_DENOMINATOR;
    }
    let (part, total, denominator) = (u128::from(part), u128::from(total), u128::from(FRACTION_DENOMINATOR));
    let rounded = (part * denominator + total / 2) / total;
    u32::try_from(rounded).unwrap_or(FRACTION_DENOMINATOR).min(FRACTION_DENOMINATOR - 1)
}

fn route(
    name: String,
    matches: RouteMatch,
    action: route::Action,
    request: HeaderEdits,
    response: HeaderEdits,
) -> Route {
    Route {
        name,
        r#match: Some(matches),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        action: Some(action),
        ..Route::default()
    }
}

/// Requests go to a cluster of many endpoints, perhaps several times.
fn one_of_many(cluster: ClusterSpecifier, target: &RequestTarget<'_>, forward: &Forward) -> RouteAction {
    RouteAction {
        retry_policy: forward.retry.as_ref().map(|retry| retry::policy(retry, &forward.timeouts)),
        ..route_action(cluster, target, total_timeout(forward), forward)
    }
}

fn followed_redirects(ir: &FollowedRedirects) -> InternalRedirectPolicy {
    InternalRedirectPolicy {
        max_internal_redirects: Some(u32_value(ir.max)),
        redirect_response_codes: ir.codes.iter().map(|code| u32::from(*code)).collect(),
        allow_cross_scheme_redirect: ir.crosses_schemes,
        response_headers_to_copy: ir.copied_headers.clone(),
        ..InternalRedirectPolicy::default()
    }
}

/// Whether a client may ask for the connection to become a WebSocket (RFC 6455), where the listener does not say it.
fn upgrades(target: &RequestTarget<'_>, forward: &Forward) -> Option<UpgradeConfig> {
    let may = forward.websocket.filter(|_| !forward.to_ai).unwrap_or(target.websocket);
    let is_refused = forward.to_ai || forward.websocket.is_some();
    let enabled = (is_refused && !may).then(|| bool_value(false));
    (enabled.is_some() || may).then(|| UpgradeConfig {
        upgrade_type: "websocket".to_owned(),
        enabled,
        ..UpgradeConfig::default()
    })
}

fn route_action(
    cluster: ClusterSpecifier,
    target: &RequestTarget<'_>,
    timeout: Option<Duration>,
    forward: &Forward,
) -> RouteAction {
    let mut action = RouteAction {
        cluster_specifier: Some(cluster),
        host_rewrite_specifier: target.host.as_ref().map(host_rewrite),
        // Only a cluster that Envoy refused is missing, which waiting does not change; unset would be 503.
        cluster_not_found_response_code: ClusterNotFoundResponseCode::InternalServerError.into(),
        // Zero is no limit; unset would be Envoy's 15 seconds.
        timeout: Some(duration(timeout.unwrap_or_default())),
        // Likewise; unset would be the listener's.
        idle_timeout: Some(duration(forward.timeouts.idle.unwrap_or_default())),
        request_mirror_policies: forward
            .mirrors
            .iter()
            .chain(target.mirrors)
            .map(|ir| mirror::policy(ir, &forward.mirror_host))
            .collect(),
        internal_redirect_policy: forward.follows.as_deref().map(followed_redirects),
        upgrade_configs: upgrades(target, forward).into_iter().collect(),
        ..RouteAction::default()
    };
    match target.path.filter(|path| !has_query(path)).and_then(envoy_rewrite) {
        Some(EnvoyRewrite::Prefix(to)) => action.prefix_rewrite = to,
        Some(EnvoyRewrite::Regex(rewrite)) => action.regex_rewrite = Some(rewrite),
        None => {}
    }
    action
}

fn host_rewrite(ir: &HostRewrite) -> HostRewriteSpecifier {
    match ir {
        HostRewrite::Literal(host) => HostRewriteSpecifier::HostRewriteLiteral(host.clone()),
        HostRewrite::OfEndpoint => HostRewriteSpecifier::AutoHostRewrite(bool_value(true)),
    }
}

/// Whether the new path brings a query. Envoy's rewrites know paths alone and would put the request's own
/// query behind it with a second question mark.
fn has_query(ir: &PathRewrite) -> bool {
    match ir {
        PathRewrite::Keep | PathRewrite::Regex { .. } => false,
        PathRewrite::Full(to) | PathRewrite::Prefix { to, .. } => to.contains('?'),
    }
}

fn target_filter_config(target: &RequestTarget<'_>) -> HashMap<String, Any> {
    match target.path.filter(|path| has_query(path)) {
        None | Some(PathRewrite::Keep | PathRewrite::Regex { .. }) => HashMap::new(),
        Some(PathRewrite::Full(to)) => target_filter::rewrite_with_query(None, to),
        Some(PathRewrite::Prefix { from, to }) => {
            target_filter::rewrite_with_query(Some(from.trim_end_matches('/')), to)
        }
    }
}

fn envoy_rewrite(ir: &PathRewrite) -> Option<EnvoyRewrite> {
    match ir {
        PathRewrite::Keep => None,
        PathRewrite::Full(to) => Some(rewrite::replace_full(to)),
        PathRewrite::Regex { pattern, substitution } => Some(rewrite::replace_regex(pattern, substitution)),
        PathRewrite::Prefix { from, to } => Some(rewrite::replace_prefix(from, to)),
    }
}

/// What the route asks of the AI engine, where the engine finds it: it stands in metadata and not in a configuration of
/// its filter, so that Envoy takes a route table whether it can load the engine or not.
fn ai_metadata(target: &RequestTarget<'_>, pool: Option<&[Vec<ClusterName>]>) -> Option<Metadata> {
    let policy = target.ai_policy.map(|policy| (ai_config::POLICY_KEY, policy.to_owned()));
    let pool = pool.map(|groups| (ai_config::POOL_KEY, priority_groups::pool(groups)));
    engine::metadata(policy.into_iter().chain(pool))
}

/// The limit of a request. Without retries there is one attempt, so its limit is the request's too.
fn total_timeout(forward: &Forward) -> Option<Duration> {
    let attempt = forward.timeouts.backend_request.filter(|_| forward.retry.is_none());
    [forward.timeouts.request, attempt].into_iter().flatten().filter(|limit| !limit.is_zero()).min()
}
