//! Faults that are made for tests: `faultInjection` of a TrafficPolicy.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use std::time::Duration;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Disable;
use crate::ai::SpecError;
use crate::policy::http::{AbortContent, FaultContent, Injected, Setting, positive_duration};

/// The longest wait (kgateway).
const LONGEST_DELAY: Duration = Duration::from_secs(3600);

/// Faults that are made for tests of what clients do then.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.delay) || has(self.abort) || has(self.responseRateLimit) || has(self.disable)")
        .message("delay, abort, responseRateLimit or disable must be set")
)]
pub struct FaultInjection {
    /// Requests wait before they go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<FaultDelay>,
    /// Requests are answered with an error in place of the backend's answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abort: Option<FaultAbort>,
    /// Bodies of answers are slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_rate_limit: Option<FaultResponseRateLimit>,
    /// How many requests have faults at the same time at most; any number, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::unsigned")]
    pub max_active_faults: Option<u32>,
    /// Takes back what a less specific policy says; nothing else may be set then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// Requests wait before they go on.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FaultDelay {
    /// How long; from 1ms to 1h.
    #[schemars(length(max = 32), regex(pattern = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"))]
    pub fixed_delay: String,
    /// How many in a hundred; all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage: Option<i32>,
}

/// Requests are answered with an error.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.httpStatus) != has(self.grpcStatus)").message("exactly one of httpStatus and grpcStatus must be set"))]
pub struct FaultAbort {
    /// The status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 200, max = 599))]
    pub http_status: Option<i32>,
    /// The status of gRPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 16))]
    pub grpc_status: Option<i32>,
    /// How many in a hundred; all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage: Option<i32>,
}

/// Bodies of answers are slow.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FaultResponseRateLimit {
    /// How many thousand bits go in a second at most.
    #[schemars(schema_with = "kbits")]
    pub kbits_per_second: u64,
    /// Of how many answers in a hundred; of all, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub percentage: Option<i32>,
}

/// (The derive would write the format `uint64`, which an API server warns about.)
fn kbits(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "format": "int64", "minimum": 1 })
}

impl FaultInjection {
    /// What it says; `field` holds it.
    pub(crate) fn content(&self, field: &str) -> Result<Setting<FaultContent>, SpecError> {
        let Self { delay, abort, response_rate_limit, max_active_faults, disable } = self;
        let has_fault = delay.is_some() || abort.is_some() || response_rate_limit.is_some();
        match (has_fault, disable) {
            (false, Some(_)) if max_active_faults.is_none() => Ok(Setting::Off),
            (true, None) => Ok(Setting::On(FaultContent {
                delay: delay.as_ref().map(|delay| delay.content(&format!("{field}.delay"))).transpose()?,
                abort: abort.as_ref().map(|abort| abort.content(&format!("{field}.abort"))).transpose()?,
                kbits_per_second: response_rate_limit
                    .as_ref()
                    .map(|limit| limit.content(&format!("{field}.responseRateLimit")))
                    .transpose()?,
                max_active: *max_active_faults,
            })),
            _ => {
                let message = "delay, abort or responseRateLimit must be set, or disable alone";
                Err(SpecError::invalid(field, message))
            }
        }
    }
}

impl FaultDelay {
    fn content(&self, field: &str) -> Result<Injected<Duration>, SpecError> {
        let at = format!("{field}.fixedDelay");
        let delay = positive_duration(&at, Some(&self.fixed_delay))?.filter(|delay| *delay <= LONGEST_DELAY);
        let what = delay.ok_or_else(|| SpecError::invalid(at, "must be at most 1h"))?;
        Ok(Injected { what, percentage: percentage(field, self.percentage)? })
    }
}

impl FaultAbort {
    fn content(&self, field: &str) -> Result<Injected<AbortContent>, SpecError> {
        let wrong = |member: &str, range: &str| {
            SpecError::invalid(format!("{field}.{member}"), format!("must be from {range}"))
        };
        let what = match (self.http_status, self.grpc_status) {
            (Some(status), None) => {
                let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
                AbortContent::Http(status.ok_or_else(|| wrong("httpStatus", "200 to 599"))?)
            }
            (None, Some(status)) => {
                let status = u32::try_from(status).ok().filter(|status| *status <= 16);
                AbortContent::Grpc(status.ok_or_else(|| wrong("grpcStatus", "0 to 16"))?)
            }
            _ => {
                let message = "exactly one of httpStatus and grpcStatus must be set";
                return Err(SpecError::invalid(field, message));
            }
        };
        Ok(Injected { what, percentage: percentage(field, self.percentage)? })
    }
}

impl FaultResponseRateLimit {
    fn content(&self, field: &str) -> Result<Injected<u64>, SpecError> {
        let what = self.kbits_per_second;
        if what == 0 {
            return Err(SpecError::invalid(format!("{field}.kbitsPerSecond"), "must be at least 1"));
        }
        Ok(Injected { what, percentage: percentage(field, self.percentage)? })
    }
}

fn percentage(field: &str, written: Option<i32>) -> Result<u32, SpecError> {
    let percentage = u32::try_from(written.unwrap_or(100)).ok().filter(|percentage| *percentage <= 100);
    percentage.ok_or_else(|| SpecError::invalid(format!("{field}.percentage"), "is from 0 to 100"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn content(spec: Value) -> Result<Setting<FaultContent>, String> {
        let spec: FaultInjection = serde_json::from_value(spec).unwrap();
        spec.content("f").map_err(|error| error.path)
    }

    #[test]
    fn faults_are_made_for_all_requests_unless_a_share_is_named() {
        let read = content(json!({
            "delay": {"fixedDelay": "1s"},
            "abort": {"grpcStatus": 14, "percentage": 5},
            "responseRateLimit": {"kbitsPerSecond": 8},
            "maxActiveFaults": 0,
        }));
        assert_eq!(
            read,
            Ok(Setting::On(FaultContent {
                delay: Some(Injected { what: Duration::from_secs(1), percentage: 100 }),
                abort: Some(Injected { what: AbortContent::Grpc(14), percentage: 5 }),
                kbits_per_second: Some(Injected { what: 8, percentage: 100 }),
                max_active: Some(0),
            }))
        );
        assert_eq!(content(json!({"disable": {}})), Ok(Setting::Off));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_field() {
        for (spec, path) in [
            (json!({}), "f"),
            (json!({"maxActiveFaults": 1}), "f"),
            (json!({"disable": {}, "abort": {"httpStatus": 500}}), "f"),
            (json!({"delay": {"fixedDelay": "0s"}}), "f.delay.fixedDelay"),
            (json!({"delay": {"fixedDelay": "61m"}}), "f.delay.fixedDelay"),
            (json!({"delay": {"fixedDelay": "1s", "percentage": 101}}), "f.delay.percentage"),
            (json!({"abort": {}}), "f.abort"),
            (json!({"abort": {"httpStatus": 199}}), "f.abort.httpStatus"),
            (json!({"abort": {"grpcStatus": 17}}), "f.abort.grpcStatus"),
            (json!({"abort": {"httpStatus": 500, "percentage": -1}}), "f.abort.percentage"),
            (json!({"responseRateLimit": {"kbitsPerSecond": 0}}), "f.responseRateLimit.kbitsPerSecond"),
        ] {
            assert_eq!(content(spec.clone()), Err(path.to_owned()), "{spec}");
        }
    }
}
