//! One object as the API server gives it: cut down to what is read, and decoded.

use std::borrow::Cow;
use std::sync::Arc;

use crds::core::AUTHORITIES_KEY;
use crds::{DecodeError, Decoded, KINDS, KindInfo, NamespacedName, Object, ObjectKey};
use serde_json::{Map, Value};

use super::Observed;
use super::kind_api::FOREIGN_SECRET_TYPES;
use super::owned::OwnedStatus;
use crate::kept_status::KeptStatus;
use crate::source::{Finding, Place, Severity, rule};

/// Fields of `metadata` that somebody reads.
const METADATA: [&str; 9] = [
    "annotations",
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "labels",
    "name",
    "namespace",
    "ownerReferences",
    "uid",
];

/// The manifest as `kubectl apply` keeps it: as large as the object, and a copy of every secret in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object as it was read.
#[derive(Debug)]
pub(super) struct Incoming {
    pub key: ObjectKey,
    pub resource_version: Arc<str>,
    /// For kinds that carry a status of ours.
    pub observed: Option<Observed>,
    pub content: Content,
}

/// What an object holds for us.
#[derive(Debug)]
pub(super) enum Content {
    /// It is stored, with what there is to say about it.
    Stored(Object, Box<[Finding]>),
    /// It cannot be read.
    Invalid(Finding),
    /// It is none of our business.
    Foreign,
}

/// Reads one object; `None` if it has no name, which no API server sends.
pub(super) fn read(kind: &KindInfo, mut value: Value, controller: &str) -> Option<Incoming> {
    let key = key(kind, &value)?;
    let resource_version: Arc<str> = text(&value, "/metadata/resourceVersion").into();
    let status = value.as_object_mut()?.remove("status");
    if is_foreign(kind, &value) {
        return Some(Incoming { key, resource_version, observed: None, content: Content::Foreign });
    }
    let observed = has_status_of_ours(kind).then(|| {
        let resource_version = resource_version.clone();
        Observed { resource_version, ..observed(&value, status.clone(), controller) }
    });
    strip(kind, &mut value, status);
    let content = match Object::decode(value) {
        Ok(Decoded { object, unknown_fields }) => {
            let findings = unknown_findings(kind, &key, unknown_fields);
            Content::Stored(object, findings)
        }
        Err(error) => Content::Invalid(invalid_finding(&key, error)),
    };
    Some(Incoming { key, resource_version, observed, content })
}

/// The key of an object as it was read.
pub(super) fn key(kind: &KindInfo, value: &Value) -> Option<ObjectKey> {
    let metadata = value.get("metadata")?;
    let text = |field: &str| metadata.get(field).and_then(Value::as_str);
    let name = text("name")?;
    let namespace = if kind.namespaced { text("namespace")? } else { "" };
    Some(ObjectKey { kind: kind.id, name: NamespacedName::new(namespace, name) })
}

/// Whether we write a status to objects of this kind.
pub(super) fn has_status_of_ours(kind: &KindInfo) -> bool {
    !kind.is_builtin() && kind.kind != "ReferenceGrant"
}

/// How the object is, for one who writes its status as `controller`.
pub(crate) fn observed(object: &Value, status: Option<Value>, controller: &str) -> Observed {
    Observed {
        version: version(text(object, "/apiVersion")),
        uid: text(object, "/metadata/uid").into(),
        resource_version: text(object, "/metadata/resourceVersion").into(),
        generation: object.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default(),
        status: status.as_ref().map(|status| KeptStatus::new(status, None, controller)),
        owned: Some(OwnedStatus::read(object, controller)).filter(|owned| !owned.is_empty()).map(Box::new),
    }
}

/// The version in an `apiVersion`. Those that we know take no memory, and there are as many as there are objects.
fn version(api_version: &str) -> Cow<'static, str> {
    let version = api_version.split_once('/').map_or(api_version, |(_, version)| version);
    let known = KINDS.iter().flat_map(|kind| kind.versions).find(|known| **known == version);
    known.map_or_else(|| version.to_owned().into(), |known| Cow::Borrowed(*known))
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The field selector of the watch leaves these out already; a server may know it and not the selector.
fn is_foreign(kind: &KindInfo, value: &Value) -> bool {
    let secret_type = value.get("type").and_then(Value::as_str).unwrap_or_default();
    (kind.group, kind.kind) == ("", "Secret") && FOREIGN_SECRET_TYPES.contains(&secret_type)
}

/// Takes out what nobody reads: less to keep, and fewer changes that change nothing.
fn strip(kind: &KindInfo, value: &mut Value, status: Option<Value>) {
    let Some(object) = value.as_object_mut() else { return };
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        strip_metadata(kind, metadata);
    }
    match (kind.group, kind.kind) {
        ("", "Namespace") | (_, "CustomResourceDefinition") => drop(object.remove("spec")),
        // Nothing but certificate authorities is read from one, and a cluster has many that change all the time.
        ("", "ConfigMap") => {
            object.remove("binaryData");
            if let Some(data) = object.get_mut("data").and_then(Value::as_object_mut) {
                data.retain(|key, _| key == AUTHORITIES_KEY);
            }
        }
        // Its addresses are those of a Gateway.
        ("", "Service") => {
            if let Some(balancer) = status.as_ref().and_then(|status| status.get("loadBalancer")) {
                object.insert("status".to_owned(), serde_json::json!({ "loadBalancer": balancer }));
            }
        }
        _ => {}
    }
}

fn strip_metadata(kind: &KindInfo, metadata: &mut Map<String, Value>) {
    metadata.retain(|field, _| METADATA.contains(&field.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    // By its owner, a Service is known to be that of a Gateway.
    if kind.kind != "Service" {
        metadata.remove("ownerReferences");
    }
    // Of a slice, they say when it changed; of a ConfigMap, who leads.
    if matches!(kind.kind, "ConfigMap" | "EndpointSlice" | "Namespace") {
        metadata.remove("annotations");
    }
    let is_empty = |value: &Value| value.as_object().is_some_and(Map::is_empty);
    metadata.retain(|_, value| !is_empty(value));
}

/// Fields that the CRD of the cluster has and we have not. Built-in kinds have many such.
fn unknown_findings(kind: &KindInfo, key: &ObjectKey, fields: Vec<String>) -> Box<[Finding]> {
    if !has_status_of_ours(kind) {
        return Box::default();
    }
    let finding = |field: String| {
        let message = "is not known to this version of Chancery and has no effect";
        let place = Place::object(&key.to_ref());
        Finding::new(place, Severity::Notice, rule::NO_EFFECT, message).at(field)
    };
    fields.into_iter().map(finding).collect()
}

fn invalid_finding(key: &ObjectKey, error: DecodeError) -> Finding {
    let (field, message) = match error {
        DecodeError::Invalid(invalid) => (invalid.path, invalid.message),
        error => (String::new(), error.to_string()),
    };
    let place = Place::object(&key.to_ref());
    Finding::new(place, Severity::Problem, rule::INVALID_FIELD, message).at(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_the_translation_reports_on_is_observed() {
        let observed = crds::KINDS.iter().filter(|kind| has_status_of_ours(kind));
        let mut names: Vec<_> = observed.map(|kind| format!("{}.{}", kind.kind, kind.group)).collect();
        names.sort();
        let expected = [
            "Backend.gateway.kgateway.dev",
            "BackendConfigPolicy.gateway.kgateway.dev",
            "BackendTLSPolicy.gateway.networking.k8s.io",
            "Budget.chancery.dev",
            "DirectResponse.gateway.kgateway.dev",
            "GRPCRoute.gateway.networking.k8s.io",
            "Gateway.gateway.networking.k8s.io",
            "GatewayClass.gateway.networking.k8s.io",
            "GatewayExtension.gateway.kgateway.dev",
            "GatewayParameters.gateway.gloo.solo.io",
            "GatewayParameters.gateway.kgateway.dev",
            "HTTPListenerPolicy.gateway.kgateway.dev",
            "HTTPRoute.gateway.networking.k8s.io",
            "HttpListenerOption.gateway.solo.io",
            "ListenerOption.gateway.solo.io",
            "ListenerSet.gateway.networking.k8s.io",
            "PriceList.chancery.dev",
            "RateLimitConfig.ratelimit.solo.io",
            "RouteOption.gateway.solo.io",
            "TCPRoute.gateway.networking.k8s.io",
            "TLSRoute.gateway.networking.k8s.io",
            "TrafficPolicy.gateway.kgateway.dev",
            "UDPRoute.gateway.networking.k8s.io",
            "Upstream.gloo.solo.io",
            "VirtualHostOption.gateway.solo.io",
            "VirtualKey.chancery.dev",
            "XBackend.gateway.networking.x-k8s.io",
        ];
        assert_eq!(names, expected);
    }
}
