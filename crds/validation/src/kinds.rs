//! The schemas of the kinds that we read, each made when the first object of its kind comes.

use std::sync::OnceLock;

use crds::{KindInfo, custom_resource_definition};
use serde::Deserialize;
use serde_json::Value;

use crate::schema::Schema;

/// A version of a kind that a CRD describes.
pub(crate) struct Known {
    group: &'static str,
    kind: &'static str,
    version: &'static str,
    source: Source,
    schema: OnceLock<Option<Schema>>,
}

/// Where a schema comes from.
enum Source {
    /// The text of a file in `gateway-api/`.
    GatewayApi(&'static str),
    /// Our own types.
    Ours,
}

/// A file in `gateway-api/`.
#[derive(Deserialize)]
struct File {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    name: String,
    schema: Value,
}

const fn known(group: &'static str, kind: &'static str, version: &'static str, source: Source) -> Known {
    Known { group, kind, version, source, schema: OnceLock::new() }
}

const fn gateway_api(kind: &'static str, version: &'static str, text: &'static str) -> Known {
    known("gateway.networking.k8s.io", kind, version, Source::GatewayApi(text))
}

const BACKEND_TLS_POLICIES: &str = include_str!("../gateway-api/backendtlspolicies.json");
const GATEWAY_CLASSES: &str = include_str!("../gateway-api/gatewayclasses.json");
const GATEWAYS: &str = include_str!("../gateway-api/gateways.json");
const HTTP_ROUTES: &str = include_str!("../gateway-api/httproutes.json");
const GRPC_ROUTES: &str = include_str!("../gateway-api/grpcroutes.json");
const TCP_ROUTES: &str = include_str!("../gateway-api/tcproutes.json");
const TLS_ROUTES: &str = include_str!("../gateway-api/tlsroutes.json");
const UDP_ROUTES: &str = include_str!("../gateway-api/udproutes.json");
const LISTENER_SETS: &str = include_str!("../gateway-api/listenersets.json");
const XBACKENDS: &str = include_str!("../gateway-api/xbackends.json");
const REFERENCE_GRANTS: &str = include_str!("../gateway-api/referencegrants.json");

static ALL: [Known; 36] = [
    gateway_api("BackendTLSPolicy", "v1", BACKEND_TLS_POLICIES),
    gateway_api("BackendTLSPolicy", "v1alpha3", BACKEND_TLS_POLICIES),
    gateway_api("GatewayClass", "v1", GATEWAY_CLASSES),
    gateway_api("GatewayClass", "v1beta1", GATEWAY_CLASSES),
    gateway_api("Gateway", "v1", GATEWAYS),
    gateway_api("Gateway", "v1beta1", GATEWAYS),
    gateway_api("HTTPRoute", "v1", HTTP_ROUTES),
    gateway_api("HTTPRoute", "v1beta1", HTTP_ROUTES),
    gateway_api("GRPCRoute", "v1", GRPC_ROUTES),
    gateway_api("TCPRoute", "v1", TCP_ROUTES),
    gateway_api("TCPRoute", "v1alpha2", TCP_ROUTES),
    gateway_api("TLSRoute", "v1", TLS_ROUTES),
    gateway_api("TLSRoute", "v1alpha3", TLS_ROUTES),
    gateway_api("UDPRoute", "v1", UDP_ROUTES),
    gateway_api("UDPRoute", "v1alpha2", UDP_ROUTES),
    gateway_api("ListenerSet", "v1", LISTENER_SETS),
    gateway_api("ReferenceGrant", "v1", REFERENCE_GRANTS),
    gateway_api("ReferenceGrant", "v1beta1", REFERENCE_GRANTS),
    known("gateway.networking.x-k8s.io", "XBackend", "v1alpha1", Source::GatewayApi(XBACKENDS)),
    known("chancery.dev", "Budget", "v1alpha1", Source::Ours),
    known("chancery.dev", "PriceList", "v1alpha1", Source::Ours),
    known("chancery.dev", "VirtualKey", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "Backend", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "BackendConfigPolicy", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "DirectResponse", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "GatewayExtension", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "GatewayParameters", "v1alpha1", Source::Ours),
    known("gateway.gloo.solo.io", "GatewayParameters", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "TrafficPolicy", "v1alpha1", Source::Ours),
    known("gateway.kgateway.dev", "HTTPListenerPolicy", "v1alpha1", Source::Ours),
    known("gateway.solo.io", "HttpListenerOption", "v1", Source::Ours),
    known("ratelimit.solo.io", "RateLimitConfig", "v1alpha1", Source::Ours),
    known("gateway.solo.io", "ListenerOption", "v1", Source::Ours),
    known("gateway.solo.io", "RouteOption", "v1", Source::Ours),
    known("gateway.solo.io", "VirtualHostOption", "v1", Source::Ours),
    known("gloo.solo.io", "Upstream", "v1", Source::Ours),
];

impl Known {
    /// The schema, or `None` if it cannot be read; a unit test shows that each can.
    pub(crate) fn schema(&self) -> Option<&Schema> {
        let read = || serde_json::from_value(self.raw()?).ok();
        self.schema.get_or_init(read).as_ref()
    }

    /// The schema as its CRD has it.
    fn raw(&self) -> Option<Value> {
        match self.source {
            Source::GatewayApi(text) => {
                let file: File = serde_json::from_str(text).ok()?;
                let version = file.versions.into_iter().find(|version| version.name == self.version)?;
                Some(version.schema)
            }
            Source::Ours => {
                let crd = custom_resource_definition(self.group, self.kind)?;
                let version = crd.spec.versions.into_iter().find(|version| version.name == self.version)?;
                serde_json::to_value(version.schema?.open_api_v3_schema?).ok()
            }
        }
    }
}

/// The CRD's version of a kind, or `None` if the kind is built into Kubernetes.
pub(crate) fn find(kind: &KindInfo, version: &str) -> Option<&'static Known> {
    ALL.iter().find(|known| (known.group, known.kind, known.version) == (kind.group, kind.kind, version))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_that_is_read_is_built_in_or_has_a_schema_that_is_fully_understood() {
        for kind in crds::KINDS {
            for version in kind.versions {
                let Some(known) = find(kind, version) else {
                    assert!(kind.is_builtin(), "{kind:?} {version}");
                    continue;
                };
                let raw = known.raw().unwrap_or_else(|| panic!("{kind:?} {version} has no schema"));
                if let Err(error) = serde_json::from_value::<Schema>(raw) {
                    panic!("{kind:?} {version}: {error}");
                }
            }
        }
    }

    #[test]
    fn every_rule_and_every_pattern_of_every_schema_is_evaluated() {
        let mut rules = BTreeSet::new();
        for known in &ALL {
            for rule in known.schema().unwrap().all_rules() {
                if let Err(error) = rule.program() {
                    panic!("{} {}: {}: {error}", known.kind, known.version, rule.text);
                }
                rules.insert(rule.text.clone());
            }
            check_patterns(known.schema().unwrap());
        }
        assert!(rules.len() > 90, "only {} rules", rules.len());
        // What is not looked at, because it compares with an earlier object.
        let about_change: Vec<_> = rules.iter().filter(|rule| rule.contains("oldSelf")).collect();
        assert_eq!(about_change, ["self == oldSelf"]);
    }

    fn check_patterns(schema: &Schema) {
        if let Some(pattern) = &schema.pattern {
            assert!(pattern.matches("").is_some(), "{}", pattern.text);
        }
        let children = schema.properties.values().chain(schema.items.as_deref());
        let alternatives = schema.all_of.iter().chain(&schema.any_of).chain(&schema.one_of);
        children
            .chain(schema.additional_properties.as_deref())
            .chain(alternatives)
            .chain(schema.not.as_deref())
            .for_each(check_patterns);
    }
}
