//! Rate limits that a service of the user's counts for all proxies together. As TrafficPolicies and GatewayExtensions write them,
//! and what both come to.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ai::SpecError;
use crate::ext_auth::ExtGrpcService;
use crate::header;
use crate::identity::BackendReference;
use crate::identity::kgateway::{Disable, ExtensionReference};
use crate::policy::http::{ExtensionName, Setting, positive_duration};

/// How long the service may take, if nobody says so (kgateway).
pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(100);

/// The service that counts: `rateLimit.global` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.extensionRef) != has(self.disable)")
        .message("exactly one of extensionRef and disable must be set"),
    validation = Rule::new("has(self.extensionRef) == has(self.descriptors)")
        .message("descriptors and extensionRef go together")
)]
pub struct GlobalRateLimit {
    /// What the service is told of a request. Each descriptor is a limit of its own, and a request passes if it is within all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub descriptors: Vec<LimitDescriptor>,
    /// A GatewayExtension of type RateLimit, which says which service is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ExtensionReference>,
    /// Nobody is asked, whatever less specific policies say. It is not a member of kgateway's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// What the service is told of a request, so that it finds a limit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitDescriptor {
    /// Its parts, in order. If a request lacks one (a header), the service is not told of this descriptor.
    #[schemars(length(min = 1, max = 64))]
    pub entries: Vec<LimitDescriptorEntry>,
}

/// A part of a descriptor.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(
    validation = Rule::new("(self.type == 'Generic') == has(self.generic) && (self.type == 'Header') == has(self.header)")
        .message("generic and header must be set if, and only if, type says so")
)]
pub struct LimitDescriptorEntry {
    /// Generic: the key and value of generic. Header: the name of the header as the key, with its value. RemoteAddress: the key
    /// remote_address, with the address of the client. Path: the key path, with the path and the query.
    #[serde(rename = "type")]
    pub kind: LimitEntryType,
    /// A constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generic: Option<GenericLimitEntry>,
    /// The name of a header of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub header: Option<String>,
}

/// What a part of a descriptor is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum LimitEntryType {
    Generic,
    Header,
    RemoteAddress,
    Path,
}

/// A constant.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct GenericLimitEntry {
    /// Its key.
    #[schemars(length(min = 1, max = 1024))]
    pub key: String,
    /// Its value.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// A service that counts requests: `rateLimit` of a GatewayExtension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitService {
    /// A service that speaks Envoy's protocol (envoy.service.ratelimit.v3.RateLimitService).
    pub grpc_service: ExtGrpcService,
    /// Which of the service's sets of limits is meant.
    #[schemars(length(min = 1, max = 1024))]
    pub domain: String,
    /// Whether requests pass if the service cannot be asked; not, if absent (with kgateway they do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_open: Option<bool>,
    /// How long it may take; what grpcService.requestTimeout says, or 100ms, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub timeout: Option<String>,
    /// Whether answers tell clients what is left, in headers x-ratelimit-...; Off, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x_rate_limit_headers: Option<RateLimitHeaders>,
}

/// In which form clients are told what is left.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum RateLimitHeaders {
    Off,
    DraftVersion03,
}

/// What a policy has a service count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitQuestion {
    /// The extension that says which service it is.
    pub extension: ExtensionName,
    /// What it is told of a request; neither the list nor one of its lists is empty.
    pub descriptors: Vec<Vec<EntryContent>>,
}

/// A part of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryContent {
    /// A constant; neither text is empty.
    Generic {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// A header, in lower case.
    Header(String),
    /// The client's address.
    RemoteAddress,
    /// The path with the query.
    Path,
}

/// A service that counts requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitServiceRules {
    /// The `:authority`; made of the name of the backend if absent.
    pub authority: Option<String>,
    /// Which of its sets of limits is meant.
    pub domain: String,
    /// Whether requests pass if it cannot be asked.
    pub fails_open: bool,
    /// How long it may take; above zero.
    pub timeout: Duration,
    /// Whether clients are told what is left.
    pub tells_clients: bool,
}

impl GlobalRateLimit {
    /// What it says; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Setting<LimitQuestion>, SpecError> {
        let Self { descriptors, extension_ref, disable } = self;
        match (extension_ref, disable) {
            (None, Some(_)) if descriptors.is_empty() => Ok(Setting::Off),
            (Some(reference), None) => {
                let at = format!("{field}.descriptors");
                if descriptors.is_empty() {
                    return Err(SpecError::invalid(at, "is empty"));
                }
                let read = |(index, descriptor): (usize, &LimitDescriptor)| {
                    descriptor.read(&format!("{at}[{index}]"))
                };
                Ok(Setting::On(LimitQuestion {
                    extension: ExtensionName::new(format!("{field}.extensionRef"), reference),
                    descriptors: descriptors.iter().enumerate().map(read).collect::<Result<_, _>>()?,
                }))
            }
            _ => Err(SpecError::invalid(field, "extensionRef and descriptors, or disable, must be set")),
        }
    }
}

impl LimitDescriptor {
    fn read(&self, field: &str) -> Result<Vec<EntryContent>, SpecError> {
        if self.entries.is_empty() {
            return Err(SpecError::invalid(format!("{field}.entries"), "is empty"));
        }
        let entries = self.entries.iter().enumerate();
        entries.map(|(index, entry)| entry.read(&format!("{field}.entries[{index}]"))).collect()
    }
}

impl LimitDescriptorEntry {
    fn read(&self, field: &str) -> Result<EntryContent, SpecError> {
        let Self { kind, generic, header } = self;
        match (kind, generic, header) {
            (LimitEntryType::Generic, Some(GenericLimitEntry { key, value }), None) => {
                for (member, text) in [("key", key), ("value", value)] {
                    if text.is_empty() {
                        return Err(SpecError::invalid(format!("{field}.generic.{member}"), "is empty"));
                    }
                }
                Ok(EntryContent::Generic { key: key.clone(), value: value.clone() })
            }
            (LimitEntryType::Header, None, Some(name)) => {
                // Envoy's own names of method, host and path begin with a colon.
                let token = name.strip_prefix(':').unwrap_or(name);
                header::name_token(token)
                    .map_err(|error| SpecError::invalid(format!("{field}.header"), error))?;
                Ok(EntryContent::Header(name.to_ascii_lowercase()))
            }
            (LimitEntryType::RemoteAddress, None, None) => Ok(EntryContent::RemoteAddress),
            (LimitEntryType::Path, None, None) => Ok(EntryContent::Path),
            _ => {
                let message = "generic and header must be set if, and only if, type says so";
                Err(SpecError::invalid(field, message))
            }
        }
    }
}

impl RateLimitService {
    /// What it says, with where the service is; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<(LimitServiceRules, BackendReference), SpecError> {
        let Self { grpc_service, domain, fail_open, timeout, x_rate_limit_headers } = self;
        if domain.is_empty() {
            return Err(SpecError::invalid(format!("{field}.domain"), "is empty"));
        }
        let service = format!("{field}.grpcService");
        let own = positive_duration(&format!("{field}.timeout"), timeout.as_deref())?;
        let of_service = grpc_service.read_timeout(&service)?;
        let rules = LimitServiceRules {
            authority: grpc_service.read_authority(&service)?,
            domain: domain.clone(),
            fails_open: fail_open.unwrap_or_default(),
            timeout: own.or(of_service).unwrap_or(DEFAULT_TIMEOUT),
            tells_clients: *x_rate_limit_headers == Some(RateLimitHeaders::DraftVersion03),
        };
        Ok((rules, grpc_service.backend_ref.read(&format!("{service}.backendRef"))))
    }

    /// The members that are set and have no effect.
    pub(crate) fn ignored_members(&self, field: &str) -> Vec<String> {
        self.grpc_service.ignored_members(&format!("{field}.grpcService"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(spec: Value) -> Result<Setting<LimitQuestion>, String> {
        let spec: GlobalRateLimit = serde_json::from_value(spec).unwrap();
        spec.read("f").map_err(|error| error.path)
    }

    fn with_entry(entry: Value) -> Result<Setting<LimitQuestion>, String> {
        question(json!({"extensionRef": {"name": "e"}, "descriptors": [{"entries": [entry]}]}))
    }

    #[test]
    fn entries_are_read() {
        for (entry, expected) in [
            (
                json!({"type": "Generic", "generic": {"key": "a", "value": "b"}}),
                EntryContent::Generic { key: "a".to_owned(), value: "b".to_owned() },
            ),
            (json!({"type": "Header", "header": "X-User"}), EntryContent::Header("x-user".to_owned())),
            (json!({"type": "Header", "header": ":method"}), EntryContent::Header(":method".to_owned())),
            (json!({"type": "RemoteAddress"}), EntryContent::RemoteAddress),
            (json!({"type": "Path"}), EntryContent::Path),
        ] {
            let Ok(Setting::On(question)) = with_entry(entry.clone()) else { panic!("{entry}") };
            assert_eq!(question.descriptors, [[expected]], "{entry}");
        }
        assert_eq!(question(json!({"disable": {}})), Ok(Setting::Off));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        let entry = "f.descriptors[0].entries[0]";
        for (spec, path) in [
            (json!({"type": "Generic"}), entry.to_owned()),
            (
                json!({"type": "Generic", "generic": {"key": "", "value": "b"}}),
                format!("{entry}.generic.key"),
            ),
            (
                json!({"type": "Generic", "generic": {"key": "a", "value": ""}}),
                format!("{entry}.generic.value"),
            ),
            (json!({"type": "Header"}), entry.to_owned()),
            (json!({"type": "Header", "header": "a b"}), format!("{entry}.header")),
            (json!({"type": "Path", "header": "a"}), entry.to_owned()),
        ] {
            assert_eq!(with_entry(spec.clone()), Err(path), "{spec}");
        }
        let reference = json!({"name": "e"});
        for (spec, path) in [
            (json!({}), "f"),
            (json!({"extensionRef": reference}), "f.descriptors"),
            (
                json!({"extensionRef": reference, "descriptors": [{"entries": []}]}),
                "f.descriptors[0].entries",
            ),
            (json!({"extensionRef": reference, "disable": {}}), "f"),
            (json!({"disable": {}, "descriptors": [{"entries": [{"type": "Path"}]}]}), "f"),
        ] {
            assert_eq!(question(spec.clone()), Err(path.to_owned()), "{spec}");
        }
    }

    #[test]
    fn a_service_fails_closed_and_has_a_time_limit_unless_it_says_otherwise() {
        let read = |members: Value| {
            let mut spec = json!({"grpcService": {"backendRef": {"name": "b", "port": 1}}, "domain": "d"});
            spec.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let spec: RateLimitService = serde_json::from_value(spec).unwrap();
            spec.read("f").map(|(rules, _)| rules).map_err(|error| error.path)
        };
        let plain = read(json!({})).unwrap();
        assert_eq!((plain.fails_open, plain.timeout, plain.tells_clients), (false, DEFAULT_TIMEOUT, false));
        let other = json!({"failOpen": true, "timeout": "1s", "xRateLimitHeaders": "DraftVersion03"});
        let other = read(other).unwrap();
        assert_eq!(
            (other.fails_open, other.timeout, other.tells_clients),
            (true, Duration::from_secs(1), true)
        );
        let service =
            json!({"grpcService": {"backendRef": {"name": "b", "port": 1}, "requestTimeout": "3s"}});
        assert_eq!(read(service).unwrap().timeout, Duration::from_secs(3));
        for (members, path) in [
            (json!({"timeout": "0s"}), "f.timeout"),
            (json!({"domain": ""}), "f.domain"),
            (
                json!({"grpcService": {"backendRef": {"name": "b"}, "requestTimeout": "0s"}}),
                "f.grpcService.requestTimeout",
            ),
            (
                json!({"grpcService": {"backendRef": {"name": "b"}, "authority": "a b"}}),
                "f.grpcService.authority",
            ),
        ] {
            assert_eq!(read(members.clone()), Err(path.to_owned()), "{members}");
        }
    }
}
