//! `gateway.kgateway.dev/v1alpha1` GatewayExtension: something that policies refer to.
//!
//! Of its types, JWT is carried out. The others are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::core::Condition;
use crate::identity::TokenRules;
use crate::identity::kgateway::Jwt;
use crate::sensitive::Opaque;

/// API group of GatewayExtension.
pub const GROUP: &str = "gateway.kgateway.dev";

/// Kind of GatewayExtension.
pub const KIND: &str = "GatewayExtension";

/// Something that policies refer to.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.kgateway.dev",
    version = "v1alpha1",
    kind = "GatewayExtension",
    plural = "gatewayextensions",
    namespaced,
    status = "GatewayExtensionStatus",
    derive = "PartialEq",
    category = "kgateway",
    label("app", "kgateway"),
    doc = "Something that policies refer to.",
    printcolumn(
        name = "Type",
        type_ = "string",
        json_path = ".spec.type",
        description = "Which extension it is"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.extAuth), has(self.extProc), has(self.rateLimit), has(self.jwt), has(self.oauth2)].filter(x, x).size() == 1")
        .message("exactly one of extAuth, extProc, rateLimit, jwt and oauth2 must be set"),
    validation = Rule::new("!has(self.type) || (self.type == 'ExtAuth' && has(self.extAuth)) || (self.type == 'ExtProc' && has(self.extProc)) || (self.type == 'RateLimit' && has(self.rateLimit)) || (self.type == 'JWT' && has(self.jwt)) || (self.type == 'OAuth2' && has(self.oauth2))")
        .message("the member named by type must be set")
)]
pub struct GatewayExtensionSpec {
    /// Which extension it is; the member that is set says so as well.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<ExtensionType>,
    /// Who may have issued the tokens of clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_auth: Option<Opaque>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_proc: Option<Opaque>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Opaque>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Opaque>,
}

/// Which extension is meant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the members of GatewayExtensionSpec")]
pub enum ExtensionType {
    ExtAuth,
    ExtProc,
    RateLimit,
    #[serde(rename = "JWT")]
    Jwt,
    OAuth2,
}

/// Observed state.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct GatewayExtensionStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

impl GatewayExtension {
    /// What it asks of tokens.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn token_rules(&self) -> Result<TokenRules, SpecError> {
        let GatewayExtensionSpec { kind: _, jwt, ext_auth, ext_proc, oauth2, rate_limit } = &self.spec;
        let others =
            [("extAuth", ext_auth), ("extProc", ext_proc), ("oauth2", oauth2), ("rateLimit", rate_limit)];
        let other = others.into_iter().find_map(|(name, other)| other.as_ref().map(|_| name));
        match (other, jwt) {
            (Some(other), _) => Err(SpecError::unsupported(format!("spec.{other}"), "not supported yet")),
            (None, Some(jwt)) => jwt.read("spec.jwt"),
            (None, None) => Err(SpecError::invalid("spec.jwt", "is required")),
        }
    }

    /// Fields that have no effect.
    pub fn ignored(&self) -> Vec<String> {
        self.spec.jwt.iter().flat_map(|jwt| jwt.ignored_members("spec.jwt")).collect()
    }
}
