//! External authorization: a service is asked whether a request may pass. As TrafficPolicies and GatewayExtensions write it,
//! and what both come to.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

mod extension;

use std::collections::BTreeMap;
use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::identity::kgateway::{Disable, ExtensionReference};

pub use extension::{AuthorizationRequest, AuthorizationResponse, ExtAuth, ExtGrpcService, ExtHttpService};
pub(crate) use extension::{check_path_prefix, read_names};

/// How long the service may take, if nobody says so.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

/// The status of the answer if the service cannot be asked, if nobody says so.
pub const DEFAULT_STATUS_ON_ERROR: u16 = 403;

/// The service that is asked: `extAuth` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.extensionRef), has(self.disable), has(self.enablement)].filter(x, x).size() == 1")
        .message("exactly one of extensionRef and disable must be set")
)]
pub struct ExtAuthPolicy {
    /// A GatewayExtension of type ExtAuth, which says which service is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ExtensionReference>,
    /// Nobody is asked, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
    /// The same, as kgateway 2.0 writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enablement: Option<Enablement>,
    /// How much of the body of a request the service gets; that of the extension if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_request_body: Option<BodySettings>,
    /// What the service is told beside the request (`context_extensions`). A service that is asked by HTTP is not told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context_extensions: BTreeMap<String, String>,
}

/// Whether somebody is asked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum Enablement {
    DisableAll,
}

/// How much of the body of a request a service gets.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BodySettings {
    /// At most so many bytes. Requests wait until so much of the body, or all of it, is there; a larger one is answered with
    /// 413.
    #[schemars(range(min = 1))]
    pub max_request_bytes: i32,
    /// Whether of a larger body the service gets the beginning; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_partial_message: Option<bool>,
    /// Whether the service gets the body as bytes (`raw_body`), and not as a text (`body`). It makes no difference for a
    /// service that is asked by HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack_as_bytes: Option<bool>,
}

/// What a policy says about the service that is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// Nobody is asked, whatever less specific policies say.
    Disabled,
    /// The service that a GatewayExtension names.
    Extension {
        /// The field that refers to it.
        field: String,
        /// Its namespace; that of the policy if absent.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// How much of the body it gets; as the extension says if absent.
        body: Option<Body>,
        /// What it is told beside the request.
        context: BTreeMap<String, String>,
    },
}

/// How much of the body of a request a service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Body {
    /// At most so many bytes; above zero.
    pub max_bytes: u32,
    /// Whether it gets the beginning of a larger one; otherwise that is answered with 413.
    pub is_partial_allowed: bool,
    /// Whether it gets bytes, and not a text.
    pub as_bytes: bool,
}

/// A service that is asked whether a request may pass.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceRules {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// How long it may take; above zero.
    pub timeout: Duration,
    /// The headers of the request that it gets, in lower case; without any, all by gRPC, and by HTTP only those that
    /// it always gets.
    pub headers: Vec<String>,
    /// Whether requests pass if it cannot be asked.
    pub fails_open: bool,
    /// Whether the route is chosen again after it has changed headers.
    pub chooses_route: bool,
    /// How much of the body it gets; nothing if absent.
    pub body: Option<Body>,
    /// The status of the answer if it cannot be asked.
    pub status_on_error: u16,
    /// What stands before the names of its counters.
    pub stat_prefix: Option<String>,
    /// Of how many requests in a hundred it is asked; the others pass.
    pub percentage: u32,
}

/// How a service is spoken to.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// By Envoy's own protocol (`envoy.service.auth.v3.Authorization`).
    Grpc {
        /// The `:authority`; made of the name of the backend if absent.
        authority: Option<String>,
    },
    /// By a request of HTTP with method, path and headers of the client's. 200 lets it pass.
    Http(HttpRules),
}

/// How a service is asked by HTTP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpRules {
    /// What is put before the path.
    pub path_prefix: String,
    /// Headers that it gets beside: the name in lower case, and the value.
    pub added: Vec<(String, String)>,
    /// Headers of its answer that the backend gets.
    pub to_backend: AnswerHeaders,
    /// Headers of its answer that the client gets when it refuses the request; if empty, those that Envoy passes by itself.
    pub to_client: Vec<String>,
    /// Headers of its answer that the client gets when it lets the request pass.
    pub to_client_on_success: Vec<String>,
}

/// Headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerHeaders {
    /// These, in lower case.
    Named(Vec<String>),
    /// All that do not belong to the message itself.
    All,
}

impl Default for AnswerHeaders {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl ExtAuthPolicy {
    /// What it says; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Demand, SpecError> {
        let Self { extension_ref, disable, enablement, with_request_body, context_extensions } = self;
        match (extension_ref, disable, enablement) {
            (Some(ExtensionReference { name, namespace }), None, None) => Ok(Demand::Extension {
                field: format!("{field}.extensionRef"),
                namespace: namespace.clone(),
                name: name.clone(),
                body: with_request_body
                    .map(|body| body.read(&format!("{field}.withRequestBody")))
                    .transpose()?,
                context: context_extensions.clone(),
            }),
            (None, Some(_), None) | (None, None, Some(Enablement::DisableAll)) => Ok(Demand::Disabled),
            _ => Err(SpecError::invalid(field, "exactly one of extensionRef and disable must be set")),
        }
    }
}

impl BodySettings {
    fn read(self, field: &str) -> Result<Body, SpecError> {
        let Self { max_request_bytes, allow_partial_message, pack_as_bytes } = self;
        let max_bytes = u32::try_from(max_request_bytes).ok().filter(|bytes| *bytes > 0);
        Ok(Body {
            max_bytes: max_bytes.ok_or_else(|| {
                SpecError::invalid(format!("{field}.maxRequestBytes"), "must be above zero")
            })?,
            is_partial_allowed: allow_partial_message.unwrap_or_default(),
            as_bytes: pack_as_bytes.unwrap_or_default(),
        })
    }
}
