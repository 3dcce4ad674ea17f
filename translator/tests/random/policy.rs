//! Random policies, and what other objects have on their account.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::{a_backend, a_namespace, auth_token, document, host, mostly, text};

const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";

/// A policy of any kind.
pub(crate) fn policy() -> impl Strategy<Value = Value> {
    prop_oneof![3 => route_policy(), 1 => listener_policy()]
}

fn metadata() -> impl Strategy<Value = Value> {
    let created = option::of(text(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]));
    (text(&["p0", "p1", "p2"]), a_namespace(), created).prop_map(|(name, namespace, created)| {
        json!({"name": name, "namespace": namespace, "creationTimestamp": created, "generation": 4})
    })
}

/// An HTTPListenerPolicy, a ListenerOption or an HttpListenerOption.
fn listener_policy() -> impl Strategy<Value = Value> {
    let log = mostly(&["%PROTOCOL%", "%REQ(a)%"], &["%"])
        .prop_map(|format| json!({"fileSink": {"path": "/dev/stdout", "stringFormat": format}}));
    let kind = text(&["HTTPListenerPolicy", "ListenerOption", "HttpListenerOption"]);
    let parts =
        (metadata(), vec(target(), 0..3), option::of(label()), vec(log, 0..2), kind, vec(collector(), 0..3));
    parts.prop_map(|(metadata, mut targets, label, mut logs, kind, mut collectors)| {
        for target in &mut targets {
            target["kind"] = json!("Gateway");
        }
        if kind != "HTTPListenerPolicy" {
            let options = json!({"accessLoggingService": {"accessLog": logs}});
            let spec = json!({"targetRefs": targets, "options": options});
            return document("gateway.solo.io/v1", &kind, metadata, spec);
        }
        let selectors = label
            .map(|label| json!({"group": GATEWAY_GROUP, "kind": "Gateway", "matchLabels": {"team": label}}));
        let tracing = collectors.pop().map(|to| {
            json!({"provider": {"openTelemetry": {"grpcService": to}}, "attributes": [{"name": "a", "requestHeader": {"name": "b"}}]})
        });
        logs.extend(collectors.into_iter().map(|mut to| {
            to["logName"] = json!("a");
            json!({"openTelemetry": {"grpcService": to, "body": "%REQ(c)%"}})
        }));
        let selectors = Vec::from_iter(selectors);
        let spec = json!({"targetRefs": targets, "targetSelectors": selectors, "accessLog": logs, "tracing": tracing});
        document("gateway.kgateway.dev/v1alpha1", &kind, metadata, spec)
    })
}

/// A service that something is sent to by gRPC.
fn collector() -> impl Strategy<Value = Value> {
    let kind = select(vec![("", "Service"), ("", "Service"), ("gateway.kgateway.dev", "Backend")]);
    (kind, a_backend(), option::weighted(0.3, a_namespace())).prop_map(|((group, kind), name, namespace)| {
        let reference =
            json!({"group": group, "kind": kind, "name": name, "namespace": namespace, "port": 80});
        json!({"backendRef": reference})
    })
}

/// A TrafficPolicy or a RouteOption.
fn route_policy() -> impl Strategy<Value = Value> {
    let rest = option::weighted(0.1, text(&["extAuth", "timeouts"]));
    let parts = (
        metadata(),
        vec(target(), 0..3),
        option::of(selector()),
        ai(),
        rest,
        prop::bool::weighted(0.7),
        servers(),
    );
    parts.prop_map(|(metadata, mut targets, selector, mut ai, rest, is_traffic_policy, servers)| {
        ai["promptGuard"] = servers.guard(is_traffic_policy);
        if is_traffic_policy {
            let mut spec =
                json!({"targetRefs": targets, "targetSelectors": Vec::from_iter(selector), "ai": ai});
            if let Some(member) = rest {
                spec[member] = json!({});
            }
            return document("gateway.kgateway.dev/v1alpha1", "TrafficPolicy", metadata, spec);
        }
        for target in &mut targets {
            target["kind"] = json!("HTTPRoute");
            target.as_object_mut().map(|target| target.remove("sectionName"));
        }
        document(
            "gateway.solo.io/v1",
            "RouteOption",
            metadata,
            json!({"targetRefs": targets, "options": {"ai": ai}}),
        )
    })
}

fn target() -> impl Strategy<Value = Value> {
    let gateway = (text(&["gw", "gw", "other"]), option::weighted(0.4, text(&["l0", "l1", "absent"])));
    let route = (text(&["r0", "r1", "r2", "absent"]), option::weighted(0.4, text(&["a", "b", "absent"])));
    let of_kind = |kind: &'static str| move |(name, section): (String, Option<String>)| json!({"group": GATEWAY_GROUP, "kind": kind, "name": name, "sectionName": section});
    prop_oneof![gateway.prop_map(of_kind("Gateway")), route.prop_map(of_kind("HTTPRoute"))]
}

fn selector() -> impl Strategy<Value = Value> {
    (text(&["Gateway", "HTTPRoute"]), label()).prop_map(
        |(kind, label)| json!({"group": GATEWAY_GROUP, "kind": kind, "matchLabels": {"team": label}}),
    )
}

fn ai() -> impl Strategy<Value = Value> {
    let default = (text(&["a", "b"]), mostly(&["1", "x", "{}"], &["{"]), any::<bool>())
        .prop_map(|(field, value, replace)| json!({"field": field, "value": value, "override": replace}));
    let message = || {
        option::of(text(&["system", "User"]))
            .prop_map(|role| Vec::from_iter(role.map(|role| json!({"role": role, "content": "x"}))))
    };
    let route_type = option::of(text(&["CHAT", "CHAT_STREAMING"]));
    (vec(default, 0..3), message(), message(), route_type).prop_map(
        |(defaults, prepend, append, route_type)| {
            let enrichment = json!({"prepend": prepend, "append": append});
            json!({"defaults": defaults, "promptEnrichment": enrichment, "routeType": route_type})
        },
    )
}

/// The servers that a prompt guard asks.
#[derive(Clone, Debug)]
struct Servers {
    webhook: Option<(String, u16, String)>,
    token: Option<Value>,
    is_for_answers: bool,
}

fn servers() -> impl Strategy<Value = Servers> {
    let webhook = (host(), select(vec![443, 8000]), mostly(&["a", "x-b"], &["a b"]));
    let parts = (option::weighted(0.3, webhook), option::weighted(0.3, auth_token()), any::<bool>());
    parts.prop_map(|(webhook, token, is_for_answers)| Servers { webhook, token, is_for_answers })
}

impl Servers {
    fn guard(self, is_traffic_policy: bool) -> Value {
        let webhook = self.webhook.map(|(host, port, header)| match is_traffic_policy {
            true => json!({"host": {"host": host, "port": port},
                "forwardHeaders": [{"name": header, "value": "v", "type": "RegularExpression"}]}),
            false => json!({"host": host, "port": port, "forwardHeaders": [{"key": header}]}),
        });
        let provider = if is_traffic_policy { "openAIModeration" } else { "openai" };
        let moderation = self.token.map(|token| json!({provider: {"authToken": token}}));
        match self.is_for_answers {
            true => json!({"request": {"moderation": moderation}, "response": {"webhook": webhook}}),
            false => json!({"request": {"moderation": moderation, "webhook": webhook}}),
        }
    }
}

fn label() -> impl Strategy<Value = String> {
    text(&["x", "y"])
}

/// Labels, or none.
pub(crate) fn labels() -> impl Strategy<Value = Option<Value>> {
    option::weighted(0.4, label().prop_map(|label| json!({"team": label})))
}

/// Annotations that a route may have.
pub(crate) fn annotations() -> impl Strategy<Value = Option<Value>> {
    let word = mostly(&["strict", "always", "strict,always"], &["other"]);
    option::weighted(0.2, word.prop_map(|word| json!({"chancery.dev/ai-translation": word})))
}

/// A filter that refers to a policy.
pub(crate) fn extension_ref() -> impl Strategy<Value = Value> {
    let kind = select(vec![
        ("gateway.kgateway.dev", "TrafficPolicy"),
        ("gateway.kgateway.dev", "TrafficPolicy"),
        ("gateway.solo.io", "RouteOption"),
        ("example.com", "Thing"),
    ]);
    (kind, text(&["p0", "p1", "p2"])).prop_map(|((group, kind), name)| {
        json!({"type": "ExtensionRef", "extensionRef": {"group": group, "kind": kind, "name": name}})
    })
}
