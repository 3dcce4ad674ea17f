//! `gateway.kgateway.dev/v1alpha1` GatewayExtension: something that policies refer to.
//!
//! Of its types, JWT and ExtAuth are carried out. The others are kept, so that its status can name them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::core::Condition;
use crate::ext_auth::{ExtAuth, ServiceRules};
use crate::identity::kgateway::Jwt;
use crate::identity::{BackendReference, TokenRules};
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
    /// A service that is asked whether a request may pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_auth: Option<Box<ExtAuth>>,
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

/// What an extension says, in the words of both dialects.
#[derive(Clone, Debug, PartialEq)]
pub enum Extension {
    /// What is asked of tokens.
    Tokens(TokenRules),
    /// A service that is asked whether a request may pass, and where it is.
    Service(Box<ServiceRules>, BackendReference),
}

impl GatewayExtension {
    /// What it says.
    ///
    /// # Errors
    /// It is of a type that is not supported yet, or makes no sense.
    pub fn read(&self) -> Result<Extension, SpecError> {
        let GatewayExtensionSpec { kind: _, jwt, ext_auth, ext_proc, oauth2, rate_limit } = &self.spec;
        let others = [("extProc", ext_proc), ("oauth2", oauth2), ("rateLimit", rate_limit)];
        let other = others.into_iter().find_map(|(name, other)| other.as_ref().map(|_| name));
        match (other, jwt, ext_auth) {
            (Some(other), ..) => Err(SpecError::unsupported(format!("spec.{other}"), "not supported yet")),
            (None, Some(jwt), None) => jwt.read("spec.jwt").map(Extension::Tokens),
            (None, None, Some(service)) => {
                let (rules, backend) = service.read("spec.extAuth")?;
                Ok(Extension::Service(Box::new(rules), backend))
            }
            (None, _, _) => Err(SpecError::invalid("spec", "exactly one of jwt and extAuth must be set")),
        }
    }

    /// What it asks of tokens.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn token_rules(&self) -> Result<TokenRules, SpecError> {
        match self.read()? {
            Extension::Tokens(rules) => Ok(rules),
            Extension::Service(..) => {
                Err(SpecError::invalid("spec.jwt", "is required: it is of type ExtAuth"))
            }
        }
    }

    /// The service that it has asked, and where it is.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn auth_service(&self) -> Result<(ServiceRules, BackendReference), SpecError> {
        match self.read()? {
            Extension::Service(rules, backend) => Ok((*rules, backend)),
            Extension::Tokens(_) => Err(SpecError::invalid("spec.extAuth", "is required: it is of type JWT")),
        }
    }

    /// Fields that have no effect.
    pub fn ignored(&self) -> Vec<String> {
        let of_jwt = self.spec.jwt.iter().flat_map(|jwt| jwt.ignored_members("spec.jwt"));
        let of_service = self.spec.ext_auth.iter().flat_map(|auth| auth.ignored_members("spec.extAuth"));
        of_jwt.chain(of_service).collect()
    }
}
