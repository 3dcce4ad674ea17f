//! When a request is sent again.

use std::time::Duration;

use ir::{Retry, Timeouts, WaitAsTold, WaitFormat};
use proto::retry_previous_hosts::PreviousHostsPredicate;
use proto::route::RetryPolicy;
use proto::route::retry_policy::{
    RateLimitedRetryBackOff, ResetHeader, ResetHeaderFormat, RetryBackOff, RetryHostPredicate,
    retry_host_predicate,
};
use proto::{duration, pack, u32_value};

/// What of a request's body is kept for the next attempt. A request with a longer one is sent once.
pub(super) const MAX_BODY_BYTES: u64 = 1024 * 1024;

/// No connection came about, or the backend refused the request before it looked at it: it cannot have been processed.
const UNPROCESSED: &str = "connect-failure,refused-stream,reset-before-request";

/// How often another endpoint is drawn where the one that was drawn has failed this request already.
/// With two endpoints each draw is wrong every other time: five draws failed one request in 128.
const HOST_SELECTION_ATTEMPTS: i64 = 16;

/// The waits grow to this multiple of the base.
const MAX_BACKOFF_FACTOR: u32 = 10;

/// The policy of a route.
pub(super) fn policy(ir: &Retry, timeouts: &Timeouts) -> RetryPolicy {
    let limit = timeouts.backend_request.filter(|limit| !limit.is_zero());
    let mut retry_on = UNPROCESSED.to_owned();
    if limit.is_some() {
        // An attempt that takes too long counts as failed. Envoy knows no word for this alone: it is one of the
        // ways in which no answer comes (`reset`).
        retry_on.push_str(",reset");
    }
    let by_status = (!ir.codes.is_empty()).then_some("retriable-status-codes");
    for condition in ir.on.iter().map(String::as_str).chain(by_status) {
        if retry_on.split(',').all(|known| known != condition) {
            retry_on.push(',');
            retry_on.push_str(condition);
        }
    }
    RetryPolicy {
        retry_on,
        num_retries: Some(u32_value(ir.attempts)),
        per_try_timeout: limit.map(duration),
        retriable_status_codes: ir.codes.iter().map(|code| u32::from(*code)).collect(),
        rate_limited_retry_back_off: ir.as_told.as_ref().map(as_told),
        retry_back_off: ir.backoff.map(|base| back_off(base, ir.max_backoff)),
        retry_host_predicate: vec![another_host()],
        host_selection_retry_max_attempts: HOST_SELECTION_ATTEMPTS,
        ..RetryPolicy::default()
    }
}

fn back_off(base: Duration, max: Option<Duration>) -> RetryBackOff {
    RetryBackOff {
        base_interval: Some(duration(base)),
        max_interval: Some(duration(max.unwrap_or_else(|| base.saturating_mul(MAX_BACKOFF_FACTOR)))),
    }
}

fn as_told(WaitAsTold { headers, longest }: &WaitAsTold) -> RateLimitedRetryBackOff {
    let header = |(name, format): &(String, WaitFormat)| ResetHeader {
        name: name.clone(),
        format: match format {
            WaitFormat::Seconds => ResetHeaderFormat::Seconds,
            WaitFormat::UnixTime => ResetHeaderFormat::UnixTimestamp,
        }
        .into(),
    };
    RateLimitedRetryBackOff {
        reset_headers: headers.iter().map(header).collect(),
        max_interval: Some(duration(*longest)),
    }
}

/// Not at the endpoint that has just failed, as long as there is another.
fn another_host() -> RetryHostPredicate {
    let config = pack(&PreviousHostsPredicate::default());
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(config)),
    }
}
