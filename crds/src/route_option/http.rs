//! The options of a RouteOption that are about requests to any backend (Gloo's `options.proto`), as far as they mean what
//! Chancery does.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OptionCsrf, OptionFaults, OptionShadowing, OptionUpgrade, RouteOptions};
use crate::ai::SpecError;
use crate::gateway_api::part;
use crate::policy::http::{HttpContent, Setting, Written, limit, texts};
use crate::sensitive::Opaque;
use crate::traffic_policy::is_false;

/// Edits of headers. A header is edited once.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderManipulation {
    /// Headers that requests get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers_to_add: Vec<HeaderValueOption>,
    /// Headers that are taken out of requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub request_headers_to_remove: Vec<String>,
    /// Headers that responses get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers_to_add: Vec<HeaderValueOption>,
    /// Headers that are taken out of responses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_headers_to_remove: Vec<String>,
}

/// A header that a message gets.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderValueOption {
    /// The header, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<OptionHeader>,
    /// A Secret with headers. Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub header_secret_ref: Option<Box<Opaque>>,
    /// Whether it comes beside what is there, in place of which it comes otherwise; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub append: Option<bool>,
}

/// A header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct OptionHeader {
    /// Its name.
    pub key: String,
    /// Its value. Envoy's commands, such as `%REQ(x)%`, are not supported.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// What browsers may do in pages of other origins.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionCors {
    /// Whose pages may: `SCHEME://HOST` with an optional port, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origin: Vec<String>,
    /// The same by expressions. Not carried out yet: what it applies to is answered with 500.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_origin_regex: Vec<String>,
    /// Methods, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers of requests, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers of responses that scripts may read, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long, in seconds, a browser may keep the answer to a preflight request; 5 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Whether cookies and credentials may be sent along.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_credentials: bool,
    /// Takes back what a less specific policy says.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable_for_route: bool,
}

/// How large the body of a request may be. The request waits until all of it is there.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.buffer) != has(self.disabled)").message("exactly one of buffer and disabled must be set"))]
pub struct BufferPerRoute {
    /// The limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<OptionBuffer>,
    /// Takes back what a less specific policy says; must be true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// The largest size of a body.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct OptionBuffer {
    /// In bytes. A larger request is answered with 413.
    #[schemars(schema_with = "crate::schema::count")]
    pub max_request_bytes: u32,
}

/// What stands before the names of options.
pub(super) const FIELD: &str = "spec.options";

impl RouteOptions {
    /// What they say about requests to any backend; what of that is not carried out goes to `refused` and `ignored`.
    pub(super) fn http_content(
        &self,
        refused: &mut Vec<String>,
        ignored: &mut Vec<String>,
    ) -> Result<HttpContent, SpecError> {
        let websocket = OptionUpgrade::websocket(&self.upgrades, ignored);
        let limit_of =
            |name: &str, text: Option<&String>| limit(&format!("{FIELD}.{name}"), text.map(String::as_str));
        let headers = self.header_manipulation.as_ref();
        let requests = headers.map(|headers| {
            (&headers.request_headers_to_add, &headers.request_headers_to_remove, "requestHeadersToAdd")
        });
        let responses = headers.map(|headers| {
            (&headers.response_headers_to_add, &headers.response_headers_to_remove, "responseHeadersToAdd")
        });
        let mut edits = |headers: Option<(&Vec<HeaderValueOption>, &Vec<String>, &str)>| {
            let headers = headers.filter(|(add, remove, _)| !add.is_empty() || !remove.is_empty());
            headers.map(|(add, remove, name)| header_edits(add, remove, name, refused)).transpose()
        };
        Ok(HttpContent {
            request_timeout: limit_of("timeout", self.timeout.as_ref())?,
            idle_timeout: limit_of("idleTimeout", self.idle_timeout.as_ref())?,
            auto_host_rewrite: self.auto_host_rewrite,
            request_headers: edits(requests)?,
            response_headers: edits(responses)?,
            retry: self.retries.as_ref().map(|retries| retries.content(ignored)).transpose()?,
            cors: self.cors.as_ref().map(|cors| cors.content(refused)).transpose()?,
            buffer: self.buffer_per_route.as_ref().map(BufferPerRoute::content).transpose()?,
            fault: self.faults.as_ref().map(OptionFaults::content).transpose()?,
            path_rewrite: self.path_rewrite()?,
            csrf: self.csrf.as_ref().map(|csrf| OptionCsrf::content(csrf, ignored)).transpose()?,
            mirror: self.shadowing.as_ref().map(OptionShadowing::content).transpose()?,
            websocket,
            host_rewrite: self
                .host_rewrite
                .clone()
                .map(|value| Written { field: format!("{FIELD}.hostRewrite"), value }),
            ..HttpContent::default()
        })
    }
}

/// Edits of headers, of which those that are added stand in `name`.
fn header_edits(
    add: &[HeaderValueOption],
    remove: &[String],
    name: &str,
    refused: &mut Vec<String>,
) -> Result<Written<part::HeaderModifier>, SpecError> {
    let field = format!("{FIELD}.headerManipulation");
    let (mut set, mut appended) = (Vec::new(), Vec::new());
    for (index, HeaderValueOption { header, header_secret_ref, append }) in add.iter().enumerate() {
        let place = format!("{field}.{name}[{index}]");
        if header_secret_ref.is_some() {
            refused.push(format!("{place}.headerSecretRef"));
            continue;
        }
        let Some(OptionHeader { key, value }) = header else {
            return Err(SpecError::invalid(format!("{place}.header"), "is required"));
        };
        if value.contains('%') {
            let message = "Envoy's commands are not supported in values of headers";
            return Err(SpecError::unsupported(format!("{place}.header.value"), message));
        }
        let header = part::Header { name: key.as_str().into(), value: value.as_str().into() };
        if append.unwrap_or(true) { appended.push(header) } else { set.push(header) }
    }
    let value = part::HeaderModifier { set: set.into(), add: appended.into(), remove: texts(remove) };
    Ok(Written { field, value })
}

impl OptionCors {
    fn content(&self, refused: &mut Vec<String>) -> Result<Setting<Written<part::Cors>>, SpecError> {
        if self.disable_for_route {
            return Ok(Setting::Off);
        }
        let field = format!("{FIELD}.cors");
        if !self.allow_origin_regex.is_empty() {
            refused.push(format!("{field}.allowOriginRegex"));
        }
        let max_age = self.max_age.as_ref().map(|text| {
            let error = || SpecError::invalid(format!("{field}.maxAge"), "is not a number of seconds");
            text.trim().parse().map_err(|_| error())
        });
        let value = part::Cors {
            allow_origins: texts(&self.allow_origin),
            allow_credentials: self.allow_credentials,
            allow_methods: texts(&self.allow_methods),
            allow_headers: texts(&self.allow_headers),
            expose_headers: texts(&self.expose_headers),
            max_age: max_age.transpose()?,
        };
        Ok(Setting::On(Written { field, value }))
    }
}

impl BufferPerRoute {
    fn content(&self) -> Result<Setting<u32>, SpecError> {
        let field = format!("{FIELD}.bufferPerRoute");
        match (&self.buffer, self.disabled) {
            (Some(OptionBuffer { max_request_bytes: 0 }), None) => {
                Err(SpecError::invalid(format!("{field}.buffer.maxRequestBytes"), "must be above 0"))
            }
            (Some(OptionBuffer { max_request_bytes }), None) => Ok(Setting::On(*max_request_bytes)),
            (None, Some(true)) => Ok(Setting::Off),
            _ => Err(SpecError::invalid(field, "exactly one of buffer and disabled: true must be set")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::policy::http::Limit;
    use crate::policy::{Content, Policy as _};
    use crate::route_option::RouteOption;

    fn content(options: Value) -> Result<Content, String> {
        let spec = serde_json::from_value(json!({ "options": options })).unwrap();
        RouteOption::new("p", spec).content().map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_read() {
        let read = content(json!({
            "timeout": "20s", "idleTimeout": "0s",
            "retries": {"retryOn": "5xx, reset", "numRetries": 3, "perTryTimeout": "1.5s",
                "retryBackOff": {"baseInterval": "0.1s", "maxInterval": "2s"}, "previousPriorities": {}},
            "headerManipulation": {
                "requestHeadersToAdd": [{"header": {"key": "a", "value": "1"}}, {"header": {"key": "b", "value": "2"}, "append": false}],
                "requestHeadersToRemove": ["c"],
                "responseHeadersToAdd": [{"headerSecretRef": {"name": "s"}}]},
            "cors": {"allowOrigin": ["https://a.com"], "allowOriginRegex": ["x"], "maxAge": "60"},
            "bufferPerRoute": {"disabled": true}
        }))
        .unwrap();
        let http = read.http;
        assert_eq!(http.request_timeout, Some(Limit::After(Duration::from_secs(20))));
        assert_eq!(http.idle_timeout, Some(Limit::Unlimited));
        let retry = http.retry.unwrap();
        assert_eq!((retry.on.len(), retry.attempts), (2, 3));
        assert_eq!(retry.per_try_timeout, Some(Duration::from_millis(1500)));
        assert_eq!(retry.max_backoff, Some(Duration::from_secs(2)));
        let edits = http.request_headers.unwrap().value;
        assert_eq!((edits.add.len(), edits.set.len(), edits.remove.len()), (1, 1, 1));
        assert_eq!((edits.add[0].name.as_ref(), edits.set[0].name.as_ref()), ("a", "b"));
        assert_eq!(http.buffer, Some(Setting::Off));
        let refused = [
            "spec.options.headerManipulation.responseHeadersToAdd[0].headerSecretRef",
            "spec.options.cors.allowOriginRegex",
        ];
        assert_eq!(read.refused, refused);
        assert_eq!(read.ignored, ["spec.options.retries.previousPriorities"]);
        assert_eq!(
            content(json!({"cors": {"disableForRoute": true}})).unwrap().http.cors,
            Some(Setting::Off)
        );
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        for (options, expected) in [
            (json!({"timeout": "soon"}), "spec.options.timeout: "),
            (json!({"retries": {"retryOn": "5xx,never"}}), "spec.options.retries.retryOn: \"never\""),
            (
                json!({"retries": {"retryBackOff": {"baseInterval": "0s"}}}),
                "spec.options.retries.retryBackOff.baseInterval: ",
            ),
            (
                json!({"headerManipulation": {"requestHeadersToAdd": [{"header": {"key": "a", "value": "%REQ(x)%"}}]}}),
                "spec.options.headerManipulation.requestHeadersToAdd[0].header.value: ",
            ),
            (
                json!({"headerManipulation": {"responseHeadersToAdd": [{}]}}),
                "spec.options.headerManipulation.responseHeadersToAdd[0].header: ",
            ),
            (json!({"cors": {"maxAge": "1h"}}), "spec.options.cors.maxAge: "),
            (json!({"bufferPerRoute": {"disabled": false}}), "spec.options.bufferPerRoute: "),
            (
                json!({"bufferPerRoute": {"buffer": {"maxRequestBytes": 0}}}),
                "spec.options.bufferPerRoute.buffer.maxRequestBytes: ",
            ),
        ] {
            let error = content(options.clone()).unwrap_err();
            assert!(error.starts_with(expected), "{options}: {error}");
        }
    }
}
