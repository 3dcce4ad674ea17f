//! `chancery.dev/v1alpha1` VirtualKey: a credential that the gateway gives out to a client, in place of those of providers.
//!
//! TrafficPolicies say where requests must show one (`virtualKeys`), and Budgets how much may be spent with it.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::{Condition, Time};
use crate::identity::kgateway::Disable;

/// API group of VirtualKey.
pub const GROUP: &str = "chancery.dev";

/// Kind of VirtualKey.
pub const KIND: &str = "VirtualKey";

/// The entry of a Secret that holds a key, if nobody says so.
pub const SECRET_ENTRY: &str = "key";

/// A credential that the gateway gives out.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "VirtualKey",
    plural = "virtualkeys",
    shortname = "vk",
    namespaced,
    status = "VirtualKeyStatus",
    derive = "PartialEq",
    category = "chancery",
    doc = "A credential that the gateway gives out to a client.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the key can be used"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct VirtualKeySpec {
    /// The Secret with the key. Proxies get a salted hash of it alone.
    pub secret_ref: KeyReference,
    /// Keys that it had before, each of which is taken for a time still, so that clients can change over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub previous: Vec<PreviousKey>,
    /// The models that it may ask for; one that ends in `*` stands for all that begin so. All models if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)))]
    pub models: Option<Vec<String>>,
    /// From when on it is not taken any more; never, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// Where a key is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReference {
    /// The name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The entry of the Secret; `key` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

impl KeyReference {
    /// The entry of the Secret.
    pub fn entry(&self) -> &str {
        self.key.as_deref().unwrap_or(SECRET_ENTRY)
    }
}

/// A key that was used before.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// The Secret with it.
    pub secret_ref: KeyReference,
    /// From when on it is not taken any more.
    pub until: Time,
}

/// Observed state of a VirtualKey.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct VirtualKeyStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The keys of which requests must show one: `virtualKeys` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.matchLabels), has(self.disable)].filter(x, x).size() == 1")
        .message("exactly one of matchLabels and disable must be set")
)]
pub struct VirtualKeysPolicy {
    /// The VirtualKeys of the policy's namespace that have all of these labels. Without any label, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_labels: Option<BTreeMap<String, String>>,
    /// No key is asked for, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// What a policy says about the keys of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyDemand {
    /// None is asked for, whatever less specific policies say.
    Disabled,
    /// One of those with these labels.
    Labels(BTreeMap<String, String>),
}

impl VirtualKeysPolicy {
    /// What it says.
    pub fn read(&self) -> KeyDemand {
        match (&self.match_labels, &self.disable) {
            (Some(labels), None) => KeyDemand::Labels(labels.clone()),
            (None, Some(_)) => KeyDemand::Disabled,
            // Excluded by the CRD; what asks for keys counts.
            (labels, _) => KeyDemand::Labels(labels.clone().unwrap_or_default()),
        }
    }
}
