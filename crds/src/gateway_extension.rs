//! `gateway.kgateway.dev/v1alpha1` GatewayExtension: something that policies refer to.
//!
//! Of its types, OAuth2 is not carried out. It is kept, so that its status can name it.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::core::Condition;
use crate::ext_auth::{ExtAuth, ServiceRules};
use crate::ext_proc::{ExtProc, ProcessorRules};
use crate::identity::kgateway::Jwt;
use crate::identity::{BackendReference, TokenRules};
use crate::rate_limit_service::{LimitServiceRules, RateLimitService};
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
    /// A service that sees requests and answers, and may change them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ext_proc: Option<Box<ExtProc>>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<Opaque>,
    /// A service that counts requests for all proxies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<Box<RateLimitService>>,
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

/// What an extension says, in the words of both dialects. A service comes with where it is.
#[derive(Clone, Debug, PartialEq)]
pub enum Extension {
    /// What is asked of tokens.
    Tokens(TokenRules),
    /// A service that is asked whether a request may pass.
    Service(Box<ServiceRules>, BackendReference),
    /// A service that sees requests and answers.
    Processor(Box<ProcessorRules>, BackendReference),
    /// A service that counts requests.
    Limits(Box<LimitServiceRules>, BackendReference),
}

impl Extension {
    /// The type that a GatewayExtension has.
    pub fn kind(&self) -> ExtensionType {
        match self {
            Self::Tokens(_) => ExtensionType::Jwt,
            Self::Service(..) => ExtensionType::ExtAuth,
            Self::Processor(..) => ExtensionType::ExtProc,
            Self::Limits(..) => ExtensionType::RateLimit,
        }
    }
}

impl ExtensionType {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExtAuth => "ExtAuth",
            Self::ExtProc => "ExtProc",
            Self::RateLimit => "RateLimit",
            Self::Jwt => "JWT",
            Self::OAuth2 => "OAuth2",
        }
    }
}

impl GatewayExtension {
    /// What it says.
    ///
    /// # Errors
    /// It is of a type that is not supported yet, or makes no sense.
    pub fn read(&self) -> Result<Extension, SpecError> {
        let GatewayExtensionSpec { kind: _, jwt, ext_auth, ext_proc, oauth2, rate_limit } = &self.spec;
        if oauth2.is_some() {
            return Err(SpecError::unsupported("spec.oauth2", "not supported yet"));
        }
        match (jwt, ext_auth, ext_proc, rate_limit) {
            (Some(jwt), None, None, None) => jwt.read("spec.jwt").map(Extension::Tokens),
            (None, Some(service), None, None) => {
                let (rules, backend) = service.read("spec.extAuth")?;
                Ok(Extension::Service(rules.into(), backend))
            }
            (None, None, Some(service), None) => {
                let (rules, backend) = service.read("spec.extProc")?;
                Ok(Extension::Processor(rules.into(), backend))
            }
            (None, None, None, Some(service)) => {
                let (rules, backend) = service.read("spec.rateLimit")?;
                Ok(Extension::Limits(rules.into(), backend))
            }
            _ => {
                let message = "exactly one of jwt, extAuth, extProc and rateLimit must be set";
                Err(SpecError::invalid("spec", message))
            }
        }
    }

    /// What it asks of tokens.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn token_rules(&self) -> Result<TokenRules, SpecError> {
        match self.read()? {
            Extension::Tokens(rules) => Ok(rules),
            other => Err(another("spec.jwt", &other)),
        }
    }

    /// The service that it has asked, and where it is.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn auth_service(&self) -> Result<(ServiceRules, BackendReference), SpecError> {
        match self.read()? {
            Extension::Service(rules, backend) => Ok((*rules, backend)),
            other => Err(another("spec.extAuth", &other)),
        }
    }

    /// The service that sees requests and answers, and where it is.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn processor(&self) -> Result<(ProcessorRules, BackendReference), SpecError> {
        match self.read()? {
            Extension::Processor(rules, backend) => Ok((*rules, backend)),
            other => Err(another("spec.extProc", &other)),
        }
    }

    /// The service that counts, and where it is.
    ///
    /// # Errors
    /// It is another extension, or makes no sense.
    pub fn limit_service(&self) -> Result<(LimitServiceRules, BackendReference), SpecError> {
        match self.read()? {
            Extension::Limits(rules, backend) => Ok((*rules, backend)),
            other => Err(another("spec.rateLimit", &other)),
        }
    }

    /// Fields that have no effect.
    pub fn ignored(&self) -> Vec<String> {
        let GatewayExtensionSpec { kind: _, jwt, ext_auth, ext_proc, oauth2: _, rate_limit } = &self.spec;
        let of_jwt = jwt.iter().flat_map(|jwt| jwt.ignored_members("spec.jwt"));
        let of_service = ext_auth.iter().flat_map(|auth| auth.ignored_members("spec.extAuth"));
        let of_processor = ext_proc.iter().flat_map(|service| service.ignored_members("spec.extProc"));
        let of_limits = rate_limit.iter().flat_map(|service| service.ignored_members("spec.rateLimit"));
        of_jwt.chain(of_service).chain(of_processor).chain(of_limits).collect()
    }
}

/// A member is wanted that an extension of another type does not have.
fn another(field: &str, found: &Extension) -> SpecError {
    SpecError::invalid(field, format!("is required: it is of type {}", found.kind().name()))
}
