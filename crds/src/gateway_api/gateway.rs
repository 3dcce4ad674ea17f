//! Gateways: their listeners have filters (experimental since Gateway API 1.7), which the generated types do not have
//! yet. All other members are of the generated types.
#![allow(unreachable_pub, reason = "the derive makes a hidden copy of the struct")]

use gateway_api::experimental::gateways::{
    GatewayAddresses, GatewayAllowedListeners, GatewayDefaultScope, GatewayInfrastructure,
    GatewayListenersAllowedRoutes, GatewayListenersTls, GatewayStatus, GatewayTls,
};
use gateway_api::experimental::httproutes::HttpRouteRulesFiltersExternalAuth;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::document::without_absent;
use super::part::ExternalAuth;

/// What a Gateway says.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "Gateway",
    plural = "gateways",
    namespaced,
    status = "GatewayStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The addresses that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Vec<GatewayAddresses>>,
    /// The ListenerSets that may add listeners.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_listeners: Option<GatewayAllowedListeners>,
    /// The routes that attach without naming it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_scope: Option<GatewayDefaultScope>,
    /// Its class.
    pub gateway_class_name: String,
    /// How its proxies are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Its listeners.
    pub listeners: Vec<Listener>,
    /// Certificates that it shows and asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayTls>,
}

/// A listener, of a Gateway or a ListenerSet.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// The routes that may attach.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<GatewayListenersAllowedRoutes>,
    /// What its requests pass before a route is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<ListenerFilters>,
    /// The hosts that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Its name, which no other listener of the object has.
    pub name: String,
    /// The port.
    pub port: i32,
    /// What is spoken on its connections.
    pub protocol: String,
    /// How it ends TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<GatewayListenersTls>,
}

/// The filters of a listener.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
pub struct ListenerFilters {
    /// Those that each request passes, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<ListenerFilter>,
}

/// A filter of a listener. Well formed if its only member is the one of its type.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ListenerFilter {
    /// What it does: `ExternalAuth` or `ExtensionRef`.
    pub r#type: String,
    /// A service that is asked whether a request may pass.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "external_auth",
        serialize_with = "without_absent"
    )]
    pub external_auth: Option<ExternalAuth>,
    /// An object that says what the filter does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ListenerExtensionRef>,
}

/// An object of the same namespace.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ListenerExtensionRef {
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// It is what a filter of an HTTPRoute has.
fn external_auth<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<ExternalAuth>, D::Error> {
    Ok(Option::<HttpRouteRulesFiltersExternalAuth>::deserialize(from)?.map(Into::into))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Object;

    /// A Gateway and a ListenerSet with such a listener.
    fn objects(listener: &Value) -> [Value; 2] {
        let object = |kind: &str, spec: Value| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
                "metadata": {"name": "o", "namespace": "default"}, "spec": spec})
        };
        [
            object("Gateway", json!({"gatewayClassName": "c", "listeners": [listener]})),
            object("ListenerSet", json!({"parentRef": {"name": "g"}, "listeners": [listener]})),
        ]
    }

    fn listener(filters: &Value) -> Value {
        json!({"name": "l", "port": 80, "protocol": "HTTP", "filters": filters})
    }

    #[test]
    fn filters_of_listeners_are_kept_as_they_are_written() {
        let listener = listener(&json!({"requests": [
            {"type": "ExternalAuth", "externalAuth": {
                "protocol": "HTTP", "backendRef": {"name": "auth", "namespace": "other", "port": 80},
                "http": {"path": "/check", "allowedHeaders": ["cookie"], "allowedResponseHeaders": ["x-user"]},
                "forwardBody": {"maxSize": 8},
            }},
            {"type": "ExtensionRef", "extensionRef": {"group": "example.com", "kind": "Claims", "name": "c"}},
        ]}));
        for document in objects(&listener) {
            let decoded = Object::decode(document).unwrap();
            assert_eq!(decoded.unknown_fields, [""; 0]);
            let kept = match &decoded.object {
                Object::Gateway(gateway) => serde_json::to_value(gateway),
                object => Ok(object.to_document().unwrap()),
            };
            let kept = kept.unwrap();
            let filters = &kept["spec"]["listeners"][0]["filters"]["requests"];
            let auth = &filters[0]["externalAuth"];
            assert_eq!(auth["http"], listener["filters"]["requests"][0]["externalAuth"]["http"]);
            assert_eq!(auth["backendRef"]["namespace"], "other");
            assert_eq!(filters[1], listener["filters"]["requests"][1]);
            // What one replica hands on to another is the same.
            assert_eq!(Object::decode(kept).unwrap(), decoded);
        }
    }

    #[test]
    fn what_a_filter_does_not_have_is_named() {
        let auth = json!({"type": "ExternalAuth", "externalAuth": {
            "protocol": "HTTP", "backendRef": {"name": "auth", "prot": 80}, "http": {"pathh": "/"}, "failOpen": true}});
        let [gateway, set] =
            objects(&listener(&json!({"connections": [], "requests": [auth, {"type": "A", "b": 1}]})));
        let unknown = |document| Object::decode(document).unwrap().unknown_fields;
        let fields = [
            "connections",
            "requests[0].externalAuth.backendRef.prot",
            "requests[0].externalAuth.failOpen",
            "requests[0].externalAuth.http.pathh",
            "requests[1].b",
        ];
        let fields = fields.map(|field| format!("spec.listeners[0].filters.{field}"));
        for document in [gateway, set] {
            let mut found = unknown(document);
            found.sort();
            assert_eq!(found, fields);
        }
    }
}
