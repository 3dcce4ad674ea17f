//! `authToken`, as both dialects write it.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sensitive::SensitiveString;

/// Where the credential comes from. The member named by kind, or, without kind, exactly one member.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.kind) || (self.kind == 'Inline' && has(self.inline)) || (self.kind == 'SecretRef' && has(self.secretRef)) || self.kind == 'Passthrough'")
        .message("the member named by kind must be set"),
    validation = Rule::new("[has(self.inline), has(self.secretRef), has(self.passthrough) || (has(self.kind) && self.kind == 'Passthrough')].filter(x, x).size() == 1")
        .message("exactly one of inline, secretRef and passthrough must be set, in agreement with kind")
)]
pub struct AuthTokenSpec {
    /// Which member is meant; optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AuthTokenKind>,
    /// The credential itself. Prefer a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub inline: Option<SensitiveString>,
    /// A Secret with the credential under the key Authorization.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// The credential that the client sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passthrough: Option<Passthrough>,
}

/// Which member of an auth token is meant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "documented at the members of AuthTokenSpec; a variant's doc would reach the CRD"
)]
pub enum AuthTokenKind {
    Inline,
    SecretRef,
    Passthrough,
}

/// Takes no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passthrough {}

/// A Secret.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// Name of the Secret.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Namespace of the Secret; this object's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
