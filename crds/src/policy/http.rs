//! What policies of either dialect say about requests to any backend, in the same words.

use std::time::Duration;

use crate::NamespacedName;
use crate::ai::SpecError;
use crate::ext_proc::ProcessingContent;
use crate::gateway_api::{duration, part};
use crate::identity::BackendReference;
use crate::identity::kgateway::ExtensionReference;
use crate::rate_limit_service::LimitQuestion;
use crate::traffic_policy::CompressionLibrary;

/// What is done with requests to any backend. A field that is absent is not said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpContent {
    /// How long a request may take.
    pub request_timeout: Option<Limit>,
    /// How long a request may be without any byte in either direction.
    pub idle_timeout: Option<Limit>,
    /// When a request is sent again.
    pub retry: Option<RetryContent>,
    /// Edits of the request's headers.
    pub request_headers: Option<Written<part::HeaderModifier>>,
    /// Whether the `Host` that is sent is the name by which the chosen endpoint was found.
    pub auto_host_rewrite: Option<bool>,
    /// The `Host` that is sent.
    pub host_rewrite: Option<Written<String>>,
    /// Edits of the response's headers.
    pub response_headers: Option<Written<part::HeaderModifier>>,
    /// What browsers may do in pages of other origins.
    pub cors: Option<Setting<Written<part::Cors>>>,
    /// Which requests of browsers are refused because they come from pages of other origins.
    pub csrf: Option<Written<CsrfContent>>,
    /// How large the body of a request may be, in bytes; the request waits until all of it is there.
    pub buffer: Option<Setting<u32>>,
    /// How many requests are let through.
    pub rate_limit: Option<Setting<TokenBucket>>,
    /// The RateLimitConfigs that apply.
    pub shared_limits: Option<Written<Vec<NamespacedName>>>,
    /// What a service of the user's counts.
    pub global_limit: Option<Setting<LimitQuestion>>,
    /// What a service sees, and may change.
    pub processing: Option<Setting<ProcessingContent>>,
    /// How answers are compressed.
    pub compresses_responses: Option<Setting<CompressorContent>>,
    /// The forms of compression of which bodies of requests go on as they were before; sorted, each once, never none.
    pub decompresses_requests: Option<Setting<Vec<CompressionLibrary>>>,
    /// Faults that are made for tests.
    pub fault: Option<Setting<FaultContent>>,
    /// What the path becomes.
    pub path_rewrite: Option<Written<PathContent>>,
    /// Which redirects of backends the gateway follows itself.
    pub follow: Option<FollowContent>,
    /// Where copies of requests go.
    pub mirror: Option<Written<MirrorContent>>,
    /// The `Host` of copies, also of those that a route itself says.
    pub mirror_host: Option<Written<MirrorHostContent>>,
    /// Whether connections may become WebSockets.
    pub websocket: Option<bool>,
}

/// How answers are compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompressorContent {
    /// In which forms; sorted, each once, never none.
    pub libraries: Vec<CompressionLibrary>,
    /// Shorter answers are not, if they tell their length.
    pub least_bytes: u32,
    /// The types of content that are, without parameters and in lower case; the proxy's own list if there are none.
    pub content_types: Vec<String>,
}

/// Copies of requests for another backend, whose answers nobody sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorContent {
    /// Where they go.
    pub backend: BackendReference,
    /// How many requests of a million are copied.
    pub per_million: u32,
}

/// The `Host` of copies of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorHostContent {
    /// That of the request.
    Same,
    /// That of the request with `-shadow` behind its name.
    Suffixed,
    /// This one.
    Literal(String),
}

/// What a path becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathContent {
    /// What the parts become that an expression fits.
    Regex(PathRegex),
    /// What becomes of the part that a prefix match takes, or of the whole path for other matches.
    Prefix(String),
}

/// Which redirects of backends the gateway follows itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FollowContent {
    /// The statuses of those that are followed: 301, 302, 303, 307 or 308. Never empty.
    pub codes: Vec<u16>,
    /// Whether also those are that lead from https to http, or back.
    pub crosses_schemes: bool,
    /// Headers that the next request gets from the redirect, in lower case.
    pub copied_headers: Vec<String>,
    /// How many are followed for a request; above zero.
    pub max: u32,
}

/// What the parts of a path become that an expression fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathRegex {
    /// An RE2 expression.
    pub pattern: String,
    /// What is put in place of each part that it fits; `\1` is what its first group fits.
    pub substitution: String,
}

/// Faults that are made for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultContent {
    /// How long requests wait.
    pub delay: Option<Injected<Duration>>,
    /// What requests are answered with.
    pub abort: Option<Injected<AbortContent>>,
    /// How fast bodies of answers go at most, in kbit/s; above zero.
    pub kbits_per_second: Option<Injected<u64>>,
    /// How many requests have faults at the same time at most.
    pub max_active: Option<u32>,
}

/// A fault, and how often it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Injected<T> {
    /// The fault.
    pub what: T,
    /// For how many requests in a hundred.
    pub percentage: u32,
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortContent {
    /// This status of HTTP, from 200 to 599.
    Http(u16),
    /// This status of gRPC, from 0 to 16.
    Grpc(u32),
}

/// A GatewayExtension that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionName {
    /// The field that refers to it.
    pub field: String,
    /// Its namespace; that of the policy if absent.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ExtensionName {
    pub(crate) fn new(field: String, reference: &ExtensionReference) -> Self {
        let ExtensionReference { name, namespace } = reference.clone();
        Self { field, namespace, name }
    }
}

/// A value with the field of the policy that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// Path of the field.
    pub field: String,
    /// The value.
    pub value: T,
}

/// Something that a policy sets, or takes back where a less specific policy sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<T> {
    /// It is not done.
    Off,
    /// It is done like this.
    On(T),
}

/// A time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// There is none.
    Unlimited,
    /// This long; above zero.
    After(Duration),
}

/// A bucket of tokens. Each request takes one; without one it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBucket {
    /// How many it holds at most, and at first; above zero.
    pub max_tokens: u32,
    /// How many come at each fill; above zero.
    pub tokens_per_fill: u32,
    /// The time between two fills; at least [`LEAST_FILL_INTERVAL`].
    pub fill_interval: Duration,
}

/// The shortest time between two fills that Envoy takes (`LocalRateLimit.token_bucket`).
pub const LEAST_FILL_INTERVAL: Duration = Duration::from_millis(50);

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryContent {
    /// Envoy's conditions (`x-envoy-retry-on`, `x-envoy-retry-grpc-on`) under which it is.
    pub on: Vec<RetryCondition>,
    /// Status codes after which it is, each from 100 to 599.
    pub codes: Vec<u16>,
    /// How often at most, beside the first time.
    pub attempts: u32,
    /// How long an attempt may take; absent: as long as the request.
    pub per_try_timeout: Option<Duration>,
    /// The base of the waits between attempts.
    pub backoff: Option<Duration>,
    /// The longest wait; ten times the base if absent.
    pub max_backoff: Option<Duration>,
    /// The wait after an answer that says itself how long to wait.
    pub as_told: Option<WaitAsTold>,
}

/// The wait after an answer that says itself how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitAsTold {
    /// The headers that say it, in the order in which they are looked for; never empty.
    pub headers: Vec<ResetHeader>,
    /// A longer wait is not taken from an answer; above zero.
    pub longest: Duration,
}

/// A header that says how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetHeader {
    /// Its name, in lower case.
    pub name: String,
    /// What its value is.
    pub format: ResetFormat,
}

/// What the value of a header is that says how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetFormat {
    /// Seconds from now.
    Seconds,
    /// Seconds since 1970.
    UnixTime,
}

macro_rules! retry_conditions {
    ($( $variant:ident $name:literal, )+) => {
        /// A condition of Envoy's under which a request is sent again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[allow(missing_docs, reason = "the names are Envoy's")]
        pub enum RetryCondition { $( $variant, )+ }

        impl RetryCondition {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// Envoy's name.
            pub fn name(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }
        }
    };
}

retry_conditions! {
    FiveXx "5xx",
    GatewayError "gateway-error",
    Reset "reset",
    ResetBeforeRequest "reset-before-request",
    ConnectFailure "connect-failure",
    EnvoyRatelimited "envoy-ratelimited",
    Retriable4xx "retriable-4xx",
    RefusedStream "refused-stream",
    RetriableStatusCodes "retriable-status-codes",
    Http3PostConnectFailure "http3-post-connect-failure",
    Cancelled "cancelled",
    DeadlineExceeded "deadline-exceeded",
    Internal "internal",
    ResourceExhausted "resource-exhausted",
    Unavailable "unavailable",
}

/// Which requests that change something are refused because they come from pages of other origins.
#[derive(Clone, Debug, PartialEq)]
pub struct CsrfContent {
    /// Of how many requests in a million the origin is looked at.
    pub per_million: u32,
    /// Whether a request of another origin is refused; else it is counted only.
    pub is_enforced: bool,
    /// Origins (host and port) beside the destination's own that are allowed.
    pub additional_origins: Vec<TextMatch>,
}

/// What a text must be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextMatch {
    /// How it is compared.
    pub pattern: TextPattern,
    /// Whether the case of letters makes no difference; not for expressions.
    pub ignore_case: bool,
}

/// How a text is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPattern {
    /// It is this text.
    Exact(String),
    /// It begins with this, which is not empty.
    Prefix(String),
    /// It ends with this, which is not empty.
    Suffix(String),
    /// This stands in it, which is not empty.
    Contains(String),
    /// An RE2 expression fits all of it.
    Regex(String),
}

/// Texts as the routes of Gateway API have them.
pub(crate) fn texts(list: &[String]) -> Box<[Box<str>]> {
    list.iter().map(|text| text.as_str().into()).collect()
}

/// Status codes after which a request is sent again, from this one to 599.
///
/// # Errors
/// One is another number; `member`, the path of the list, says which.
pub(crate) fn codes(member: &str, list: &[i32], least: u16) -> Result<Vec<u16>, SpecError> {
    let read = |(index, code): (usize, &i32)| {
        let error =
            || SpecError::invalid(format!("{member}[{index}]"), format!("is not from {least} to 599"));
        u16::try_from(*code).ok().filter(|code| (least..600).contains(code)).ok_or_else(error)
    };
    list.iter().enumerate().map(read).collect()
}

impl Limit {
    /// As Envoy and Gateway API write it: zero is no limit.
    pub(crate) fn of(duration: Duration) -> Self {
        if duration.is_zero() { Self::Unlimited } else { Self::After(duration) }
    }
}

impl RetryCondition {
    /// The condition of that name.
    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|condition| condition.name() == name)
    }
}

impl TokenBucket {
    /// Checks the numbers of a bucket that stands in `field`.
    pub(crate) fn new(
        field: &str,
        max_tokens: u32,
        tokens_per_fill: u32,
        fill_interval: &str,
    ) -> Result<Self, SpecError> {
        for (name, tokens) in [("maxTokens", max_tokens), ("tokensPerFill", tokens_per_fill)] {
            if tokens == 0 {
                return Err(SpecError::invalid(format!("{field}.{name}"), "must be at least 1"));
            }
        }
        let path = format!("{field}.fillInterval");
        let fill_interval = duration_at(&path, fill_interval)?;
        if fill_interval < LEAST_FILL_INTERVAL {
            return Err(SpecError::invalid(path, "must be at least 50ms"));
        }
        Ok(Self { max_tokens, tokens_per_fill, fill_interval })
    }
}

/// Reads a duration: Gateway API's form (`1m30s`), or that of protobuf's JSON (`1.5s`), which Gloo's options take.
pub(crate) fn duration_at(field: &str, text: &str) -> Result<Duration, SpecError> {
    duration(text).or_else(|error| {
        let seconds = text.strip_suffix('s').filter(|digits| digits.contains('.'));
        let is_plain = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let seconds = seconds.filter(is_plain).and_then(|digits| digits.parse::<f64>().ok());
        let read = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        read.ok_or_else(|| SpecError::invalid(field, error))
    })
}

/// Reads a duration that may be absent.
pub(crate) fn optional_duration(field: &str, text: Option<&str>) -> Result<Option<Duration>, SpecError> {
    text.map(|text| duration_at(field, text)).transpose()
}

/// Reads a duration that may be absent, and is not zero.
pub(crate) fn positive_duration(field: &str, text: Option<&str>) -> Result<Option<Duration>, SpecError> {
    match optional_duration(field, text)? {
        Some(time) if time.is_zero() => Err(SpecError::invalid(field, "must be at least 1ms")),
        time => Ok(time),
    }
}

/// Reads a time limit, of which zero is none.
pub(crate) fn limit(field: &str, text: Option<&str>) -> Result<Option<Limit>, SpecError> {
    Ok(optional_duration(field, text)?.map(Limit::of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_the_forms_of_both_dialects() {
        for (text, expected) in [
            ("1m30s", Some(Duration::from_secs(90))),
            ("250ms", Some(Duration::from_millis(250))),
            ("0s", Some(Duration::ZERO)),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("0.25s", Some(Duration::from_millis(250))),
            ("-1.5s", None),
            ("1.5", None),
            ("1.5m", None),
            ("1e3.s", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(duration_at("f", text).ok(), expected, "{text}");
        }
        assert_eq!(duration_at("f.g", "soon").unwrap_err().path, "f.g");
    }

    #[test]
    fn a_bucket_that_never_lets_anything_through_or_fills_too_fast_is_refused() {
        let bucket =
            |max, fill, interval| TokenBucket::new("f", max, fill, interval).map_err(|error| error.path);
        assert!(bucket(1, 1, "50ms").is_ok());
        for (bucket, path) in [
            (bucket(0, 1, "1s"), "f.maxTokens"),
            (bucket(1, 0, "1s"), "f.tokensPerFill"),
            (bucket(1, 1, "49ms"), "f.fillInterval"),
            (bucket(1, 1, "0"), "f.fillInterval"),
        ] {
            assert_eq!(bucket.unwrap_err(), path);
        }
    }

    #[test]
    fn conditions_have_the_names_that_envoy_knows() {
        for condition in RetryCondition::ALL {
            assert_eq!(RetryCondition::find(condition.name()), Some(*condition));
        }
        assert_eq!(RetryCondition::find("5XX"), None);
    }
}
