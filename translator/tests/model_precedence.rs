//! Precedence among routes is the same whether a match is on a header that the client sends, or on the model that the AI
//! engine reads: what Envoy does with its routes in two passes is held against Gateway API's rules for one.

#[path = "support/envoy_match.rs"]
mod envoy_match;
mod random;

use std::cmp::Reverse;

use ir::ModuleSource;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proto::route::{Route, RouteMatch};
use random::resources;
use serde_json::{Value, json};
use translator::xds::XdsResources;
use translator::{AiEngine, Settings, translate};

const MODEL: &str = "x-gateway-model-name";

/// A match of a rule.
#[derive(Clone, Debug)]
struct Match {
    exact: bool,
    path: &'static str,
    post: bool,
    team: Option<&'static str>,
    model: Option<&'static str>,
}

/// A request with what the client says of the model, and with the one that it names.
#[derive(Clone, Debug)]
struct Request {
    path: &'static str,
    post: bool,
    team: Option<&'static str>,
    forged: Option<&'static str>,
    model: Option<&'static str>,
}

fn one_match() -> impl Strategy<Value = Match> {
    let path = select(vec!["/", "/v1", "/v1/chat"]);
    (
        any::<bool>(),
        path,
        any::<bool>(),
        option::of(select(vec!["a", "b"])),
        option::of(select(vec!["m", "n"])),
    )
        .prop_map(|(exact, path, post, team, model)| Match { exact, path, post, team, model })
}

fn one_request() -> impl Strategy<Value = Request> {
    let model = || option::of(select(vec!["m", "n", "o"]));
    let path = select(vec!["/", "/v1", "/v1/chat", "/v1/chat/x", "/v2"]);
    (path, any::<bool>(), option::of(select(vec!["a", "b"])), model(), model())
        .prop_map(|(path, post, team, forged, model)| Request { path, post, team, forged, model })
}

impl Match {
    fn json(&self) -> Value {
        let header =
            |name: &str, value: Option<&str>| value.map(|value| json!({"name": name, "value": value}));
        let headers: Vec<_> =
            [header("x-team", self.team), header(MODEL, self.model)].into_iter().flatten().collect();
        let kind = if self.exact { "Exact" } else { "PathPrefix" };
        let mut json = json!({"path": {"type": kind, "value": self.path}, "headers": headers});
        if self.post {
            json["method"] = json!("POST");
        }
        json
    }

    fn takes(&self, request: &Request) -> bool {
        let is_below = self.path == "/"
            || request.path == self.path
            || request.path.strip_prefix(self.path).is_some_and(|rest| rest.starts_with('/'));
        (if self.exact { request.path == self.path } else { is_below })
            && (!self.post || request.post)
            && self.team.is_none_or(|team| request.team == Some(team))
            && self.model.is_none_or(|model| request.model == Some(model))
    }

    /// What is less comes first.
    fn rank(&self) -> impl Ord + use<> {
        let headers = usize::from(self.team.is_some()) + usize::from(self.model.is_some());
        (!self.exact, Reverse(self.path.len()), !self.post, Reverse(headers))
    }
}

/// By the specification: the place of the match that takes the request.
fn expected(rules: &[Vec<Match>], request: &Request) -> Option<String> {
    let places = rules.iter().enumerate().flat_map(|(rule, matches)| {
        matches.iter().enumerate().map(move |(index, it)| (it.rank(), rule, index, it))
    });
    let best = places
        .filter(|(.., it)| it.takes(request))
        .min_by(|left, right| (&left.0, left.1, left.2).cmp(&(&right.0, right.1, right.2)))?;
    Some(format!("httproute/default/r/{}/{}", best.1, best.2))
}

/// The name of the route that Envoy ends at. What the engine does between two passes is done here.
fn served(routes: &[Route], request: &Request) -> Option<String> {
    let find = |is_read: bool, model: Option<&str>| {
        let first =
            routes.iter().find(|route| takes(route.r#match.as_ref().unwrap(), request, is_read, model))?;
        Some(first.name.clone())
    };
    let first = find(false, request.forged)?;
    if first.ends_with("/model") { find(true, request.model) } else { Some(first) }
}

fn takes(matches: &RouteMatch, request: &Request, is_read: bool, model: Option<&str>) -> bool {
    let header = |name: &str| match name {
        ":method" => Some(if request.post { "POST" } else { "GET" }),
        "x-team" => request.team,
        MODEL => model,
        other => panic!("{other}"),
    };
    envoy_match::takes(matches, request.path, header) && (matches.dynamic_metadata.is_empty() || !is_read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_model_decides_like_a_header(
        rules in vec(vec(one_match(), 1..4), 1..5),
        requests in vec(one_request(), 20),
    ) {
        let spec: Vec<_> = rules
            .iter()
            .map(|matches| json!({"matches": matches.iter().map(Match::json).collect::<Vec<_>>()}))
            .collect();
        let meta = |name: &str| json!({"name": name, "namespace": "default"});
        let api = "gateway.networking.k8s.io/v1";
        let world = [
            json!({"apiVersion": api, "kind": "Gateway", "metadata": meta("gw"), "spec": {
                "gatewayClassName": "chancery", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]}}),
            json!({"apiVersion": api, "kind": "HTTPRoute", "metadata": meta("r"), "spec": {
                "parentRefs": [{"name": "gw"}], "rules": spec}}),
        ];
        let settings = Settings {
            implied_classes: vec!["chancery".to_owned()],
            ai_engine: AiEngine::Available(ModuleSource::File("/m.so".to_owned())),
            ..Settings::default()
        };
        let translation = translate(&resources(&world), &settings);
        let output = translation.gateways.values().next().unwrap();
        let all = XdsResources::decode(output.resources.values().map(|resource| &**resource));
        let routes = &all.routes["http/80"].virtual_hosts[0].routes[1..];
        for request in &requests {
            prop_assert_eq!(served(routes, request), expected(&rules, request), "{:?}", request);
        }
    }
}
