//! When requests are sent again (Gloo's `retries.proto`).

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::http::FIELD;
use crate::ai::SpecError;
use crate::policy::http::{
    ResetFormat, ResetHeader, RetryCondition, RetryContent, WaitAsTold, codes, optional_duration,
    positive_duration,
};
use crate::policy::{name_or_number, set_members};
use crate::sensitive::Opaque;

/// When a request is sent again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionRetries {
    /// Envoy's names of the conditions under which it is, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,
    /// How often at most, beside the first time; once if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::count")]
    pub num_retries: Option<u32>,
    /// How long each attempt may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<String>,
    /// The waits between attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_back_off: Option<OptionBackOff>,
    /// Status codes after which it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub retriable_status_codes: Vec<i32>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub previous_priorities: Option<Box<Opaque>>,
    /// The wait after an answer that says itself how long to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limited_retry_back_off: Option<OptionRateLimitedBackOff>,
}

/// The waits between attempts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionBackOff {
    /// The base, from which they grow.
    pub base_interval: String,
    /// The longest; ten times the base if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<String>,
}

/// The wait after an answer that says itself how long to wait.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OptionRateLimitedBackOff {
    /// The headers of answers that say it; of several that an answer has, the first in this order counts.
    #[schemars(length(min = 1, max = 16))]
    pub reset_headers: Vec<OptionResetHeader>,
    /// A longer wait is not taken from an answer; 300 seconds if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<String>,
}

/// A header that says how long to wait.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct OptionResetHeader {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What its value is: SECONDS from now (0, if absent), or a UNIX_TIMESTAMP (1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::name_or_number")]
    pub format: Option<OptionResetFormat>,
}

/// What the value of a header is that says how long to wait.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionResetFormat {
    /// Seconds from now.
    #[serde(rename = "SECONDS")]
    Seconds,
    /// Seconds since 1970.
    #[serde(rename = "UNIX_TIMESTAMP")]
    UnixTimestamp,
}

impl<'de> Deserialize<'de> for OptionResetFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let values = [("SECONDS", Self::Seconds), ("UNIX_TIMESTAMP", Self::UnixTimestamp)];
        name_or_number(deserializer, &values)
    }
}

/// The longest wait that is taken from an answer where nothing is said (Envoy's own, `RateLimitedRetryBackOff`).
const LONGEST_TOLD_WAIT: Duration = Duration::from_secs(300);

impl OptionRetries {
    /// What it says; what has no effect is added to `ignored`.
    pub(super) fn content(&self, ignored: &mut Vec<String>) -> Result<RetryContent, SpecError> {
        let Self {
            retry_on,
            num_retries,
            per_try_timeout,
            retry_back_off,
            retriable_status_codes,
            previous_priorities,
            rate_limited_retry_back_off,
        } = self;
        ignored.extend(set_members([("previousPriorities", previous_priorities.is_some())]).map(path));
        let words = retry_on.iter().flat_map(|words| words.split(',')).map(str::trim);
        let on = words.filter(|word| !word.is_empty()).map(|word| {
            let error = || SpecError::invalid(path("retryOn"), format!("{word:?} is not a condition"));
            RetryCondition::find(word).ok_or_else(error)
        });
        let back_off = retry_back_off.as_ref();
        let wait = |member: &str, text: Option<&str>| {
            positive_duration(&path(&format!("retryBackOff.{member}")), text)
        };
        Ok(RetryContent {
            on: on.collect::<Result<_, _>>()?,
            codes: codes(&path("retriableStatusCodes"), retriable_status_codes, 100)?,
            attempts: num_retries.unwrap_or(1),
            // Envoy takes zero as no limit of its own.
            per_try_timeout: optional_duration(&path("perTryTimeout"), per_try_timeout.as_deref())?
                .filter(|limit| !limit.is_zero()),
            backoff: wait("baseInterval", back_off.map(|waits| waits.base_interval.as_str()))?,
            max_backoff: wait("maxInterval", back_off.and_then(|waits| waits.max_interval.as_deref()))?,
            as_told: rate_limited_retry_back_off
                .as_ref()
                .map(OptionRateLimitedBackOff::content)
                .transpose()?,
        })
    }
}

fn path(member: &str) -> String {
    format!("{FIELD}.retries.{member}")
}

impl OptionRateLimitedBackOff {
    fn content(&self) -> Result<WaitAsTold, SpecError> {
        let field = path("rateLimitedRetryBackOff");
        let Self { reset_headers, max_interval } = self;
        if reset_headers.is_empty() {
            return Err(SpecError::invalid(format!("{field}.resetHeaders"), "must not be empty"));
        }
        let headers = reset_headers.iter().enumerate().map(|(index, OptionResetHeader { name, format })| {
            let name = crate::header::name_token(name)
                .map_err(|error| SpecError::invalid(format!("{field}.resetHeaders[{index}].name"), error))?;
            let format = match format {
                None | Some(OptionResetFormat::Seconds) => ResetFormat::Seconds,
                Some(OptionResetFormat::UnixTimestamp) => ResetFormat::UnixTime,
            };
            Ok(ResetHeader { name, format })
        });
        let longest = positive_duration(&format!("{field}.maxInterval"), max_interval.as_deref())?;
        Ok(WaitAsTold {
            headers: headers.collect::<Result<_, _>>()?,
            longest: longest.unwrap_or(LONGEST_TOLD_WAIT),
        })
    }
}
