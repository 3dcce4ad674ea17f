//! The members of a TrafficPolicy that are about requests to any backend (kgateway 2.1).
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{InternalRedirect, TrafficPolicySpec, is_false};
use crate::ai::SpecError;
use crate::gateway_api::part;
use crate::policy::http::{
    CsrfContent, HttpContent, PathContent, PathRegex, RetryCondition, RetryContent, Setting, TextMatch,
    TextPattern, TokenBucket, Written, codes, limit, positive_duration, texts,
};
use crate::rate_limit_service::GlobalRateLimit;

/// Time limits. Each is a duration such as `1m30s`; zero is no limit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// How long a request may take, from its end to the end of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub request: Option<String>,
    /// How long a request may be without any byte in either direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub stream_idle: Option<String>,
}

/// When a request is sent again.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.retryOn) || has(self.statusCodes)").message("retryOn or statusCodes must be set"))]
pub struct Retry {
    /// Conditions under which it is, by Envoy's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), schema_with = "retry_on")]
    pub retry_on: Vec<String>,
    /// How often at most, beside the first time; 0 is never.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 0))]
    pub attempts: i32,
    /// How long each attempt may take; at least 1ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub per_try_timeout: Option<String>,
    /// Status codes after which it is, from 400 to 599.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1), inner(range(min = 400, max = 599)))]
    pub status_codes: Vec<i32>,
    /// The base of the waits between attempts, which grow up to ten times of it; 25ms if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub backoff_base_interval: Option<String>,
}

/// Edits of headers.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.request) || has(self.response)").message("request or response must be set"))]
pub struct HeaderModifiers {
    /// Of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<HeaderFilter>,
    /// Of responses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<HeaderFilter>,
}

/// Edits of headers. A header is edited once.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderFilter {
    /// Headers that are put in place of what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub set: Vec<HeaderValue>,
    /// Headers that are put beside what is there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub add: Vec<HeaderValue>,
    /// Headers that are taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderValue {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Its value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: String,
}

/// What browsers may do in pages of other origins (Gateway API, `HTTPCORSFilter`).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CorsPolicy {
    /// Whose pages may: `SCHEME://HOST` with an optional port, perhaps with a wildcard, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow_origins: Vec<String>,
    /// Whether cookies and credentials may be sent along.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_credentials: bool,
    /// Methods, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub allow_methods: Vec<String>,
    /// Headers of requests, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub allow_headers: Vec<String>,
    /// Headers of responses that scripts may read, or `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub expose_headers: Vec<String>,
    /// How long, in seconds, a browser may keep the answer to a preflight request; 5 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_age: Option<i32>,
    /// Takes back what a less specific policy says; nothing else may be set then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// An object without members: something is not done.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disable {}

/// Which requests that change something are refused because they come from pages of other origins.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.percentageEnabled) && has(self.percentageShadowed))")
        .message("at most one of percentageEnabled and percentageShadowed may be set")
)]
pub struct CsrfPolicy {
    /// Of how many requests in a hundred the origin is checked; all if neither percentage is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage_enabled: Option<i32>,
    /// Of how many requests in a hundred the origin is checked and counted, and never refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage_shadowed: Option<i32>,
    /// Origins (host and port) beside the destination's own that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub additional_origins: Vec<StringMatcher>,
}

/// What a text must be like.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.exact), has(self.prefix), has(self.suffix), has(self.contains), has(self.safeRegex)].filter(x, x).size() == 1")
        .message("exactly one of exact, prefix, suffix, contains and safeRegex must be set")
)]
pub struct StringMatcher {
    /// It is this text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exact: Option<String>,
    /// It begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub prefix: Option<String>,
    /// It ends with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub suffix: Option<String>,
    /// This stands in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub contains: Option<String>,
    /// This RE2 expression fits all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub safe_regex: Option<String>,
    /// Whether the case of letters makes no difference; it has no effect on an expression.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_case: bool,
}

/// How large the body of a request may be. The request waits until all of it is there.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.maxRequestSize) != has(self.disable)").message("exactly one of maxRequestSize and disable must be set"))]
pub struct Buffer {
    /// The largest size, in bytes or as a quantity such as 64Ki; less than 4Gi. A larger request is answered with 413.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub max_request_size: Option<Value>,
    /// Takes back what a less specific policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// How many requests are let through.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// Each proxy counts for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalRateLimit>,
    /// A service counts for all proxies together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub global: Option<Box<GlobalRateLimit>>,
}

/// How many requests each proxy lets through.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LocalRateLimit {
    /// A bucket of which each request takes a token; without one it is answered with 429. Absent: what a less specific
    /// policy says is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_bucket: Option<TokenBucketSpec>,
}

/// A bucket of tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TokenBucketSpec {
    /// How many it holds at most, and at first: the burst.
    #[schemars(schema_with = "tokens")]
    pub max_tokens: u32,
    /// How many come at each fill.
    #[serde(default = "one_token", skip_serializing_if = "is_one_token")]
    #[schemars(schema_with = "tokens")]
    pub tokens_per_fill: u32,
    /// The time between two fills; at least 50ms.
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub fill_interval: String,
}

/// What of the target of requests becomes something else.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.pathRegex)").message("pathRegex must be set"))]
pub struct UrlRewrite {
    /// What the path becomes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<PathRegexRewrite>,
}

/// What the parts of a path become that an expression fits. The query stays.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct PathRegexRewrite {
    /// An expression in RE2's language.
    #[schemars(length(min = 1, max = 1024))]
    pub pattern: String,
    /// What is put in place of each part that it fits. A backslash and a digit are what the group of that number fits.
    #[schemars(length(min = 1, max = 1024))]
    pub substitution: String,
}

fn one() -> i32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_one(attempts: &i32) -> bool {
    *attempts == one()
}

fn one_token() -> u32 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_one_token(tokens: &u32) -> bool {
    *tokens == one_token()
}

/// (The derive would write the format `uint32`, which an API server warns about.)
fn tokens(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": u32::MAX })
}

pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

fn retry_on(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = RetryCondition::ALL.iter().map(|condition| condition.name()).collect();
    json_schema!({ "type": "array", "minItems": 1, "items": { "type": "string", "enum": names } })
}

impl TrafficPolicySpec {
    /// What it says about requests to any backend.
    pub(super) fn http_content(&self) -> Result<HttpContent, SpecError> {
        let timeouts = self.timeouts.as_ref();
        let limit_of = |member: &str, text: Option<&String>| {
            limit(&format!("spec.timeouts.{member}"), text.map(String::as_str))
        };
        let headers = self.header_modifiers.as_ref();
        let edits = |member: &str, filter: Option<&HeaderFilter>| {
            filter.map(|filter| Written {
                field: format!("spec.headerModifiers.{member}"),
                value: part::HeaderModifier::from(filter),
            })
        };
        let global = self.rate_limit.as_ref().and_then(|limit| limit.global.as_ref());
        let rate_limit = self.rate_limit.as_ref().and_then(|limit| limit.local.as_ref());
        let compression = self.compression.as_ref();
        let (compresses_responses, decompresses_requests) = compression
            .map(|compression| compression.content("spec.compression"))
            .transpose()?
            .unwrap_or_default();
        Ok(HttpContent {
            request_timeout: limit_of("request", timeouts.and_then(|timeouts| timeouts.request.as_ref()))?,
            idle_timeout: limit_of(
                "streamIdle",
                timeouts.and_then(|timeouts| timeouts.stream_idle.as_ref()),
            )?,
            retry: self.retry.as_ref().map(Retry::content).transpose()?,
            request_headers: edits("request", headers.and_then(|headers| headers.request.as_ref())),
            response_headers: edits("response", headers.and_then(|headers| headers.response.as_ref())),
            cors: self.cors.as_ref().map(CorsPolicy::content).transpose()?,
            auto_host_rewrite: self.auto_host_rewrite,
            host_rewrite: None,
            csrf: self.csrf.as_ref().map(CsrfPolicy::content).transpose()?,
            buffer: self.buffer.as_ref().map(Buffer::content).transpose()?,
            rate_limit: rate_limit.map(LocalRateLimit::content).transpose()?,
            shared_limits: None,
            global_limit: global.map(|limit| limit.read("spec.rateLimit.global")).transpose()?,
            processing: self.ext_proc.as_ref().map(|service| service.read("spec.extProc")).transpose()?,
            compresses_responses,
            decompresses_requests,
            fault: self
                .fault_injection
                .as_ref()
                .map(|fault| fault.content("spec.faultInjection"))
                .transpose()?,
            path_rewrite: self.url_rewrite.as_ref().map(UrlRewrite::content).transpose()?,
            follow: self.internal_redirect.as_ref().map(InternalRedirect::content).transpose()?,
            mirror: None,
            mirror_host: self
                .request_mirror
                .as_ref()
                .map(|mirror| mirror.content("spec.requestMirror"))
                .transpose()?,
            websocket: None,
        })
    }
}

impl From<&HeaderFilter> for part::HeaderModifier {
    fn from(HeaderFilter { set, add, remove }: &HeaderFilter) -> Self {
        let list = |headers: &[HeaderValue]| {
            let header = |header: &HeaderValue| part::Header {
                name: header.name.as_str().into(),
                value: header.value.as_str().into(),
            };
            headers.iter().map(header).collect()
        };
        Self { set: list(set), add: list(add), remove: texts(remove) }
    }
}

impl Retry {
    fn content(&self) -> Result<RetryContent, SpecError> {
        let path = |member: &str| format!("spec.retry.{member}");
        let Self { retry_on, attempts, per_try_timeout, status_codes, backoff_base_interval } = self;
        let on = retry_on.iter().enumerate().map(|(index, name)| {
            RetryCondition::find(name).ok_or_else(|| {
                SpecError::invalid(path(&format!("retryOn[{index}]")), format!("{name:?} is not a condition"))
            })
        });
        let attempts = u32::try_from(*attempts)
            .map_err(|_| SpecError::invalid(path("attempts"), "is not a number of attempts"))?;
        let time =
            |member: &str, text: Option<&String>| positive_duration(&path(member), text.map(String::as_str));
        Ok(RetryContent {
            on: on.collect::<Result<_, _>>()?,
            codes: codes(&path("statusCodes"), status_codes, 400)?,
            attempts,
            per_try_timeout: time("perTryTimeout", per_try_timeout.as_ref())?,
            backoff: time("backoffBaseInterval", backoff_base_interval.as_ref())?,
            max_backoff: None,
            as_told: None,
        })
    }
}

impl UrlRewrite {
    fn content(&self) -> Result<Written<PathContent>, SpecError> {
        let Some(PathRegexRewrite { pattern, substitution }) = self.path_regex.clone() else {
            return Err(SpecError::invalid("spec.urlRewrite", "pathRegex must be set"));
        };
        let value = PathContent::Regex(PathRegex { pattern, substitution });
        Ok(Written { field: "spec.urlRewrite.pathRegex".to_owned(), value })
    }
}

impl CorsPolicy {
    fn content(&self) -> Result<Setting<Written<part::Cors>>, SpecError> {
        if self.disable.is_some() {
            let alone = Self { disable: self.disable, ..Self::default() };
            return match *self == alone {
                true => Ok(Setting::Off),
                false => {
                    let message = "excludes all other members of cors";
                    Err(SpecError::invalid("spec.cors.disable", message))
                }
            };
        }
        let value = part::Cors {
            allow_origins: texts(&self.allow_origins),
            allow_credentials: self.allow_credentials,
            allow_methods: texts(&self.allow_methods),
            allow_headers: texts(&self.allow_headers),
            expose_headers: texts(&self.expose_headers),
            max_age: self.max_age,
        };
        Ok(Setting::On(Written { field: "spec.cors".to_owned(), value }))
    }
}

impl CsrfPolicy {
    fn content(&self) -> Result<Written<CsrfContent>, SpecError> {
        let Self { percentage_enabled, percentage_shadowed, additional_origins } = self;
        let percentage = percentage_enabled.or(*percentage_shadowed).unwrap_or(100);
        let field = "spec.csrf".to_owned();
        let percentage = u32::try_from(percentage).ok().filter(|percentage| *percentage <= 100);
        let percentage =
            percentage.ok_or_else(|| SpecError::invalid(&field, "a percentage is from 0 to 100"))?;
        let origins = additional_origins.iter().enumerate();
        let origins =
            origins.map(|(index, origin)| origin.content(&format!("{field}.additionalOrigins[{index}]")));
        let additional_origins = origins.collect::<Result<_, _>>()?;
        let is_enforced = percentage_shadowed.is_none();
        let per_million = percentage * 10_000;
        Ok(Written { field, value: CsrfContent { per_million, is_enforced, additional_origins } })
    }
}

impl StringMatcher {
    /// The one way of comparison that is set.
    pub(crate) fn content(&self, field: &str) -> Result<TextMatch, SpecError> {
        let Self { exact, prefix, suffix, contains, safe_regex, ignore_case } = self;
        let mut patterns = [
            exact.clone().map(TextPattern::Exact),
            prefix.clone().map(TextPattern::Prefix),
            suffix.clone().map(TextPattern::Suffix),
            contains.clone().map(TextPattern::Contains),
            safe_regex.clone().map(TextPattern::Regex),
        ]
        .into_iter()
        .flatten();
        match (patterns.next(), patterns.next()) {
            (Some(pattern), None) => Ok(TextMatch { pattern, ignore_case: *ignore_case }),
            _ => {
                let message = "exactly one of exact, prefix, suffix, contains and safeRegex must be set";
                Err(SpecError::invalid(field, message))
            }
        }
    }
}

impl Buffer {
    fn content(&self) -> Result<Setting<u32>, SpecError> {
        match (&self.max_request_size, self.disable) {
            (Some(size), None) => {
                let field = "spec.buffer.maxRequestSize";
                let bytes = bytes_of(size).ok_or_else(|| SpecError::invalid(field, "is not a quantity"))?;
                let bytes = u32::try_from(bytes).ok().filter(|bytes| *bytes > 0);
                let message = "must be greater than 0 and less than 4Gi";
                bytes.map(Setting::On).ok_or_else(|| SpecError::invalid(field, message))
            }
            (None, Some(Disable {})) => Ok(Setting::Off),
            _ => {
                let message = "exactly one of maxRequestSize and disable must be set";
                Err(SpecError::invalid("spec.buffer", message))
            }
        }
    }
}

/// The bytes that a quantity of Kubernetes means; `None` if it is none, or not a whole number of bytes.
pub fn bytes_of(size: &Value) -> Option<u64> {
    let text = match size {
        Value::Number(number) => return number.as_u64(),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    const UNITS: [(&str, u64); 12] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("Pi", 1 << 50),
        ("Ei", 1 << 60),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("P", 1_000_000_000_000_000),
        ("", 1),
    ];
    let (digits, unit) = UNITS.iter().find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let scaled = format!("{whole}{fraction}").parse::<u128>().ok()?.checked_mul(unit.into())?;
    (scaled % scale == 0).then(|| u64::try_from(scaled / scale).ok())?
}

impl LocalRateLimit {
    fn content(&self) -> Result<Setting<TokenBucket>, SpecError> {
        let Some(TokenBucketSpec { max_tokens, tokens_per_fill, fill_interval }) = &self.token_bucket else {
            return Ok(Setting::Off);
        };
        let field = "spec.rateLimit.local.tokenBucket";
        TokenBucket::new(field, *max_tokens, *tokens_per_fill, fill_interval).map(Setting::On)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::policy::Policy as _;
    use crate::traffic_policy::TrafficPolicy;

    fn content(spec: Value) -> Result<HttpContent, String> {
        let spec = serde_json::from_value(spec).unwrap();
        TrafficPolicy::new("p", spec).content().map(|content| content.http).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_quantities() {
        for (size, expected) in [
            (json!(1024), Some(1024)),
            (json!("1024"), Some(1024)),
            (json!("64Ki"), Some(65536)),
            (json!("1.5Mi"), Some(1_572_864)),
            (json!("2k"), Some(2000)),
            (json!("0.5"), None),
            (json!("-1"), None),
            (json!("1Kib"), None),
            (json!(""), None),
            (json!("Ki"), None),
            (json!(1.5), None),
            (json!(true), None),
        ] {
            assert_eq!(bytes_of(&size), expected, "{size}");
        }
    }

    #[test]
    fn members_are_read() {
        let read = content(json!({
            "timeouts": {"request": "3s", "streamIdle": "0s"},
            "rateLimit": {"local": {"tokenBucket": {"maxTokens": 3, "fillInterval": "1m"}}},
            "retry": {"retryOn": ["5xx"], "statusCodes": [429], "perTryTimeout": "1s"},
            "buffer": {"disable": {}},
            "cors": {"disable": {}},
            "csrf": {"percentageShadowed": 10, "additionalOrigins": [{"suffix": ".a.com", "ignoreCase": true}]},
        }))
        .unwrap();
        let bucket =
            TokenBucket { max_tokens: 3, tokens_per_fill: 1, fill_interval: Duration::from_secs(60) };
        assert_eq!(read.rate_limit, Some(Setting::On(bucket)));
        assert_eq!((read.buffer, read.cors), (Some(Setting::Off), Some(Setting::Off)));
        let retry = read.retry.unwrap();
        assert_eq!((retry.attempts, retry.on, retry.codes), (1, vec![RetryCondition::FiveXx], vec![429]));
        let csrf = read.csrf.unwrap().value;
        assert_eq!((csrf.per_million, csrf.is_enforced, csrf.additional_origins.len()), (100_000, false, 1));
        assert_eq!(content(json!({"rateLimit": {"local": {}}})).unwrap().rate_limit, Some(Setting::Off));
        assert_eq!(content(json!({})).unwrap(), HttpContent::default());
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        for (spec, expected) in [
            (json!({"timeouts": {"request": "soon"}}), "spec.timeouts.request: "),
            (json!({"timeouts": {"streamIdle": "1"}}), "spec.timeouts.streamIdle: "),
            (
                json!({"rateLimit": {"local": {"tokenBucket": {"maxTokens": 1, "fillInterval": "1ms"}}}}),
                "spec.rateLimit.local.tokenBucket.fillInterval: ",
            ),
            (json!({"retry": {"retryOn": ["never"]}}), "spec.retry.retryOn[0]: "),
            (json!({"retry": {"statusCodes": [500, 200]}}), "spec.retry.statusCodes[1]: "),
            (json!({"retry": {"statusCodes": [500], "perTryTimeout": "0s"}}), "spec.retry.perTryTimeout: "),
            (json!({"buffer": {}}), "spec.buffer: "),
            (json!({"buffer": {"maxRequestSize": "4Gi"}}), "spec.buffer.maxRequestSize: "),
            (json!({"buffer": {"maxRequestSize": 0}}), "spec.buffer.maxRequestSize: "),
            (json!({"cors": {"disable": {}, "allowOrigins": ["*"]}}), "spec.cors.disable: "),
            (
                json!({"csrf": {"additionalOrigins": [{"exact": "a", "prefix": "b"}]}}),
                "spec.csrf.additionalOrigins[0]: ",
            ),
        ] {
            let error = content(spec.clone()).unwrap_err();
            assert!(error.starts_with(expected), "{spec}: {error}");
        }
    }
}
