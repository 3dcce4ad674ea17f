//! The service as a GatewayExtension of type ExtAuth has it.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AnswerHeaders, BodySettings, DEFAULT_STATUS_ON_ERROR, DEFAULT_TIMEOUT, HttpRules, Protocol, ServiceRules,
};
use crate::ai::SpecError;
use crate::gateway_api;
use crate::header;
use crate::identity::BackendReference;
use crate::identity::kgateway::ExtensionBackendReference;
use crate::policy::set_members;
use crate::sensitive::Opaque;

/// A service that is asked whether a request may pass: `extAuth` of a GatewayExtension.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.grpcService), has(self.httpService)].filter(x, x).size() == 1")
        .message("exactly one of grpcService and httpService must be set")
)]
pub struct ExtAuth {
    /// A service that speaks Envoy's protocol (envoy.service.auth.v3.Authorization).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grpc_service: Option<ExtGrpcService>,
    /// A service that gets a request of HTTP with the client's method and path. It lets the request pass with the status 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_service: Option<ExtHttpService>,
    /// The headers of the client that the service gets. If absent, one that is asked by gRPC gets all, and one that is asked by
    /// HTTP gets Host, Content-Length and Authorization, which it gets in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub headers_to_forward: Vec<String>,
    /// Whether requests pass if the service cannot be asked; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<bool>,
    /// Whether the route is chosen again after the service has changed headers of the request; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_route_cache: Option<bool>,
    /// How much of the body of a request the service gets; nothing, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_request_body: Option<BodySettings>,
    /// The status of the answer if the service cannot be asked; 403, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 511))]
    pub status_on_error: Option<i32>,
    /// What stands before the names of the service's counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub stat_prefix: Option<String>,
    /// Of how many requests in a hundred the service is asked, while the others pass; of all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage_enabled: Option<i32>,
}

/// A service that is asked by gRPC.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExtGrpcService {
    /// The backend that is asked.
    pub backend_ref: ExtensionBackendReference,
    /// The authority that it is asked under; NAME.NAMESPACE of the backend, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub authority: Option<String>,
    /// How long it may take. Of type ExtAuth 2s, if absent; it has no effect of type ExtProc, whose messages have a time each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub request_timeout: Option<String>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Opaque>>,
}

/// A service that is asked by HTTP.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExtHttpService {
    /// The backend that is asked.
    pub backend_ref: ExtensionBackendReference,
    /// What is put before the client's path; nothing, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub path_prefix: Option<String>,
    /// How long it may take; 2s, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub request_timeout: Option<String>,
    /// What it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_request: Option<AuthorizationRequest>,
    /// What becomes of its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_response: Option<AuthorizationResponse>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Box<Opaque>>,
}

/// What a service is asked.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationRequest {
    /// Headers that the service gets beside those of the client, in whose place they come. A percent sign is written twice;
    /// Envoy's commands between percent signs are not supported yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers_to_add: BTreeMap<String, String>,
}

/// What becomes of the answer of a service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationResponse {
    /// Headers that the backend gets when the request passes; none, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub headers_to_backend: Vec<String>,
    /// Headers that the client gets when the service refuses the request; all, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub headers_to_client: Vec<String>,
    /// Headers that the client gets when the request passes; none, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub headers_to_client_on_success: Vec<String>,
}

impl ExtAuth {
    /// What it says, with where the service is; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<(ServiceRules, BackendReference), SpecError> {
        let status = self.status_on_error.unwrap_or(DEFAULT_STATUS_ON_ERROR.into());
        let percentage = self.percentage_enabled.unwrap_or(100);
        let at = |member: &str, error: String| SpecError::invalid(format!("{field}.{member}"), error);
        let (protocol, backend, timeout, service) = match (&self.grpc_service, &self.http_service) {
            (Some(grpc), None) => {
                let authority = grpc.read_authority(&format!("{field}.grpcService"))?;
                (Protocol::Grpc { authority }, &grpc.backend_ref, &grpc.request_timeout, "grpcService")
            }
            (None, Some(http)) => {
                let rules = http.read(&format!("{field}.httpService"))?;
                (Protocol::Http(rules), &http.backend_ref, &http.request_timeout, "httpService")
            }
            _ => {
                return Err(SpecError::invalid(
                    field,
                    "exactly one of grpcService and httpService must be set",
                ));
            }
        };
        let backend = backend.read(&format!("{field}.{service}.backendRef"));
        let rules = ServiceRules {
            protocol,
            timeout: read_timeout(timeout.as_deref(), &format!("{field}.{service}.requestTimeout"))?,
            headers: read_names(
                &self.headers_to_forward,
                &format!("{field}.headersToForward"),
                header::name_token,
            )?,
            fails_open: self.fail_open.unwrap_or_default(),
            chooses_route: self.clear_route_cache.unwrap_or_default(),
            body: self
                .with_request_body
                .map(|body| body.read(&format!("{field}.withRequestBody")))
                .transpose()?,
            status_on_error: u16::try_from(status)
                .ok()
                .filter(|status| (100..=511).contains(status))
                .ok_or_else(|| at("statusOnError", format!("{status} is not from 100 to 511")))?,
            stat_prefix: self.stat_prefix.clone(),
            percentage: u32::try_from(percentage)
                .ok()
                .filter(|percentage| *percentage <= 100)
                .ok_or_else(|| at("percentageEnabled", format!("{percentage} is not from 0 to 100")))?,
        };
        Ok((rules, backend))
    }

    /// The members that are set and have no effect.
    pub(crate) fn ignored_members(&self, field: &str) -> Vec<String> {
        let members = [
            ("grpcService.retry", self.grpc_service.as_ref().is_some_and(|service| service.retry.is_some())),
            ("httpService.retry", self.http_service.as_ref().is_some_and(|service| service.retry.is_some())),
        ];
        set_members(members).map(|member| format!("{field}.{member}")).collect()
    }
}

impl ExtGrpcService {
    /// Under which authority it is asked; `field` holds the service.
    pub(crate) fn read_authority(&self, field: &str) -> Result<Option<String>, SpecError> {
        let Some(authority) = &self.authority else { return Ok(None) };
        check_authority(authority)
            .map_err(|error| SpecError::invalid(format!("{field}.authority"), error))?;
        Ok(Some(authority.clone()))
    }

    /// How long it may take; `field` holds the service.
    pub(crate) fn read_timeout(&self, field: &str) -> Result<Option<Duration>, SpecError> {
        let field = format!("{field}.requestTimeout");
        self.request_timeout.as_deref().map(|text| read_timeout(Some(text), &field)).transpose()
    }

    /// The members that are set and have no effect.
    pub(crate) fn ignored_members(&self, field: &str) -> Vec<String> {
        set_members([("retry", self.retry.is_some())]).map(|member| format!("{field}.{member}")).collect()
    }
}

impl ExtHttpService {
    fn read(&self, field: &str) -> Result<HttpRules, SpecError> {
        let request = self.authorization_request.clone().unwrap_or_default();
        let answer = self.authorization_response.clone().unwrap_or_default();
        let names = |list: &[String], member: &str, check: fn(&str) -> Result<String, String>| {
            read_names(list, &format!("{field}.authorizationResponse.{member}"), check)
        };
        let path_prefix = self.path_prefix.clone().unwrap_or_default();
        check_path_prefix(&path_prefix)
            .map_err(|error| SpecError::invalid(format!("{field}.pathPrefix"), error))?;
        let added = request.headers_to_add.iter().map(|(name, value)| {
            read_added(name, value, &format!("{field}.authorizationRequest.headersToAdd[{name:?}]"))
        });
        Ok(HttpRules {
            path_prefix,
            added: added.collect::<Result<_, _>>()?,
            to_backend: AnswerHeaders::Named(names(
                &answer.headers_to_backend,
                "headersToBackend",
                header::editable_name,
            )?),
            to_client: names(&answer.headers_to_client, "headersToClient", header::editable_name)?,
            to_client_on_success: names(
                &answer.headers_to_client_on_success,
                "headersToClientOnSuccess",
                header::editable_name,
            )?,
        })
    }
}

/// Names of headers in lower case, each checked.
pub(crate) fn read_names(
    names: &[impl AsRef<str>],
    field: &str,
    check: fn(&str) -> Result<String, String>,
) -> Result<Vec<String>, SpecError> {
    let names = names.iter().enumerate().map(|(index, name)| {
        check(name.as_ref()).map_err(|error| SpecError::invalid(format!("{field}[{index}]"), error))
    });
    names.collect()
}

fn read_timeout(text: Option<&str>, field: &str) -> Result<Duration, SpecError> {
    let Some(text) = text else { return Ok(DEFAULT_TIMEOUT) };
    match gateway_api::duration(text) {
        Ok(timeout) if timeout.is_zero() => Err(SpecError::invalid(field, "must be above zero")),
        Ok(timeout) => Ok(timeout),
        Err(error) => Err(SpecError::invalid(field, error)),
    }
}

fn read_added(name: &str, value: &str, field: &str) -> Result<(String, String), SpecError> {
    let name = header::editable_name(name).map_err(|error| SpecError::invalid(field, error))?;
    if !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Err(SpecError::invalid(field, "is no printable ASCII"));
    }
    let literal = value.replace("%%", "");
    if literal.contains('%') {
        return Err(SpecError::unsupported(field, "commands between percent signs are not supported yet"));
    }
    Ok((name, value.replace("%%", "%")))
}

fn check_authority(text: &str) -> Result<(), String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    match !text.is_empty() && text.bytes().all(is_known) {
        true => Ok(()),
        false => Err(format!("{text:?} is no host with or without a port")),
    }
}

/// What may stand before a path: what Gateway API allows there, with a slash at its beginning, and without anything that
/// leads out of it.
pub(crate) fn check_path_prefix(text: &str) -> Result<(), String> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte);
    let is_step = |part: &str| part == "." || part == "..";
    if text.is_empty() {
        return Ok(());
    }
    if !text.starts_with('/') || !text.bytes().all(is_known) || text.split('/').any(is_step) {
        return Err(format!("{text:?} is no path, or has the parts . or .."));
    }
    Ok(())
}
