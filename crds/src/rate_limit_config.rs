//! `ratelimit.solo.io/v1alpha1` RateLimitConfig: how much of what clients may ask for in a unit of time.
//!
//! Actions make a list of entries of each request (a header, a claim of its token, a constant), and descriptors say which
//! lists have which limit. RouteOptions name the configurations that apply to a route.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::core::Condition;
use crate::schema;
use crate::sensitive::Opaque;
use crate::traffic_policy::is_false;

/// API group of RateLimitConfig.
pub const GROUP: &str = "ratelimit.solo.io";

/// Kind of RateLimitConfig.
pub const KIND: &str = "RateLimitConfig";

/// How much of what clients may ask for in a unit of time.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "ratelimit.solo.io",
    version = "v1alpha1",
    kind = "RateLimitConfig",
    plural = "ratelimitconfigs",
    shortname = "rlc",
    namespaced,
    status = "RateLimitConfigStatus",
    derive = "PartialEq",
    category = "gloo",
    doc = "How much of what clients may ask for in a unit of time.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the limits can be applied"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitConfigSpec {
    /// The limits, and what is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawLimits>,
}

/// Observed state of a RateLimitConfig.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct RateLimitConfigStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Limits, and what is counted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RawLimits {
    /// A tree of limits: the entries that actions make are looked up in it one after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "descriptor_list")]
    pub descriptors: Vec<Descriptor>,
    /// Limits of requests that have certain entries, in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_descriptors: Vec<SetDescriptor>,
    /// Lists of actions, each of which makes one list of entries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimitActions>,
}

/// A node of the tree of limits.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The key of the entry.
    pub key: String,
    /// Its value; any value, each counted by itself, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit of lists that end here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// What follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub descriptors: Vec<Self>,
    /// Where several lists of a request have a limit, those of the highest weight count.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: u32,
    /// Whether the limit counts whatever its weight.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always_apply: bool,
}

/// How deep the CRD's schema knows descriptors; an API server wants schemas without end to be cut.
const SCHEMA_DEPTH: usize = 3;

/// The schema of descriptors, which hold descriptors: so deep, and then of any form.
fn descriptor_list(generator: &mut SchemaGenerator) -> Schema {
    let limit = generator.subschema_for::<RateLimit>();
    let mut below = json_schema!({
        "description": "What follows.",
        "type": "array",
        "items": {
            "description": "A node of the tree, as above.",
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": true
        }
    });
    for _ in 0..SCHEMA_DEPTH {
        below = json_schema!({
            "description": "What follows.",
            "type": "array",
            "items": {
                "description": "A node of the tree of limits.",
                "type": "object",
                "required": ["key"],
                "properties": {
                    "key": { "description": "The key of the entry.", "type": "string" },
                    "value": {
                        "description": "Its value; any value, each counted by itself, if absent.",
                        "type": "string",
                        "nullable": true
                    },
                    "rateLimit": limit,
                    "descriptors": below,
                    "weight": {
                        "description": "Where several lists of a request have a limit, those of the highest weight count.",
                        "type": "integer",
                        "minimum": 0
                    },
                    "alwaysApply": {
                        "description": "Whether the limit counts whatever its weight.",
                        "type": "boolean"
                    }
                }
            }
        });
    }
    below.insert(
        "description".to_owned(),
        "A tree of limits: the entries that actions make are looked up in it one after the other.".into(),
    );
    below
}

/// A limit of requests that have certain entries.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SetDescriptor {
    /// The entries; requests without any if absent have it, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub simple_descriptors: Vec<SimpleDescriptor>,
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
    /// Whether it counts although an earlier one fits.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always_apply: bool,
}

/// An entry that a request must have.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleDescriptor {
    /// The key.
    pub key: String,
    /// The value; any, each counted by itself, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// So many requests (of AI backends: tokens) in a unit of time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// SECOND, MINUTE, HOUR, DAY, WEEK, MONTH or YEAR.
    pub unit: String,
    /// How many.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[schemars(schema_with = "schema::unsigned")]
    pub requests_per_unit: u32,
}

/// Actions, which make one list of entries.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitActions {
    /// The actions, in the order of the tree's levels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Actions whose entries are looked up in `setDescriptors`, together with those of the other lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_actions: Vec<Action>,
    /// A limit out of dynamic metadata. Not carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub limit: Option<Box<Opaque>>,
    /// What is counted: REQUEST or TOKEN. Tokens of AI backends, and requests of others, if absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Makes an entry. One member must be set.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// The key `source_cluster` with the name of the proxy's cluster. Not carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster: Option<Opaque>,
    /// The key `destination_cluster` with the name of the backend's cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_cluster: Option<Opaque>,
    /// The value of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_headers: Option<RequestHeaderAction>,
    /// The key `remote_address` with the client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<Opaque>,
    /// A constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic_key: Option<GenericKeyAction>,
    /// A constant, if headers match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header_value_match: Option<HeaderValueMatchAction>,
    /// A value of metadata, such as a claim of the client's token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<MetadataAction>,
    /// An expression. Not carried out yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<Opaque>,
}

/// The value of a header. Requests without it are not limited by the list.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestHeaderAction {
    /// The header.
    pub header_name: String,
    /// The entry's key.
    pub descriptor_key: String,
}

/// A constant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GenericKeyAction {
    /// The entry's value.
    pub descriptor_value: String,
    /// The entry's key; `generic_key` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub descriptor_key: Option<String>,
}

/// The key `header_match` with a constant, if all headers match.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValueMatchAction {
    /// The entry's value.
    pub descriptor_value: String,
    /// Whether they must match, or must not; they must if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_match: Option<bool>,
    /// What the headers must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderMatch>,
}

/// What a header must be. At most one of the matches may be set; it must be there if none is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// The header.
    pub name: String,
    /// Its whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact_match: Option<String>,
    /// An expression for the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_match: Option<String>,
    /// Whether it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present_match: Option<bool>,
    /// The beginning of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix_match: Option<String>,
    /// The end of its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix_match: Option<String>,
    /// Whether the match is turned round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invert_match: Option<bool>,
}

/// A value of metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MetadataAction {
    /// The entry's key.
    pub descriptor_key: String,
    /// Where the value stands.
    pub metadata_key: MetadataKey,
    /// The value where there is none; without it, such requests are not limited by the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// The same as `defaultValue`, as some guides write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// DYNAMIC (of the request, if absent) or ROUTE_ENTRY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Where a value of metadata stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataKey {
    /// The namespace, such as `envoy.filters.http.jwt_authn`.
    pub key: String,
    /// The way from there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<PathSegment>,
}

/// A step of a way through metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSegment {
    /// The member.
    pub key: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
