//! Which route takes a request: what Envoy does with its virtual hosts is held against a plain re-statement of the
//! specification (`ListenerEntry.hostname`, `HTTPRouteSpec.hostnames` as of 1.7, `HTTPRouteRule.matches`).

#[path = "support/envoy_match.rs"]
mod envoy_match;
mod random;

use std::cmp::Reverse;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proto::route::VirtualHost;
use random::resources;
use serde_json::{Value, json};
use translator::xds::XdsResources;
use translator::{Settings, translate};

const HOSTNAMES: [&str; 6] =
    ["*.com", "*.example.com", "a.example.com", "b.example.com", "*.a.example.com", "x.a.example.com"];
const HOSTS: [&str; 6] =
    ["a.example.com", "b.example.com", "c.example.com", "x.a.example.com", "other.com", "other.org"];

#[derive(Clone, Debug)]
struct Match {
    exact: bool,
    path: &'static str,
    post: bool,
    headers: Vec<&'static str>,
}

#[derive(Clone, Debug)]
struct Route {
    hostnames: Vec<&'static str>,
    created: Option<&'static str>,
    rules: Vec<Vec<Match>>,
}

#[derive(Clone, Debug)]
struct Request {
    host: &'static str,
    path: &'static str,
    post: bool,
    headers: Vec<&'static str>,
}

fn one_match() -> impl Strategy<Value = Match> {
    let headers = subsequence(vec!["x", "y"], 0..=2);
    (any::<bool>(), select(vec!["/", "/a", "/a/b"]), any::<bool>(), headers)
        .prop_map(|(exact, path, post, headers)| Match { exact, path, post, headers })
}

fn one_route() -> impl Strategy<Value = Route> {
    let created = option::of(select(vec!["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]));
    let rules = vec(vec(one_match(), 1..3), 1..3);
    (subsequence(HOSTNAMES.to_vec(), 0..=3), created, rules).prop_map(|(hostnames, created, rules)| Route {
        hostnames,
        created,
        rules,
    })
}

fn one_request() -> impl Strategy<Value = Request> {
    let path = select(vec!["/", "/a", "/ab", "/a/b", "/a/b/c", "/z"]);
    let headers = subsequence(vec!["x", "y"], 0..=2);
    (select(HOSTS.to_vec()), path, any::<bool>(), headers).prop_map(|(host, path, post, headers)| Request {
        host,
        path,
        post,
        headers,
    })
}

/// Whether a hostname of a listener or route is meant by a host; absent: every host.
fn covers(hostname: Option<&str>, host: &str) -> bool {
    match hostname.map(|hostname| (hostname, hostname.strip_prefix('*'))) {
        None => true,
        Some((_, Some(suffix))) => host.len() > suffix.len() && host.ends_with(suffix),
        Some((name, None)) => host == name,
    }
}

/// What is less is more specific: names, then wildcards, the longest first, then every host.
fn specificity(hostname: Option<&str>) -> (u8, Reverse<usize>) {
    match hostname {
        Some(name) if !name.starts_with('*') => (0, Reverse(name.len())),
        Some(wildcard) => (1, Reverse(wildcard.len())),
        None => (2, Reverse(0)),
    }
}

impl Match {
    fn json(&self) -> Value {
        let headers: Vec<_> = self.headers.iter().map(|name| json!({"name": name, "value": "1"})).collect();
        let kind = if self.exact { "Exact" } else { "PathPrefix" };
        let method = self.post.then_some("POST");
        json!({"path": {"type": kind, "value": self.path}, "headers": headers, "method": method})
    }

    fn takes(&self, request: &Request) -> bool {
        let is_below =
            self.path == "/" || format!("{}/", request.path).starts_with(&format!("{}/", self.path));
        (if self.exact { request.path == self.path } else { is_below })
            && (!self.post || request.post)
            && self.headers.iter().all(|name| request.headers.contains(name))
    }
}

/// By the specification: which match of which rule of which route.
fn expected(listeners: &[Option<&'static str>], routes: &[Route], request: &Request) -> Option<String> {
    // A host belongs to the most specific listener that covers it. Every route here attaches to all of them.
    let covering = listeners.iter().filter(|listener| covers(**listener, request.host));
    covering.min_by_key(|listener| specificity(**listener))?;
    let mut candidates = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        let every_host = [None];
        let named: Vec<_> = route.hostnames.iter().map(|name| Some(*name)).collect();
        let hostnames = if named.is_empty() { &every_host[..] } else { &named };
        let covering = hostnames.iter().filter(|hostname| covers(**hostname, request.host));
        let Some(best) = covering.map(|hostname| specificity(*hostname)).min() else { continue };
        for (rule, matches) in route.rules.iter().enumerate() {
            for (index, it) in matches.iter().enumerate().filter(|(_, it)| it.takes(request)) {
                let matched = (!it.exact, Reverse(it.path.len()), !it.post, Reverse(it.headers.len()));
                // Routes are named by number. One without a time is the oldest.
                let key = (best, matched, route.created, number, rule, index);
                candidates.push((key, format!("httproute/default/r{number}/{rule}/{index}")));
            }
        }
    }
    candidates.into_iter().min().map(|(_, name)| name)
}

/// The name of the route that Envoy takes.
fn served(hosts: &[VirtualHost], request: &Request) -> Option<String> {
    let domain = |host: &VirtualHost| host.domains[0].clone();
    let fits = |domain: &str| covers(Some(domain).filter(|domain| *domain != "*"), request.host);
    let hosts = hosts.iter().filter(|host| fits(&domain(host)));
    let host = hosts.min_by_key(|host| specificity(Some(domain(host).as_str()).filter(|it| *it != "*")))?;
    let routes = host.routes.iter().filter(|route| route.name != "malformed-host");
    let header = |name: &str| match name {
        ":method" => Some(if request.post { "POST" } else { "GET" }),
        name => request.headers.contains(&name).then_some("1"),
    };
    let mut taking =
        routes.filter(|route| envoy_match::takes(route.r#match.as_ref().unwrap(), request.path, header));
    taking.next().map(|route| route.name.clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_route_that_the_specification_says_takes_a_request(
        named in subsequence(HOSTNAMES.to_vec(), 0..=3),
        every_host: bool,
        routes in vec(one_route(), 1..5),
        requests in vec(one_request(), 30),
    ) {
        let listeners: Vec<Option<&'static str>> =
            named.iter().copied().map(Some).chain((every_host || named.is_empty()).then_some(None)).collect();
        let api = "gateway.networking.k8s.io/v1";
        let spec = listeners.iter().enumerate().map(|(number, hostname)| {
            json!({"name": format!("l{number}"), "port": 80, "protocol": "HTTP", "hostname": hostname})
        });
        let mut world = vec![json!({"apiVersion": api, "kind": "Gateway",
            "metadata": {"name": "gw", "namespace": "default"},
            "spec": {"gatewayClassName": "chancery", "listeners": spec.collect::<Vec<_>>()}})];
        world.extend(routes.iter().enumerate().map(|(number, route)| {
            let matches = |matches: &Vec<Match>| matches.iter().map(Match::json).collect::<Vec<_>>();
            let rules: Vec<_> = route.rules.iter().map(|rule| json!({"matches": matches(rule)})).collect();
            json!({"apiVersion": api, "kind": "HTTPRoute",
                "metadata": {"name": format!("r{number}"), "namespace": "default", "creationTimestamp": route.created},
                "spec": {"parentRefs": [{"name": "gw"}], "hostnames": route.hostnames, "rules": rules}})
        }));
        let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
        let translation = translate(&resources(&world), &settings);
        let output = translation.gateways.values().next().unwrap();
        let all = XdsResources::decode(output.resources.values().map(|resource| &**resource));
        let hosts = &all.routes["http/80"].virtual_hosts;
        for request in &requests {
            prop_assert_eq!(served(hosts, request), expected(&listeners, &routes, request), "{:?}", request);
        }
    }
}
