use serde_json::{Value, json};

use super::*;

/// Every test document is written as a user would write it.
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn decode(text: &str) -> Result<Decoded, DecodeError> {
    Object::decode(yaml(text))
}

fn failure(text: &str) -> String {
    decode(text).unwrap_err().to_string()
}

const ROUTE_HEAD: &str =
    "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}, spec: ";
const BACKEND_HEAD: &str =
    "{apiVersion: gateway.kgateway.dev/v1alpha1, kind: Backend, metadata: {name: a}, spec: ";

fn route(spec: &str) -> String {
    format!("{ROUTE_HEAD}{spec}}}")
}

fn backend(spec: &str) -> String {
    format!("{BACKEND_HEAD}{spec}}}")
}

#[test]
fn every_kind_is_decoded_in_every_accepted_version() {
    let spec = |kind: &str| match kind {
        "GatewayClass" => json!({"controllerName": "a/b"}),
        "Gateway" => json!({"gatewayClassName": "a", "listeners": []}),
        "ListenerSet" => json!({"parentRef": {"name": "a"}, "listeners": []}),
        "ReferenceGrant" => json!({"from": [], "to": []}),
        "BackendTLSPolicy" => json!({"targetRefs": [], "validation": {"hostname": "a.b"}}),
        "XBackend" => json!({"type": "ExternalHostname", "port": {"number": 443}}),
        "Backend" => json!({"type": "AI", "ai": {}}),
        "VirtualKey" => json!({"secretRef": {"name": "a"}}),
        "PriceList" => json!({"models": [{"model": "m", "prices": [{"input": "1"}]}]}),
        "BackendConfigPolicy" => json!({"connectTimeout": "1s"}),
        "Budget" => json!({"limit": {"tokens": 1}, "per": "Day"}),
        "DirectResponse" => json!({"status": 200}),
        "TCPRoute" | "UDPRoute" => json!({"rules": []}),
        "TLSRoute" => json!({"hostnames": [], "rules": []}),
        _ => json!({}),
    };
    for known in KINDS {
        for version in known.versions {
            let api_version = if known.group.is_empty() {
                (*version).to_owned()
            } else {
                format!("{}/{version}", known.group)
            };
            let mut document =
                json!({"apiVersion": api_version, "kind": known.kind, "metadata": {"name": "a"}});
            match known.kind {
                "ConfigMap" | "Namespace" | "Secret" => {}
                "CustomResourceDefinition" => document["spec"] = json!({"group": "a.b"}),
                "EndpointSlice" => document["addressType"] = json!("IPv4"),
                kind => document["spec"] = spec(kind),
            }
            let Decoded { object, unknown_fields } =
                Object::decode(document).unwrap_or_else(|error| panic!("{} {version}: {error}", known.kind));
            assert_eq!(unknown_fields, [] as [&str; 0], "{}", known.kind);
            assert_eq!(object.kind().info(), known);
            let reference = object.object_ref();
            assert_eq!(reference.group_kind(), known.group_kind());
            assert_eq!(
                reference.namespace.as_deref(),
                known.namespaced.then_some("default"),
                "{}",
                known.kind
            );
        }
    }
}

#[test]
fn unknown_fields_are_listed_by_path_and_not_fatal() {
    let rows = [
        (route("{rules: [{name: a}, {macthes: []}]}"), vec!["spec.rules[1].macthes"]),
        (route("{extra: null, hostnames: null}"), vec!["spec.extra"]),
        (
            route("{rules: [{matches: [{path: {type: Exact, value: /, vaule: x}}]}]}"),
            vec!["spec.rules[0].matches[0].path.vaule"],
        ),
        (
            backend("{type: AI, ai: {llm: {provider: {gemini: {modle: x}}}, lmm: {}}}"),
            vec!["spec.ai.llm.provider.gemini.modle", "spec.ai.lmm"],
        ),
        (
            backend("{type: AI, ai: {llm: {hostOverride: {host: a, port: 1, prot: 2}}}}"),
            vec!["spec.ai.llm.hostOverride.prot"],
        ),
        (backend("{type: AWS, aws: {lambda: {anything: [1, {goes: here}]}}}"), vec![]),
        (
            "{apiVersion: v1, kind: Secret, metadata: {name: a, lables: {}}, dta: {}}".to_owned(),
            vec!["dta", "metadata.lables"],
        ),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 1, prot: 1}]}}"
                .to_owned(),
            vec!["spec.ports[0].prot"],
        ),
    ];
    for (document, expected) in rows {
        assert_eq!(decode(&document).unwrap().unknown_fields, expected, "{document}");
    }
}

#[test]
fn errors_name_the_object_the_field_and_what_was_expected() {
    let rows = [
        (
            route("{rules: [{matches: [{path: {type: Exactly, value: /}}]}]}"),
            "HTTPRoute default/a: spec.rules[0].matches[0].path.type: `Exactly` is not one of \
             `Exact`, `PathPrefix`, `RegularExpression`",
        ),
        (
            route("{rules: [{backendRefs: [{name: a, port: eighty}]}]}"),
            "HTTPRoute default/a: spec.rules[0].backendRefs[0].port: must be an integer, not a string",
        ),
        (
            route("{rules: [{backendRefs: [{port: 80}]}]}"),
            "HTTPRoute default/a: spec.rules[0].backendRefs[0].name: is required",
        ),
        (
            "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a}}".to_owned(),
            "HTTPRoute default/a: spec: is required",
        ),
        (
            backend("{type: Statics}"),
            "Backend default/a: spec.type: must be one of `AI`, `AWS`, `Static`, \
             `DynamicForwardProxy`, `MCP`",
        ),
        (
            backend("{type: Static, static: {hosts: [{host: a, port: 0}]}}"),
            "Backend default/a: spec.static.hosts[0].port: must be a number from 1 to 65535",
        ),
        (
            backend("{type: AI, ai: {llm: {hostOverride: {host: a}}}}"),
            "Backend default/a: spec.ai.llm.hostOverride.port: is required",
        ),
        (
            backend("{type: AI, ai: {llm: {hostOverride: [a]}}}"),
            "Backend default/a: spec.ai.llm.hostOverride: must be an object or a string, not a list",
        ),
        ("[]".to_owned(), "not a Kubernetes object: `apiVersion` is missing or not a string"),
        ("{apiVersion: v1}".to_owned(), "not a Kubernetes object: `kind` is missing or not a string"),
        ("{apiVersion: v1, kind: Pod}".to_owned(), "Pod of v1 is not a kind that Chancery reads"),
        (
            "{apiVersion: gateway.networking.k8s.io/v1alpha2, kind: HTTPRoute}".to_owned(),
            "HTTPRoute of gateway.networking.k8s.io/v1alpha2 is not a kind that Chancery reads; did you mean \
             apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute?",
        ),
    ];
    for (document, expected) in rows {
        assert_eq!(failure(&document), expected, "{document}");
    }
}

#[test]
fn names_and_scope_are_checked_as_an_api_server_does() {
    let long_label = "a".repeat(64);
    let long_name = "a.".repeat(127);
    let document =
        |kind: &str, metadata: &str| format!("{{apiVersion: v1, kind: {kind}, metadata: {metadata}}}");
    let rows = [
        (document("Secret", "{name: a.b-c.9}"), None),
        (document("Secret", &format!("{{name: {long_label}}}")), None),
        (document("Secret", "{namespace: b}"), Some("metadata.name: is required")),
        (document("Secret", "{name: 5}"), Some("metadata.name: is not a string")),
        (document("Secret", "{name: A}"), Some("metadata.name: is not a DNS-1123 subdomain")),
        (document("Secret", "{name: a_b}"), Some("metadata.name: is not a DNS-1123 subdomain")),
        (document("Secret", "{name: -a}"), Some("metadata.name: is not a DNS-1123 subdomain")),
        (document("Secret", "{name: a..b}"), Some("metadata.name: is not a DNS-1123 subdomain")),
        (document("Secret", "{name: ''}"), Some("metadata.name: is not a DNS-1123 subdomain")),
        (
            document("Secret", &format!("{{name: {long_name}}}")),
            Some("metadata.name: is not a DNS-1123 subdomain"),
        ),
        (
            document("Secret", "{name: a, namespace: a.b}"),
            Some("metadata.namespace: is not a DNS-1123 label"),
        ),
        (document("Namespace", "{name: a.b}"), Some("metadata.name: is not a DNS-1123 label")),
        (
            document("Namespace", &format!("{{name: {long_label}}}")),
            Some("metadata.name: is not a DNS-1123 label"),
        ),
        (document("Namespace", "{name: a, namespace: b}"), Some("metadata.namespace: must not be set")),
        ("{apiVersion: v1, kind: Secret}".to_owned(), Some("metadata.name: is required")),
    ];
    for (document, expected) in rows {
        match (decode(&document), expected) {
            (Ok(_), None) => {}
            (Err(error), Some(expected)) => {
                assert!(error.to_string().contains(expected), "{document}: {error}")
            }
            (result, _) => panic!("{document}: {result:?}"),
        }
    }
}

#[test]
fn an_invalid_object_still_says_which_object_it_is() {
    let rows = [
        (route("{rules: 5}"), Some("HTTPRoute default/a")),
        (
            "{apiVersion: v1, kind: Secret, metadata: {name: b, namespace: c}, data: 5}".to_owned(),
            Some("Secret c/b"),
        ),
        ("{apiVersion: v1, kind: Namespace, metadata: {name: b}, spec: 5}".to_owned(), Some("Namespace b")),
        ("{apiVersion: v1, kind: Secret, metadata: {namespace: c}}".to_owned(), None),
    ];
    for (document, expected) in rows {
        let Err(DecodeError::Invalid(invalid)) = decode(&document) else { panic!("{document} is invalid") };
        assert_eq!(invalid.object.map(|object| object.to_string()).as_deref(), expected, "{document}");
    }
}

#[test]
fn string_data_is_merged_over_data_and_unset_values_stay_visible() {
    let secret = "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {old: b2xk, both: b2xk, unset: null}, \
                  stringData: {both: new, empty: null}}";
    let Object::Secret(secret) = decode(secret).unwrap().object else { panic!("is a Secret") };
    let entries: Vec<_> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), String::from_utf8_lossy(&value.0)))
        .collect();
    let expected = [("both", "new"), ("empty", ""), ("old", "old"), ("unset", "")];
    assert_eq!(entries, expected.map(|(key, value)| (key, value.into())));
    assert_eq!(secret.string_data, None);
}

#[test]
fn no_credential_reaches_an_error_or_debug_output() {
    const KEY: &str = "sk-4711, expected nothing";
    let token = |token: Value| {
        json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend", "metadata": {"name": "a"},
            "spec": {"type": "AI", "ai": {"llm": {"openai": {"authToken": token}}}}})
    };
    let upstream = |ai: Value| json!({"apiVersion": "gloo.solo.io/v1", "kind": "Upstream", "metadata": {"name": "a"}, "spec": {"ai": ai}});
    let moderation = |token: Value| {
        json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy", "metadata": {"name": "a"},
            "spec": {"ai": {"promptGuard": {"request": {"moderation": {"openAIModeration": {"authToken": token}}}}}}})
    };
    let secret = |member: &str, value: Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, member: value});
    let rows = [
        ("token is a string", token(json!(KEY))),
        ("inline is a list", token(json!({"inline": [KEY]}))),
        ("inline is a number", token(json!({"inline": 4711}))),
        ("inline is right", token(json!({"inline": KEY}))),
        ("kind holds the key", token(json!({"kind": KEY}))),
        ("secretRef is a string", token(json!({"secretRef": KEY}))),
        ("passthrough is a string", token(json!({"passthrough": KEY}))),
        ("opaque provider", upstream(json!({"anthropic": {"authToken": {"inline": KEY}}}))),
        ("provider is a string", upstream(json!({"gemini": KEY}))),
        ("moderation's token is a string", moderation(json!(KEY))),
        ("moderation's kind holds the key", moderation(json!({"kind": KEY}))),
        ("moderation's inline is right", moderation(json!({"inline": KEY}))),
        ("data is not base64", secret("data", json!({"Authorization": KEY}))),
        ("data is a string", secret("data", json!(KEY))),
        ("stringData is a number", secret("stringData", json!({"Authorization": 4711}))),
        ("stringData is a string", secret("stringData", json!(KEY))),
        ("stringData is right", secret("stringData", json!({"Authorization": KEY}))),
        ("type is a map", secret("type", json!({"a": KEY}))),
    ];
    for (name, document) in rows {
        let result = Object::decode(document);
        let printed = match &result {
            Ok(decoded) => format!("{decoded:?} {:#?}", decoded.object),
            Err(error) => format!("{error} {error:?}"),
        };
        // The bytes of "4711", as the derived Debug of a byte list prints them.
        let leaked = printed.contains("4711") || printed.contains("52, 55, 49, 49");
        assert!(!leaked, "{name}: {printed}");
    }
}

#[test]
fn a_list_is_flattened_and_its_bad_items_stand_alone() {
    let list = "{apiVersion: v1, kind: List, items: [\
                {apiVersion: v1, kind: Namespace, metadata: {name: a}}, \
                {apiVersion: v1, kind: Nonsense, metadata: {name: a}}, \
                {apiVersion: v1, kind: List, items: [{apiVersion: v1, kind: Namespace, metadata: {name: b}}]}]}";
    let printed: Vec<_> = decode_all(yaml(list))
        .into_iter()
        .map(|result| match result {
            Ok(decoded) => decoded.object.object_ref().to_string(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(printed, ["Namespace a", "Nonsense of v1 is not a kind that Chancery reads", "Namespace b"]);
    assert_eq!(decode_all(Value::Null), []);
    assert_eq!(decode_all(yaml("{apiVersion: v1, kind: List}")), []);
    assert_eq!(decode_all(yaml("{apiVersion: v1, kind: List, items: 5}")).len(), 1);
}

#[test]
fn api_versions_print_as_in_a_manifest() {
    let of = |kind: &str| KINDS.iter().find(|known| known.kind == kind).map(KindInfo::api_version).unwrap();
    assert_eq!(of("Secret"), "v1");
    assert_eq!(of("HTTPRoute"), "gateway.networking.k8s.io/v1");
}
