use std::time::Duration;

use ir::{
    DirectResponse, Forward, HeaderModifier, Hostname, PathRewrite, Rewrite, RouteAction, RouteIr, Target,
    Timeouts,
};
use proto::route::route_action::{ClusterSpecifier, HostRewriteSpecifier};
use proto::route::{self, Route};

use super::sample::{
    ORIGIN, forward, plain_forward, provider_rewrite, route, service, set, to_cluster, to_error, to_rewritten,
};
use crate::xds::route::build_routes;

/// One line per Envoy route: name, fraction, target, rewrites, edits of headers.
fn show(ir: RouteIr) -> Vec<String> {
    build_routes(&ir, &Hostname::parse("a.com"), &ORIGIN).iter().map(show_route).collect()
}

fn show_route(route: &Route) -> String {
    let name = route.name.strip_prefix("httproute/default/sample/0/0").unwrap();
    let fraction = route.r#match.as_ref().unwrap().runtime_fraction.as_ref();
    let fraction =
        fraction.map(|fraction| format!("<{}", fraction.default_value.as_ref().unwrap().numerator));
    let action = match route.action.as_ref().unwrap() {
        route::route::Action::DirectResponse(response) => response.status.to_string(),
        route::route::Action::Route(action) => show_action(action),
        other => panic!("{other:?}"),
    };
    let headers = show_headers(&route.request_headers_to_add, &route.response_headers_to_add);
    let parts = [name.to_owned(), fraction.unwrap_or_default(), action, headers];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn show_action(action: &route::RouteAction) -> String {
    let mut shown = match action.cluster_specifier.as_ref().unwrap() {
        ClusterSpecifier::Cluster(name) => short(name),
        ClusterSpecifier::WeightedClusters(weighted) => {
            let clusters = weighted.clusters.iter().map(|cluster| {
                let headers = show_headers(&cluster.request_headers_to_add, &cluster.response_headers_to_add);
                format!("{}:{}{headers}", short(&cluster.name), cluster.weight.unwrap().value)
            });
            clusters.collect::<Vec<_>>().join("+")
        }
        other => panic!("{other:?}"),
    };
    if let Some(HostRewriteSpecifier::HostRewriteLiteral(host)) = &action.host_rewrite_specifier {
        shown += &format!(" host {host}");
    }
    if !action.prefix_rewrite.is_empty() {
        shown += &format!(" prefix {}", action.prefix_rewrite);
    }
    if let Some(rewrite) = &action.regex_rewrite {
        shown += &format!(" path {}", rewrite.substitution);
    }
    shown
}

fn show_headers(
    request: &[proto::core::HeaderValueOption],
    response: &[proto::core::HeaderValueOption],
) -> String {
    let show = |direction: &str, options: &[proto::core::HeaderValueOption]| {
        let headers = options.iter().filter_map(|option| option.header.as_ref());
        headers.map(|header| format!("{direction}{}={}", header.key, header.value)).collect::<String>()
    };
    show(">", request) + &show("<", response)
}

fn short(cluster: &str) -> String {
    cluster.trim_start_matches("service/default/").trim_end_matches("/80").to_owned()
}

#[test]
fn destinations_that_differ_in_the_cluster_alone_share_one_route() {
    for (destinations, expected) in [
        (vec![to_cluster(1, service("a"))], "a"),
        (vec![to_cluster(70, service("a")), to_cluster(30, service("b"))], "a:70+b:30"),
        (vec![to_cluster(70, service("a")), to_cluster(0, service("b"))], "a"),
        (vec![to_cluster(1, service("a")), to_cluster(2, service("a"))], "a"),
        (vec![to_error(1)], "500"),
        (vec![to_error(1), to_error(2)], "500"),
        (
            vec![
                to_rewritten(1, service("a"), provider_rewrite("x.com", "/p")),
                to_rewritten(1, service("b"), provider_rewrite("x.com", "/p")),
            ],
            "a:1+b:1 host x.com path /p",
        ),
    ] {
        assert_eq!(show(route("/", forward(destinations))), [expected]);
    }
}

#[test]
fn destinations_that_differ_otherwise_get_cumulative_fractions() {
    let a = |weight| to_rewritten(weight, service("a"), provider_rewrite("a.com", "/a"));
    let b = |weight| to_rewritten(weight, service("b"), provider_rewrite("b.com", "/b"));
    for (destinations, expected) in [
        (
            vec![a(50), b(30), to_error(20)],
            vec!["/0 <500000 a host a.com path /a", "/1 <800000 b host b.com path /b", "/2 500"],
        ),
        (vec![a(0), b(1), to_error(2)], vec!["/1 <333333 b host b.com path /b", "/2 500"]),
        (vec![to_error(2), b(1), a(0)], vec!["/0 <666667 500", "/1 b host b.com path /b"]),
        (
            vec![a(u32::MAX), b(u32::MAX), to_error(1)],
            vec!["/0 <500000 a host a.com path /a", "/1 <999999 b host b.com path /b", "/2 500"],
        ),
    ] {
        assert_eq!(show(route("/", forward(destinations))), expected);
    }
}

#[test]
fn weights_whose_sum_envoy_rejects_become_fractions() {
    let destinations = vec![to_cluster(u32::MAX, service("a")), to_cluster(u32::MAX, service("b"))];
    assert_eq!(show(route("/", forward(destinations))), ["/0 <500000 a", "/1 b"]);
}

#[test]
fn a_destinations_rewrite_wins_over_the_rules_part_by_part() {
    let rule = provider_rewrite("rule.com", "/rule");
    let host_only = Rewrite { path: None, ..provider_rewrite("own.com", "") };
    let path_only = Rewrite { host: None, ..provider_rewrite("", "/own") };
    for (own, expected) in [
        (Rewrite::default(), "a host rule.com path /rule"),
        (host_only, "a host own.com path /rule"),
        (path_only, "a host rule.com path /own"),
    ] {
        let action =
            Forward { rewrite: rule.clone(), ..plain_forward(vec![to_rewritten(1, service("a"), own)]) };
        assert_eq!(show(route("/", RouteAction::Forward(action))), [expected]);
    }
}

#[test]
fn a_destinations_headers_come_after_the_routes_in_requests_and_before_them_in_responses() {
    let mut own = to_cluster(1, service("a"));
    if let Target::Cluster { request_headers, response_headers, .. } = &mut own.target {
        *request_headers = set("q", "own");
        *response_headers =
            HeaderModifier { add: vec![("own".to_owned(), "1".to_owned())], ..set("p", "own") };
    }
    let mut single = route("/", forward(vec![own.clone()]));
    single.request_headers = set("q", "route");
    single.response_headers = set("p", "route");
    assert_eq!(show(single.clone()), ["a >q=own<own=1<p=route"]);
    single.action = forward(vec![own, to_cluster(1, service("b"))]);
    assert_eq!(show(single), ["a:1>q=own<own=1<p=route+b:1>q=route<p=route"]);
}

#[test]
fn an_edit_of_host_is_a_rewrite_unless_a_rewrite_says_otherwise() {
    let mut edited = route("/", forward(vec![to_cluster(1, service("a"))]));
    edited.request_headers = set("host", "edited.com");
    assert_eq!(show(edited.clone()), ["a host edited.com"]);
    edited.action = forward(vec![to_rewritten(1, service("a"), provider_rewrite("own.com", "/p"))]);
    assert_eq!(show(edited), ["a host own.com path /p"]);
}

#[test]
fn prefixes_are_rewritten_where_no_slash_is_lost() {
    for (to, expected) in [("/new", "a prefix /new"), ("/", "a path /")] {
        let path = PathRewrite::Prefix { from: "/old".to_owned(), to: to.to_owned() };
        let rewrite = Rewrite { host: None, path: Some(path) };
        let destinations = vec![to_rewritten(1, service("a"), rewrite)];
        assert_eq!(show(route("/old", forward(destinations))), [expected]);
    }
}

#[test]
fn no_timeout_is_zero_and_the_shorter_one_holds() {
    let millis = |millis: Option<u64>| millis.map(Duration::from_millis);
    for (request, backend_request, expected) in [
        (None, None, 0),
        (Some(0), None, 0),
        (Some(0), Some(500), 500),
        (Some(700), None, 700),
        (None, Some(500), 500),
        (Some(700), Some(500), 500),
        (Some(300), Some(500), 300),
    ] {
        let timeouts =
            Timeouts { request: millis(request), backend_request: millis(backend_request), idle: None };
        let action = Forward { timeouts, ..plain_forward(vec![to_cluster(1, service("a"))]) };
        let route = route("/", RouteAction::Forward(action));
        let routes = build_routes(&route, &Hostname::parse("a.com"), &ORIGIN);
        let Some(route::route::Action::Route(action)) = &routes[0].action else { panic!("{routes:?}") };
        let timeout = Duration::from_millis(expected);
        assert_eq!(action.timeout, Some(proto::duration(timeout)), "{request:?} {backend_request:?}");
        assert_eq!(action.idle_timeout, Some(proto::duration(Duration::ZERO)));
    }
}

#[test]
fn an_error_share_keeps_the_routes_response_headers() {
    let mut error = route("/", forward(vec![to_error(1)]));
    error.request_headers = set("q", "1");
    error.response_headers = set("p", "1");
    assert_eq!(show(error.clone()), ["500 <p=1"]);
    error.action = RouteAction::Respond(DirectResponse::empty(503));
    assert_eq!(show(error), ["503 <p=1"]);
}
