use proptest::prelude::*;
use serde_json::{Value, json};

use crate::judge;

/// The violations of an HTTPRoute with these fields.
fn route(spec: Value) -> Vec<String> {
    of(
        json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"}, "spec": spec}),
    )
}

fn of(object: Value) -> Vec<String> {
    judge(object).unwrap().violations.iter().map(ToString::to_string).collect()
}

fn gateway(listeners: Value) -> Vec<String> {
    of(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "x"},
        "spec": {"gatewayClassName": "c", "listeners": listeners}}))
}

fn rule(rule: Value) -> Value {
    json!({"rules": [rule]})
}

fn filter(filter: Value) -> Value {
    rule(json!({"filters": [filter]}))
}

fn headers(count: usize) -> Value {
    let header = |index| json!({"name": format!("x-{index}"), "value": "a"});
    filter(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {
        "set": (0..count).map(header).collect::<Vec<_>>()}}))
}

fn path(kind: &str, value: &str) -> Value {
    rule(json!({"matches": [{"path": {"type": kind, "value": value}}]}))
}

fn prefix(path: &str) -> Value {
    rule(json!({
        "matches": [{"path": {"type": path, "value": "/a"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {
            "type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}}}]}))
}

fn timeouts(request: &str, backend: &str) -> Value {
    rule(json!({"timeouts": {"request": request, "backendRequest": backend}}))
}

#[test]
fn routes_with_their_good_twins() {
    let rewrite = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "a.test"}});
    let mut mixed = rewrite.clone();
    mixed["requestHeaderModifier"] = json!({"set": [{"name": "a", "value": "b"}]});
    let set = |value: Value| {
        filter(json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": value}}))
    };
    let rows = [
        (
            filter(rewrite),
            filter(mixed),
            "spec.rules[0].filters[0]: filter.requestHeaderModifier must be nil",
        ),
        (
            set(json!([{"name": "a", "value": "b"}])),
            set(json!([{"name": "a", "value": ""}])),
            "set[0].value: must be at least 1",
        ),
        (
            set(json!([{"name": "a", "value": "b"}, {"name": "b", "value": "b"}])),
            set(json!([{"name": "a", "value": "b"}, {"name": "a", "value": "c"}])),
            "set[1]: has the same name as an earlier item",
        ),
        (headers(16), headers(17), "set: must have at most 16 items, and has 17"),
        (
            prefix("PathPrefix"),
            prefix("Exact"),
            "spec.rules[0]: When using URLRewrite filter with path.replacePrefixMatch",
        ),
        (path("Exact", "/a/b"), path("Exact", "/a//b"), "matches[0].path: must not contain '//'"),
        (path("Exact", "/a"), path("Exact", "a"), "matches[0].path: value must be an absolute path"),
        (
            path("PathPrefix", "/a..b"),
            path("PathPrefix", "/a/../b"),
            "matches[0].path: must not contain '/../'",
        ),
        (path("RegularExpression", "a"), path("Regular", "a"), "path.type: \"Regular\" is not one of"),
        (
            timeouts("2s", "2s"),
            timeouts("1s", "1001ms"),
            "backendRequest timeout cannot be longer than request",
        ),
        (
            timeouts("0s", "1h2m"),
            timeouts("1s", "1h2m"),
            "backendRequest timeout cannot be longer than request",
        ),
        (timeouts("1s", "1s"), timeouts("1.5s", "1s"), "timeouts.request: \"1.5s\" is not a duration"),
        (json!({"hostnames": ["*.a.test"]}), json!({"hostnames": ["a.*.test"]}), "spec.hostnames[0]: "),
        (
            rule(json!({"backendRefs": [{"name": "a", "port": 65535}]})),
            rule(json!({"backendRefs": [{"name": "a", "port": 65536}]})),
            "backendRefs[0].port: must be at most 65535",
        ),
        (
            rule(json!({"backendRefs": [{"name": "a", "port": 1}]})),
            rule(json!({"backendRefs": [{"name": "a"}]})),
            "Must have port for Service reference",
        ),
        (
            json!({"rules": [{"name": "a"}, {"name": "b"}]}),
            json!({"rules": [{"name": "a"}, {"name": "a"}]}),
            "spec.rules: Rule name must be unique",
        ),
        (json!({"hostnames": []}), json!({"hostnames": {}}), "spec.hostnames: must be a list, not an object"),
        (json!({}), json!({"hostname": []}), "spec.hostname: unknown field"),
        (
            json!({"hostnames": null}),
            json!({"hostnames": [null]}),
            "spec.hostnames[0]: must be a string, not null",
        ),
    ];
    for (good, bad, expected) in rows {
        assert_eq!(route(good.clone()), Vec::<String>::new(), "{good}");
        let violations = route(bad.clone());
        assert!(
            violations.iter().any(|found| found.contains(expected)),
            "{bad}: {violations:?}, not {expected}"
        );
    }
}

#[test]
fn listeners_with_their_good_twins() {
    let two = |first: &str, port: Value| json!([{"name": first, "port": 80, "protocol": "HTTP"}, {"name": "b", "port": port, "protocol": "HTTP"}]);
    let tls = |tls: Value| json!([{"name": "a", "port": 443, "protocol": "HTTPS", "tls": tls}]);
    let rows = [
        (two("a", json!(81)), two("b", json!(81)), "spec.listeners[1]: has the same name as an earlier item"),
        (
            two("a", json!(81)),
            two("a", json!(80)),
            "Combination of port, protocol and hostname must be unique",
        ),
        (two("a", json!(65535)), two("a", json!(0)), "spec.listeners[1].port: must be at least 1"),
        (
            two("a", json!(81)),
            two("a", json!(81.5)),
            "spec.listeners[1].port: must be an integer, not a number",
        ),
        (
            tls(json!({"options": {"example.com/a": "b"}})),
            tls(json!({})),
            "certificateRefs or options must be specified",
        ),
        (
            tls(json!({"certificateRefs": [{"name": "a"}]})),
            tls(json!({"mode": "Passthrough"})),
            "tls mode must be Terminate",
        ),
        (two("a", json!(81)), json!("x"), "spec.listeners: must be a list, not a string"),
    ];
    for (good, bad, expected) in rows {
        assert_eq!(gateway(good.clone()), Vec::<String>::new(), "{good}");
        let violations = gateway(bad.clone());
        assert!(
            violations.iter().any(|found| found.contains(expected)),
            "{bad}: {violations:?}, not {expected}"
        );
    }
}

/// As a real API server does: `80.0` is an integer until a rule looks at it.
#[test]
fn a_rule_that_looks_at_an_integer_written_as_a_fraction_fails() {
    let reference = |kind: &str| json!({"group": "", "kind": kind, "name": "a", "port": 80.0});
    let with = |kind: &str| route(rule(json!({"backendRefs": [reference(kind)]})));
    assert!(
        with("Service").concat().contains("Must have port for Service reference"),
        "{:?}",
        with("Service")
    );
    assert_eq!(with("Other"), Vec::<String>::new());
    let listener = gateway(json!([{"name": "a", "port": 80.0, "protocol": "HTTP"}]));
    assert!(listener.concat().contains("Combination of port"), "{listener:?}");
}

#[test]
fn addresses_are_held_to_the_form_of_their_type() {
    let addressed = |kind: &str, value: &str| {
        of(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "x"},
            "spec": {"gatewayClassName": "c", "listeners": [{"name": "a", "port": 80, "protocol": "HTTP"}],
                "addresses": [{"type": kind, "value": value}]}}))
    };
    for (kind, value, is_good) in [
        ("IPAddress", "10.0.0.1", true),
        ("IPAddress", "fe80::1", true),
        ("IPAddress", "a.test", false),
        ("Hostname", "a.test", true),
        ("Hostname", "A", false),
    ] {
        assert_eq!(
            addressed(kind, value).is_empty(),
            is_good,
            "{kind} {value}: {:?}",
            addressed(kind, value)
        );
    }
}

#[test]
fn metadata_with_their_good_twins() {
    let with = |metadata: Value| {
        of(json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata}))
    };
    let rows = [
        (json!({"name": "a.b"}), json!({"name": "a_b"}), "metadata.name: is not a DNS-1123 subdomain"),
        (json!({"name": "a"}), json!({"labels": {}}), "metadata.name: is required"),
        (
            json!({"name": "a", "labels": {"a.b/c": "D_e"}}),
            json!({"name": "a", "labels": {"a/b/c": ""}}),
            "metadata.labels.a/b/c: is no qualified name",
        ),
        (
            json!({"name": "a", "labels": {"a": ""}}),
            json!({"name": "a", "labels": {"a": "b c"}}),
            "metadata.labels.a: is no value of a label",
        ),
        (
            json!({"name": "a", "labels": {"a": null}}),
            json!({"name": "a", "labels": {"a": 1}}),
            "metadata.labels.a: must be a string",
        ),
        (
            json!({"name": "a", "annotations": {"A.b/c": "d e"}}),
            json!({"name": "a", "annotations": {"a b": ""}}),
            "metadata.annotations.a b: is no qualified name",
        ),
        (json!({"name": "a"}), json!({"name": "a", "lables": {}}), "metadata.lables: unknown field"),
    ];
    for (good, bad, expected) in rows {
        // The kind needs a spec, which is not at stake here.
        let rest = |found: Vec<String>| {
            found.into_iter().filter(|text| !text.starts_with("spec:")).collect::<Vec<_>>()
        };
        assert_eq!(rest(with(good.clone())), Vec::<String>::new(), "{good}");
        let violations = with(bad.clone());
        assert!(
            violations.iter().any(|found| found.contains(expected)),
            "{bad}: {violations:?}, not {expected}"
        );
    }
}

#[test]
fn built_in_kinds_are_held_to_what_is_served() {
    let service = |name: &str, ports: Value| {
        of(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports}}),
        )
    };
    assert_eq!(service("a", json!([{"port": 80}])), Vec::<String>::new());
    assert!(service("1a", json!([{"port": 80}]))[0].contains("is no name of a Service"));
    assert!(service("a", json!([{"port": 0}]))[0].contains("spec.ports[0].port"));
    assert_eq!(service("a", json!([{"port": 80}, {"port": 81}])).len(), 2);
    let secret = |key: &str| {
        of(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {key: "b"}}))
    };
    assert_eq!(secret("Authorization"), Vec::<String>::new());
    assert!(
        secret("sk-canary!")[0].contains("has a key that is not allowed")
            && !secret("sk-canary!")[0].contains("canary")
    );
}

#[test]
fn a_secret_value_is_in_no_violation() {
    let found = of(json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {"name": "x"},
        "spec": {"type": "sk-canary", "ai": {"llm": {"gemini": {"authToken": {"kind": "sk-canary", "inline": 5}}}}}}));
    assert!(found.len() > 1, "{found:?}");
    assert!(!found.concat().contains("canary"), "{found:?}");
    let found = of(json!({
        "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "x"},
        "spec": {"ai": {"routeType": "typo", "promptGuard": {"request": {"moderation":
            {"openAIModeration": {"authToken": {"kind": "sk-canary"}}}}}}}}));
    assert!(found.concat().contains("authToken.kind") && found.concat().contains("typo"), "{found:?}");
    assert!(!found.concat().contains("canary"), "{found:?}");
}

#[test]
fn our_own_kinds_with_their_good_twins() {
    let backend = |spec: Value| {
        of(json!({
            "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {"name": "x"},
            "spec": spec}))
    };
    let host =
        |port: Value| json!({"type": "Static", "static": {"hosts": [{"host": "a.test", "port": port}]}});
    assert_eq!(backend(host(json!(80))), Vec::<String>::new());
    assert_eq!(backend(host(json!(0))), ["spec.static.hosts[0].port: must be at least 1"]);
    assert_eq!(
        backend(json!({"type": "Static", "static": {"hosts": [{"host": "a.test"}]}})),
        ["spec.static.hosts[0].port: is required"]
    );
    assert!(backend(json!({"type": "Static"})).concat().contains("spec: "));
}

#[test]
fn all_violations_are_listed() {
    let found =
        route(json!({"hostnames": ["A"], "rules": [{"matches": [{"path": {"value": "a"}}]}], "unknown": 1}));
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn what_is_stored_has_the_defaults_and_no_status() {
    let object = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "x"},
        "spec": {"rules": [{"backendRefs": [{"name": "a", "port": 80, "weight": 2.0}]}]}, "status": {"parents": []}});
    let stored = judge(object).unwrap().object;
    assert_eq!(
        stored["spec"],
        json!({"rules": [{
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [{"group": "", "kind": "Service", "name": "a", "port": 80, "weight": 2}]}]})
    );
    assert_eq!(stored.get("status"), None);
}

#[test]
fn what_is_of_no_known_kind_is_given_back() {
    for document in [json!(1), json!({}), json!({"apiVersion": "apps/v1", "kind": "Deployment"})] {
        assert_eq!(judge(document.clone()), Err(document));
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop_oneof![
        "[a-z]{0,3}",
        Just("rules".to_owned()),
        Just("matches".to_owned()),
        Just("filters".to_owned()),
        Just("path".to_owned()),
        Just("listeners".to_owned()),
        Just("tls".to_owned()),
        Just("hostnames".to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_json_makes_it_panic_or_judge_twice_differently(spec in any_json(), metadata in any_json(), row in 0..crds::KINDS.len()) {
        let kind = crds::KINDS[row];
        let object = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": metadata, "spec": spec});
        let started = std::time::Instant::now();
        let first = judge(object.clone()).unwrap();
        prop_assert!(started.elapsed().as_secs() < 5);
        prop_assert_eq!(&first, &judge(object).unwrap());
        // What is stored and read again is what was stored.
        if first.violations.is_empty() {
            prop_assert_eq!(&judge(first.object.clone()).unwrap().object, &first.object);
        }
    }
}
