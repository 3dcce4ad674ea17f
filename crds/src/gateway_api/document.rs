//! Routes as documents: what was kept of them, in the form in which it is read.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::grpc_route::GrpcMethodMatch;
use super::http_route::HttpMatch;
use super::part::{Filter, FilterMember, Metadata, NamedMatch, ParentRef, RequestMirror};
use crate::Kind;

/// The document of a route.
pub(super) fn of_route(
    kind: Kind,
    metadata: &Metadata,
    parent_refs: &[ParentRef],
    hostnames: &[Box<str>],
    rules: &impl Serialize,
) -> Value {
    let info = kind.info();
    let mut document = json!({
        "apiVersion": info.api_version(),
        "kind": info.kind,
        "metadata": metadata,
        "spec": {"parentRefs": parent_refs, "hostnames": hostnames, "rules": rules},
    });
    leave_out_absent(&mut document);
    document
}

/// Takes out the members that are null or an empty list, at any depth: in a route, both mean the same as no member.
fn leave_out_absent(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| {
                !member.is_null() && member.as_array().is_none_or(|list| !list.is_empty())
            });
            members.values_mut().for_each(leave_out_absent);
        }
        Value::Array(list) => list.iter_mut().for_each(leave_out_absent),
        _ => {}
    }
}

/// A value without the members that are null or an empty list.
pub(super) fn without_absent<S: Serializer>(
    value: &impl Serialize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut document = serde_json::to_value(value).map_err(serde::ser::Error::custom)?;
    leave_out_absent(&mut document);
    document.serialize(serializer)
}

/// A member of which is only known whether it is there.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
pub(super) fn presence<S: Serializer>(is_there: &bool, serializer: S) -> Result<S::Ok, S::Error> {
    is_there.then(Map::new).serialize(serializer)
}

/// The `type` of a comparison that is by an expression or exact.
fn comparison(is_regex: bool) -> &'static str {
    if is_regex { "RegularExpression" } else { "Exact" }
}

impl Serialize for NamedMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { name, value, is_regex } = self;
        json!({"name": name, "value": value, "type": comparison(*is_regex)}).serialize(serializer)
    }
}

impl Serialize for GrpcMethodMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { service, method, is_regex } = self;
        json!({"service": service, "method": method, "type": comparison(*is_regex)}).serialize(serializer)
    }
}

impl Serialize for HttpMatch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { path_type, path, method, headers, query_params } = self;
        let path = json!({"type": path_type, "value": path});
        json!({"path": path, "method": method, "headers": headers, "queryParams": query_params})
            .serialize(serializer)
    }
}

impl Serialize for RequestMirror {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { backend, percent, fraction } = self;
        let fraction = fraction
            .map(|(numerator, denominator)| json!({"numerator": numerator, "denominator": denominator}));
        json!({"backendRef": backend, "percent": percent, "fraction": fraction}).serialize(serializer)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, members } = self;
        let mut map = serializer.serialize_map(Some(members.len() + 1))?;
        map.serialize_entry("type", kind.as_str())?;
        for member in members {
            map.serialize_entry(member.belongs_to().member(), member)?;
        }
        map.end()
    }
}

impl Serialize for FilterMember {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::RequestHeaderModifier(member) | Self::ResponseHeaderModifier(member) => {
                member.serialize(serializer)
            }
            Self::RequestMirror(member) => member.serialize(serializer),
            Self::RequestRedirect(member) => member.serialize(serializer),
            Self::UrlRewrite(member) => member.serialize(serializer),
            Self::ExtensionRef(member) => member.serialize(serializer),
            Self::Cors(member) => member.serialize(serializer),
            Self::ExternalAuth(member) => member.serialize(serializer),
        }
    }
}
