//! Random objects: well-typed, small, and with few names, so that references often meet their target.

#![allow(dead_code, reason = "not every test uses all of it")]

mod nasty;
mod policy;
mod route;
mod tls;

use std::collections::BTreeMap;

use crds::{Object, ObjectRef};
use ir::{IpFamilies, ModuleSource};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use translator::{Addressing, AiEngine, ConnectTo, Resources, Settings};

#[allow(unused_imports, reason = "not every test uses all of it")]
pub(crate) use nasty::{nasty_text, spoil};
#[allow(unused_imports, reason = "not every test uses all of it")]
pub(crate) use route::{http_route, related_matches};

/// The word that every credential contains.
pub(crate) const CANARY: &str = "canary";

const GATEWAY_API: &str = "gateway.networking.k8s.io/v1";

/// Documents of different objects.
pub(crate) type World = Vec<Value>;

/// The objects of a world, indexed.
pub(crate) fn resources(world: &[Value]) -> Resources {
    world.iter().map(object).collect()
}

fn object(document: &Value) -> Object {
    Object::decode(document.clone()).unwrap_or_else(|error| panic!("{error}: {document}")).object
}

/// A world in which no object stands twice.
pub(crate) fn world() -> impl Strategy<Value = World> {
    let routing =
        (vec(gateway(), 1..4), vec(http_route(), 0..6), vec(grant(), 0..4), vec(listener_set(), 0..4));
    let plain = (
        vec(service(), 0..8),
        vec(slice(), 0..5),
        vec(secret(), 0..4),
        vec(namespace(), 0..3),
        vec(tls::object(), 0..8),
    );
    let backends = (vec(backend(), 0..8), vec(upstream(), 0..6), vec(policy::policy(), 0..6));
    (routing, plain, backends).prop_map(|(routing, plain, backends)| {
        let (plain_backends, upstreams, policies) = backends;
        let parts = [
            routing.0, routing.1, routing.2, routing.3, plain.0, plain.1, plain.2, plain.3, plain.4, plain_backends, upstreams, policies,
        ];
        let class = json!({"apiVersion": GATEWAY_API, "kind": "GatewayClass", "metadata": {"name": "chancery"},
            "spec": {"controllerName": translator::CONTROLLER_NAME}});
        distinct(parts.into_iter().flatten().chain([class]))
    })
}

/// Objects of the kinds that the worlds have none of, and classes and Gateways that name them or are another's.
pub(crate) fn bystanding_kinds() -> World {
    let class = |name: &str, controller: &str, parameters: Option<&str>| {
        let reference = parameters.map(|name| {
            json!({"group": "gateway.kgateway.dev", "kind": "GatewayParameters", "name": name, "namespace": "default"})
        });
        let spec = json!({"controllerName": controller, "parametersRef": reference});
        document(GATEWAY_API, "GatewayClass", json!({"name": name}), spec)
    };
    let parameters = |api: &str, name: &str, replicas: u32| {
        let spec = json!({"kube": {"deployment": {"replicas": replicas}}});
        document(api, "GatewayParameters", json!({"name": name, "namespace": "default"}), spec)
    };
    let traced = |host: &str| {
        let tracing = json!({"endpoint": format!("https://{host}:4317")});
        let labels = json!([{"name": "team", "metadataKey": host}]);
        let extension = json!({"tracing": tracing, "stats": {"customLabels": labels}});
        let spec = json!({"kube": {"aiExtension": extension}});
        document(
            "gateway.kgateway.dev/v1alpha1",
            "GatewayParameters",
            json!({"name": "own", "namespace": "default"}),
            spec,
        )
    };
    let gateway = |name: &str, class: &str, infrastructure: Value| {
        let listeners = json!([{"name": "l0", "port": 8080, "protocol": "HTTP"}]);
        let spec =
            json!({"gatewayClassName": class, "listeners": listeners, "infrastructure": infrastructure});
        document(GATEWAY_API, "Gateway", json!({"name": name, "namespace": "default"}), spec)
    };
    let reference = json!({"parametersRef": {"group": "gateway.kgateway.dev", "kind": "GatewayParameters", "name": "own"}});
    let mut annotated = gateway("other", "chancery", json!({"labels": {"a": "b"}}));
    annotated["metadata"]["annotations"] = json!({"gateway.gloo.solo.io/gateway-parameters-name": "own"});
    vec![
        class("chancery", translator::CONTROLLER_NAME, Some("shared")),
        class("chancery", translator::CONTROLLER_NAME, None),
        class("chancery", "example.com/other", None),
        class("kgateway", "kgateway.dev/kgateway", None),
        parameters("gateway.kgateway.dev/v1alpha1", "shared", 2),
        parameters("gateway.kgateway.dev/v1alpha1", "own", 3),
        parameters("gateway.kgateway.dev/v1alpha1", "own", 4),
        parameters("gateway.gloo.solo.io/v1alpha1", "own", 5),
        traced("collector"),
        traced("another-collector"),
        gateway("gw", "chancery", reference),
        gateway("gw", "kgateway", Value::Null),
        annotated,
        gateway("other", "chancery", Value::Null),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "labels": {"env": "prod"}}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team", "annotations": {"x": "y"}}}),
    ]
}

/// The first document of each object.
pub(crate) fn distinct(documents: impl IntoIterator<Item = Value>) -> World {
    let mut seen: BTreeMap<ObjectRef, ()> = BTreeMap::new();
    documents
        .into_iter()
        .filter(|document| seen.insert(object(document).object_ref(), ()).is_none())
        .collect()
}

/// The same documents in another order.
pub(crate) fn shuffled(world: &[Value], seed: u64) -> World {
    let key = |index: usize| (seed ^ index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
    let mut indexed: Vec<_> = world.iter().enumerate().collect();
    indexed.sort_by_key(|(index, _)| key(*index));
    indexed.into_iter().map(|(_, document)| document.clone()).collect()
}

/// Settings of every mode.
pub(crate) fn settings() -> impl Strategy<Value = Settings> {
    let addressing = select(vec![
        Addressing::AllInterfaces,
        Addressing::Service,
        Addressing::Loopback,
        Addressing::Fixed([192, 0, 2, 1].into()),
    ]);
    let connect_to = option::of((option::of(host()), option::of(select(vec![80, 443])))).prop_map(|rule| {
        rule.map(|(host, port)| ConnectTo {
            host,
            port,
            to_host: Some("127.0.0.1".to_owned()),
            to_port: None,
        })
    });
    let defaults = Settings::default().ai_engine;
    let ai_engine = select(vec![defaults, AiEngine::Available(ModuleSource::File("/m.so".to_owned()))]);
    let families = select(vec![IpFamilies::V4, IpFamilies::V6, IpFamilies::Both]);
    let parts = (addressing, select(vec![1_u16, 1024]), connect_to, ai_engine, families);
    parts.prop_map(|(addressing, lowest_port, connect_to, ai_engine, families)| Settings {
        ai_engine,
        addressing,
        families,
        lowest_port,
        connect_to: connect_to.into_iter().collect(),
        ..Settings::default()
    })
}

fn text(choices: &[&str]) -> impl Strategy<Value = String> + use<> {
    select(choices.iter().map(|choice| (*choice).to_owned()).collect::<Vec<_>>())
}

/// Mostly what a reference can be resolved with; sometimes what it cannot.
fn mostly(good: &[&str], bad: &[&str]) -> impl Strategy<Value = String> + use<> {
    prop_oneof![12 => text(good), 1 => text(bad)]
}

fn a_namespace() -> impl Strategy<Value = String> {
    mostly(&["default"], &["team", "data"])
}

fn a_gateway() -> impl Strategy<Value = String> {
    text(&["gw", "gw", "gw", "other"])
}

fn a_backend() -> impl Strategy<Value = String> {
    text(&["web", "db", "ai"])
}

fn hostname() -> impl Strategy<Value = String> {
    mostly(
        &["a.example.com", "A.Example.com", "*.example.com", "b.a.example.com", "*.com"],
        &["bad host", "*"],
    )
}

fn host() -> impl Strategy<Value = String> {
    mostly(
        &["10.0.0.1", "10.0.0.2", "2001:db8::1", "api.openai.com", "llm.example.com"],
        &["127.0.0.1", "localhost"],
    )
}

fn document(api: &str, kind: &str, metadata: Value, spec: Value) -> Value {
    json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec})
}

fn gateway() -> impl Strategy<Value = Value> {
    let allowed = option::of(mostly(&["All"], &["Same", "Selector", "None"]));
    let parts =
        (a_gateway(), a_namespace(), listeners(), policy::labels(), option::of(tls::of_gateway()), allowed);
    parts.prop_map(|(name, namespace, listeners, labels, tls, allowed)| {
        let selector = json!({"matchLabels": {"env": "prod"}});
        let allowed = allowed.map(|from| json!({"namespaces": {"from": from, "selector": selector}}));
        let mut spec =
            json!({"gatewayClassName": "chancery", "listeners": listeners, "allowedListeners": allowed});
        if let Some(tls) = tls {
            spec["tls"] = tls;
        }
        document(
            GATEWAY_API,
            "Gateway",
            json!({"name": name, "namespace": namespace, "generation": 2, "labels": labels}),
            spec,
        )
    })
}

fn listener_set() -> impl Strategy<Value = Value> {
    let created = option::of(text(&["2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"]));
    let parts = (text(&["set0", "set1"]), a_namespace(), a_gateway(), option::of(a_namespace()), created);
    (parts, listeners()).prop_map(|((name, namespace, gateway, of, created), listeners)| {
        let metadata =
            json!({"name": name, "namespace": namespace, "generation": 3, "creationTimestamp": created});
        let spec = json!({"parentRef": {"name": gateway, "namespace": of}, "listeners": listeners});
        document(GATEWAY_API, "ListenerSet", metadata, spec)
    })
}

fn listeners() -> impl Strategy<Value = Vec<Value>> {
    vec(listener(), 1..4).prop_map(|mut listeners| {
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener["name"] = json!(format!("l{index}"));
        }
        listeners
    })
}

fn listener() -> impl Strategy<Value = Value> {
    let port = prop_oneof![12 => select(vec![1080, 8080, 8081]), 1 => select(vec![0, 80, 70000])];
    let protocol = mostly(&["HTTP"], &["TCP", "HTTPS", "bogus"]);
    let plain = (port, protocol).prop_map(|(port, protocol)| (port, protocol, None));
    let kind = prop_oneof![2 => plain, 1 => tls::protocol()];
    let from = mostly(&["All"], &["Same", "Selector"]);
    (kind, option::of(hostname()), from).prop_map(|((port, protocol, tls), hostname, from)| {
        let selector = json!({"matchLabels": {"env": "prod"}});
        let namespaces = json!({"from": from, "selector": selector});
        let mut listener =
            json!({"name": "", "port": port, "protocol": protocol, "allowedRoutes": {"namespaces": namespaces}});
        for (field, value) in [("hostname", hostname.map(Value::from)), ("tls", tls)] {
            if let Some(value) = value {
                listener[field] = value;
            }
        }
        listener
    })
}

fn grant() -> impl Strategy<Value = Value> {
    let from = text(&[
        "HTTPRoute",
        "HTTPRoute",
        "Upstream",
        "Gateway",
        "ListenerSet",
        "XBackend",
        "HTTPListenerPolicy",
    ]);
    let to = text(&["Service", "Backend", "Upstream", "Secret", "ConfigMap", "XBackend"]);
    (a_namespace(), a_namespace(), from, to).prop_map(|(namespace, from_namespace, from, to)| {
        let group = |kind: &str| match kind {
            "HTTPRoute" | "Gateway" | "ListenerSet" => "gateway.networking.k8s.io",
            "Upstream" => "gloo.solo.io",
            "XBackend" => "gateway.networking.x-k8s.io",
            "Backend" | "HTTPListenerPolicy" => "gateway.kgateway.dev",
            _ => "",
        };
        let spec = json!({
            "from": [{"group": group(&from), "kind": from, "namespace": from_namespace}],
            "to": [{"group": group(&to), "kind": to}],
        });
        let name = format!("{from}-{from_namespace}-{to}").to_lowercase();
        let metadata = json!({"name": name, "namespace": namespace});
        document("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", metadata, spec)
    })
}

fn service() -> impl Strategy<Value = Value> {
    let app_protocol = option::of(mostly(&["kubernetes.io/h2c", "http"], &["kubernetes.io/ws"]));
    let kind = mostly(&["ClusterIP"], &["ExternalName"]);
    (a_backend(), a_namespace(), app_protocol, kind).prop_map(|(name, namespace, app_protocol, kind)| {
        let ports =
            json!([{"name": "http", "port": 80, "appProtocol": app_protocol}, {"name": "admin", "port": 81}]);
        let spec = json!({"type": kind, "ports": ports});
        document("v1", "Service", json!({"name": name, "namespace": namespace}), spec)
    })
}

fn slice() -> impl Strategy<Value = Value> {
    let state = (option::of(any::<bool>()), option::of(any::<bool>()), option::of(any::<bool>()));
    let endpoint = (host(), state).prop_map(|(address, (ready, serving, terminating))| {
        let conditions = json!({"ready": ready, "serving": serving, "terminating": terminating});
        json!({"addresses": [address], "conditions": conditions})
    });
    let which = (a_backend(), a_namespace(), 0..3_u8);
    (which, vec(endpoint, 0..4)).prop_map(|((service, namespace, number), endpoints)| {
        let labels = match number {
            0 => json!({"chancery.dev/xbackend": service}),
            _ => json!({"kubernetes.io/service-name": service}),
        };
        let metadata =
            json!({"name": format!("{service}-{number}"), "namespace": namespace, "labels": labels});
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
            "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}], "endpoints": endpoints,
        })
    })
}

fn secret() -> impl Strategy<Value = Value> {
    let key = mostly(&["Authorization", "api-key"], &["other"]);
    (a_namespace(), key, credential()).prop_map(|(namespace, key, value)| {
        let metadata = json!({"name": "key", "namespace": namespace});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: value}})
    })
}

/// Credentials that can be used and such that cannot.
fn credential() -> impl Strategy<Value = String> {
    let around = || mostly(&["", " ", "Bearer ", "\n", "%"], &["\u{0}", "é"]);
    (around(), around()).prop_map(|(before, after)| format!("{before}{CANARY}{after}"))
}

fn namespace() -> impl Strategy<Value = Value> {
    (a_namespace(), text(&["prod", "dev"])).prop_map(|(name, env)| {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"env": env}}})
    })
}

fn auth_token() -> impl Strategy<Value = Value> {
    let reference = option::of(a_namespace())
        .prop_map(|namespace| json!({"secretRef": {"name": "key", "namespace": namespace}}));
    prop_oneof![
        3 => reference,
        1 => credential().prop_map(|value| json!({"kind": "Inline", "inline": value})),
        1 => Just(json!({"kind": "Passthrough"})),
    ]
}

fn provider() -> impl Strategy<Value = Value> {
    let model = mostly(&["gpt-4o", "gemini-1.5-flash"], &["a b"]);
    (text(&["openai", "gemini", "gemini"]), model, auth_token()).prop_map(|(name, model, token)| {
        match name.as_str() {
            "openai" => json!({"openai": {"model": model, "authToken": token}}),
            _ => json!({"gemini": {"model": model, "apiVersion": "v1beta", "authToken": token}}),
        }
    })
}

fn backend() -> impl Strategy<Value = Value> {
    let ai = (provider(), option::of((host(), select(vec![80, 443, 8443])))).prop_map(|(provider, place)| {
        let place = place.map(|(host, port)| json!({"host": host, "port": port}));
        json!({"type": "AI", "ai": {"llm": {"provider": provider, "hostOverride": place}}})
    });
    let hosts = vec((host(), select(vec![80, 8080])), 0..3).prop_map(|hosts| {
        let hosts: Vec<_> = hosts.iter().map(|(host, port)| json!({"host": host, "port": port})).collect();
        json!({"type": "Static", "static": {"hosts": hosts}})
    });
    (a_backend(), a_namespace(), prop_oneof![ai, hosts]).prop_map(|(name, namespace, spec)| {
        let metadata = json!({"name": name, "namespace": namespace});
        document("gateway.kgateway.dev/v1alpha1", "Backend", metadata, spec)
    })
}

fn upstream() -> impl Strategy<Value = Value> {
    (a_backend(), a_namespace(), provider()).prop_map(|(name, namespace, provider)| {
        let metadata = json!({"name": name, "namespace": namespace});
        document("gloo.solo.io/v1", "Upstream", metadata, json!({"ai": provider}))
    })
}
