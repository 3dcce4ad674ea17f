//! How an endpoint is chosen.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::policy::set_members;
use crate::sensitive::Opaque;

/// How an endpoint is chosen.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.leastRequest), has(self.roundRobin), has(self.ringHash), has(self.maglev), has(self.random)].filter(x, x).size() == 1")
        .message("exactly one of leastRequest, roundRobin, ringHash, maglev and random must be set")
)]
pub struct LoadBalancer {
    /// Of how many endpoints in a hundred at least those that are well get the requests alone; if fewer are well, all get them. 1, if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub healthy_panic_threshold: Option<i32>,
    /// How long changes of endpoints' health may wait to be applied together; 1s, if absent; 0s is not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub update_merge_window: Option<String>,
    /// The one of several that has the fewest requests. This is done if there is no policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_request: Option<LeastRequest>,
    /// One after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_robin: Option<RoundRobin>,
    /// The same for requests that have something in common, by a ring; requests that have nothing go anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_hash: Option<RingHash>,
    /// The same, by a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maglev: Option<Maglev>,
    /// Any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<Random>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub locality_type: Option<Box<Opaque>>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub zone_aware: Option<Box<Opaque>>,
    /// Whether connections are closed, when their requests are done, whenever endpoints come or go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close_connections_on_host_set_change: Option<bool>,
}

/// The one of several that has the fewest requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LeastRequest {
    /// Among how many that are drawn at random; at least 2, which it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2))]
    pub choice_count: Option<i32>,
    /// How endpoints begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStart>,
}

/// One after the other.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RoundRobin {
    /// How endpoints begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<SlowStart>,
}

/// The same for requests that have something in common, by a ring.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RingHash {
    /// How large the ring is at least; 1024, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8388608))]
    pub minimum_ring_size: Option<i64>,
    /// How large the ring is at most; 8388608, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8388608))]
    pub maximum_ring_size: Option<i64>,
    /// Whether names of hosts are put on the ring, and not addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_hostname_for_hashing: Option<bool>,
    /// What requests must have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub hash_policies: Vec<HashPolicy>,
}

/// The same for requests that have something in common, by a table.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Maglev {
    /// Whether names of hosts are put into the table, and not addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_hostname_for_hashing: Option<bool>,
    /// What requests must have in common.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    pub hash_policies: Vec<HashPolicy>,
}

/// Any endpoint.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random {}

/// How endpoints begin: with few requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SlowStart {
    /// For how long they get fewer than others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub window: Option<String>,
    /// How fast they get more, as a number above zero; 1 is evenly, which it is if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub aggression: Option<String>,
    /// How many requests in a hundred of another's they get at least; 10, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub min_weight_percent: Option<i32>,
}

/// What requests must have in common.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.header), has(self.cookie), has(self.sourceIP)].filter(x, x).size() == 1")
        .message("exactly one of header, cookie and sourceIP must be set")
)]
pub struct HashPolicy {
    /// The value of a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HashHeader>,
    /// The value of a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<HashCookie>,
    /// The address of the client.
    #[serde(default, rename = "sourceIP", skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<SourceIp>,
    /// Whether nothing that comes later counts for requests that have this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<bool>,
}

/// A header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct HashHeader {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
}

/// A cookie.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HashCookie {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The path of a cookie that clients are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path: Option<String>,
    /// How long a cookie lasts that clients are given who have none; with 0s as long as their session. Clients are given none, if
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub ttl: Option<String>,
    /// Whether it is sent by HTTPS alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secure: Option<bool>,
    /// Whether scripts do not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_only: Option<bool>,
    /// Whether it is sent from pages of other sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_site: Option<SameSite>,
}

/// Whether a cookie is sent from pages of other sites.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of RFC 6265bis")]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

/// The address of the client.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceIp {}

impl LoadBalancer {
    /// The members that are set and have no effect.
    pub(super) fn ignored(&self, field: &str) -> Vec<String> {
        let members =
            [("localityType", self.locality_type.is_some()), ("zoneAware", self.zone_aware.is_some())];
        set_members(members).map(|member| format!("{field}.{member}")).collect()
    }
}
