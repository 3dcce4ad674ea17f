//! External processing: a service sees requests and answers and may change them. As TrafficPolicies and GatewayExtensions write
//! it, and what both come to.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::ext_auth::ExtGrpcService;
use crate::identity::BackendReference;
use crate::identity::kgateway::{Disable, ExtensionReference};
use crate::policy::http::{ExtensionName, Setting, positive_duration};

/// How long the service may take for each message, if nobody says so (Envoy's default).
pub const DEFAULT_MESSAGE_TIMEOUT: Duration = Duration::from_millis(200);

/// The longest time that Envoy takes (`ExternalProcessor.message_timeout`).
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);

/// The service that sees requests and answers: `extProc` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.extensionRef) != has(self.disable)")
        .message("exactly one of extensionRef and disable must be set")
)]
pub struct ExtProcPolicy {
    /// A GatewayExtension of type ExtProc, which says which service it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ExtensionReference>,
    /// What of requests and answers the service sees; as the extension says, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_mode: Option<ProcessingMode>,
    /// No service sees them, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// A service that sees requests and answers: `extProc` of a GatewayExtension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExtProc {
    /// A service that speaks Envoy's protocol (envoy.service.ext_proc.v3.ExternalProcessor).
    pub grpc_service: ExtGrpcService,
    /// Whether requests and answers pass as they are if the service is away; not, if absent (with kgateway they do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<bool>,
    /// What of requests and answers the service sees; their headers, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_mode: Option<ProcessingMode>,
    /// Whether the service may choose another mode for a request; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_processing_mode_override: Option<bool>,
    /// The modes that it may choose; any, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub allowed_processing_mode_overrides: Vec<ProcessingMode>,
    /// How long it may take for each message; 200ms, if absent. It counts for no body that is FULL_DUPLEX_STREAMED.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub message_timeout: Option<String>,
    /// How much longer it may make this time itself at most; not at all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub max_message_timeout: Option<String>,
    /// What stands before the names of the service's counters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub stat_prefix: Option<String>,
    /// Whether the route is chosen again when the service has seen the headers of a request. FromResponse, if absent: if it says
    /// so. Clear: always. Retain: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_cache_action: Option<RouteCacheAction>,
    /// What of the dynamic metadata of a request the service sees; nothing, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_options: Option<MetadataOptions>,
}

/// What of requests and answers a service sees.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProcessingMode {
    /// Whether it sees the headers of requests; DEFAULT is SEND; SEND, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_header_mode: Option<SendMode>,
    /// Whether it sees the headers of answers; DEFAULT is SEND; SEND, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_header_mode: Option<SendMode>,
    /// How it sees the bodies of requests; NONE, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body_mode: Option<BodyMode>,
    /// How it sees the bodies of answers; NONE, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_body_mode: Option<BodyMode>,
    /// Whether it sees the trailers of requests; DEFAULT is SKIP; SKIP, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_trailer_mode: Option<SendMode>,
    /// Whether it sees the trailers of answers; DEFAULT is SKIP; SKIP, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_trailer_mode: Option<SendMode>,
}

/// Whether a service sees headers or trailers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "documented at the fields; a variant's doc would reach the CRD")]
pub enum SendMode {
    Default,
    Send,
    Skip,
}

/// How a service sees bodies.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "documented at the fields; a variant's doc would reach the CRD")]
pub enum BodyMode {
    #[default]
    None,
    Streamed,
    Buffered,
    BufferedPartial,
    FullDuplexStreamed,
}

/// Whether the route is chosen again.
#[derive(
    Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum RouteCacheAction {
    #[default]
    FromResponse,
    Clear,
    Retain,
}

/// What of the dynamic metadata of a request a service sees.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataOptions {
    /// The namespaces that it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarding: Option<MetadataNamespaces>,
}

/// Namespaces of metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataNamespaces {
    /// Those that are sent as messages of their own type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub typed: Vec<String>,
    /// Those that are sent as structures of any form, such as envoy.filters.http.jwt_authn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub untyped: Vec<String>,
}

/// What a policy has a service see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessingContent {
    /// The extension that says which service it is.
    pub extension: ExtensionName,
    /// What it sees; as the extension says if absent.
    pub mode: Option<Mode>,
}

/// What a service sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Of requests.
    pub request: MessageMode,
    /// Of answers.
    pub response: MessageMode,
}

/// What a service sees of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageMode {
    /// Whether it sees its headers.
    pub headers: bool,
    /// How it sees its body.
    pub body: BodyMode,
    /// Whether it sees its trailers; always with [`BodyMode::FullDuplexStreamed`].
    pub trailers: bool,
}

/// A service that sees requests and answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessorRules {
    /// The `:authority`; made of the name of the backend if absent.
    pub authority: Option<String>,
    /// Whether messages pass as they are if it is away.
    pub fails_open: bool,
    /// What it sees.
    pub mode: Mode,
    /// The modes that it may choose instead, of which there may be any if the list is empty; none if absent.
    pub other_modes: Option<Vec<Mode>>,
    /// How long it may take for a message; above zero.
    pub message_timeout: Duration,
    /// The longest time that it may choose itself.
    pub max_message_timeout: Option<Duration>,
    /// What stands before the names of its counters.
    pub stat_prefix: Option<String>,
    /// Whether the route is chosen again.
    pub route: RouteCacheAction,
    /// The metadata that it sees.
    pub metadata: MetadataNamespaces,
}

impl ExtProcPolicy {
    /// What it says; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Setting<ProcessingContent>, SpecError> {
        let Self { extension_ref, processing_mode, disable } = self;
        match (extension_ref, disable) {
            (None, Some(_)) => Ok(Setting::Off),
            (Some(reference), None) => Ok(Setting::On(ProcessingContent {
                extension: ExtensionName::new(format!("{field}.extensionRef"), reference),
                mode: processing_mode
                    .map(|mode| mode.read(&format!("{field}.processingMode")))
                    .transpose()?,
            })),
            _ => Err(SpecError::invalid(field, "exactly one of extensionRef and disable must be set")),
        }
    }
}

impl ExtProc {
    /// What it says, with where the service is; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<(ProcessorRules, BackendReference), SpecError> {
        let at = |member: &str| format!("{field}.{member}");
        let time =
            |member: &str, text: &Option<String>| match positive_duration(&at(member), text.as_deref())? {
                Some(time) if time > LONGEST_TIMEOUT => {
                    Err(SpecError::invalid(at(member), "must be at most 1h"))
                }
                time => Ok(time),
            };
        let service = at("grpcService");
        let modes = self.allowed_processing_mode_overrides.iter().enumerate();
        let modes = modes
            .map(|(index, mode)| mode.read(&at(&format!("allowedProcessingModeOverrides[{index}]"))))
            .collect::<Result<Vec<_>, _>>()?;
        let rules = ProcessorRules {
            authority: self.grpc_service.read_authority(&service)?,
            fails_open: self.fail_open.unwrap_or_default(),
            mode: self.processing_mode.unwrap_or_default().read(&at("processingMode"))?,
            other_modes: (self.allow_processing_mode_override == Some(true)).then_some(modes),
            message_timeout: time("messageTimeout", &self.message_timeout)?
                .unwrap_or(DEFAULT_MESSAGE_TIMEOUT),
            max_message_timeout: time("maxMessageTimeout", &self.max_message_timeout)?,
            stat_prefix: self.stat_prefix.clone(),
            route: self.route_cache_action.unwrap_or_default(),
            metadata: self
                .metadata_options
                .as_ref()
                .and_then(|options| options.forwarding.clone())
                .unwrap_or_default(),
        };
        Ok((rules, self.grpc_service.backend_ref.read(&format!("{service}.backendRef"))))
    }

    /// The members that are set and have no effect.
    pub(crate) fn ignored_members(&self, field: &str) -> Vec<String> {
        let mut ignored = self.grpc_service.ignored_members(&format!("{field}.grpcService"));
        if self.grpc_service.request_timeout.is_some() {
            // A stream lasts as long as its request; each message has a time of its own.
            ignored.push(format!("{field}.grpcService.requestTimeout"));
        }
        let may_choose = self.allow_processing_mode_override == Some(true);
        if !may_choose && !self.allowed_processing_mode_overrides.is_empty() {
            ignored.push(format!("{field}.allowedProcessingModeOverrides"));
        }
        ignored
    }
}

impl ProcessingMode {
    fn read(self, field: &str) -> Result<Mode, SpecError> {
        let Self {
            request_header_mode,
            response_header_mode,
            request_body_mode,
            response_body_mode,
            request_trailer_mode,
            response_trailer_mode,
        } = self;
        let message =
            |headers: Option<SendMode>, body: Option<BodyMode>, trailers: Option<SendMode>| MessageMode {
                headers: headers != Some(SendMode::Skip),
                body: body.unwrap_or_default(),
                trailers: trailers == Some(SendMode::Send),
            };
        let request = message(request_header_mode, request_body_mode, request_trailer_mode);
        let response = message(response_header_mode, response_body_mode, response_trailer_mode);
        for (member, message) in [("requestTrailerMode", request), ("responseTrailerMode", response)] {
            if message.body == BodyMode::FullDuplexStreamed && !message.trailers {
                let text = "must be SEND where the body is FULL_DUPLEX_STREAMED";
                return Err(SpecError::invalid(format!("{field}.{member}"), text));
            }
        }
        Ok(Mode { request, response })
    }
}

impl Mode {
    /// Whether a body goes to the service as a whole, so that it says its length if it changes it.
    pub fn has_whole_bodies(&self) -> bool {
        [self.request, self.response].iter().any(|message| message.body == BodyMode::Buffered)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn extension(members: Value) -> Result<ProcessorRules, String> {
        let mut spec = json!({"grpcService": {"backendRef": {"name": "b", "port": 1}}});
        spec.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let spec: ExtProc = serde_json::from_value(spec).unwrap();
        spec.read("f").map(|(rules, _)| rules).map_err(|error| error.path)
    }

    #[test]
    fn a_service_sees_headers_and_fails_closed_unless_it_says_otherwise() {
        let headers = MessageMode { headers: true, body: BodyMode::None, trailers: false };
        let plain = extension(json!({})).unwrap();
        assert_eq!(plain.mode, Mode { request: headers, response: headers });
        assert_eq!(
            (plain.fails_open, plain.message_timeout, plain.other_modes),
            (false, DEFAULT_MESSAGE_TIMEOUT, None)
        );
        let other = extension(json!({
            "failOpen": true,
            "messageTimeout": "2s",
            "processingMode": {"requestHeaderMode": "SKIP", "responseBodyMode": "BUFFERED", "responseTrailerMode": "SEND"},
            "allowProcessingModeOverride": true,
        }))
        .unwrap();
        let request = MessageMode { headers: false, ..headers };
        let response = MessageMode { headers: true, body: BodyMode::Buffered, trailers: true };
        assert_eq!(other.mode, Mode { request, response });
        assert!(other.mode.has_whole_bodies() && other.fails_open && other.other_modes == Some(vec![]));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        let full = json!({"requestBodyMode": "FULL_DUPLEX_STREAMED"});
        for (members, path) in [
            (json!({"messageTimeout": "0s"}), "f.messageTimeout"),
            (json!({"maxMessageTimeout": "2h"}), "f.maxMessageTimeout"),
            (json!({"processingMode": full}), "f.processingMode.requestTrailerMode"),
            (
                json!({"processingMode": {"responseBodyMode": "FULL_DUPLEX_STREAMED", "responseTrailerMode": "DEFAULT"}}),
                "f.processingMode.responseTrailerMode",
            ),
            (
                json!({"allowedProcessingModeOverrides": [{}, full]}),
                "f.allowedProcessingModeOverrides[1].requestTrailerMode",
            ),
        ] {
            assert_eq!(extension(members.clone()), Err(path.to_owned()), "{members}");
        }
        let policy = |spec: Value| {
            let spec: ExtProcPolicy = serde_json::from_value(spec).unwrap();
            spec.read("f").map_err(|error| error.path)
        };
        assert_eq!(policy(json!({"disable": {}})), Ok(Setting::Off));
        for (spec, path) in [
            (json!({}), "f"),
            (json!({"extensionRef": {"name": "a"}, "disable": {}}), "f"),
            (
                json!({"extensionRef": {"name": "a"}, "processingMode": full}),
                "f.processingMode.requestTrailerMode",
            ),
        ] {
            assert_eq!(policy(spec.clone()), Err(path.to_owned()), "{spec}");
        }
    }
}
