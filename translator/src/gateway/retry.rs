//! The retries of a rule.

use std::time::Duration;

use crds::gateway_api::part::Retry as RetrySpec;
use crds::policy::http::{ResetFormat, ResetHeader, RetryContent, WaitAsTold};
use ir::{Retry, WaitFormat};

use super::time_limits;
use crate::status::{Reason, Rejection};

/// How often a request is sent again where the rule does not say (`HTTPRouteRetry.attempts`).
const DEFAULT_ATTEMPTS: u32 = 1;

/// The least wait that Envoy can be told.
const LEAST_BACKOFF: Duration = Duration::from_millis(1);

/// Envoy's own base of the waits (`RetryPolicy.RetryBackOff`).
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);

/// Reads the retries of a rule; `None` where there are none.
pub(crate) fn read(spec: Option<&RetrySpec>, field: &str) -> Result<Option<Retry>, Rejection> {
    let Some(spec) = spec else { return Ok(None) };
    let refuse = |member: &str, message: String| {
        Rejection::at(Reason::UnsupportedValue, format!("{field}.{member}"), message)
    };
    let attempts = match spec.attempts {
        None => DEFAULT_ATTEMPTS,
        Some(attempts) => u32::try_from(attempts)
            .map_err(|_| refuse("attempts", format!("{attempts} is not a number of attempts")))?,
    };
    let mut codes = Vec::with_capacity(spec.codes.len());
    for (index, code) in spec.codes.iter().enumerate() {
        let code = u16::try_from(*code).ok().filter(|code| (400..600).contains(code));
        codes.push(
            code.ok_or_else(|| refuse(&format!("codes[{index}]"), "is not from 400 to 599".to_owned()))?,
        );
    }
    codes.sort_unstable();
    codes.dedup();
    let backoff = time_limits::duration(spec.backoff.as_deref(), field, "backoff")?;
    let backoff = backoff.map(|backoff| backoff.max(LEAST_BACKOFF));
    Ok((attempts > 0).then_some(Retry {
        on: Vec::new(),
        codes,
        attempts,
        backoff,
        max_backoff: None,
        as_told: None,
    }))
}

/// The retries that a policy asks for; `None` where it asks for none.
pub(crate) fn of_policy(content: &RetryContent) -> Option<Retry> {
    let RetryContent { on, codes, attempts, per_try_timeout: _, backoff, max_backoff, as_told } = content;
    let mut on: Vec<_> = on.iter().map(|condition| condition.name().to_owned()).collect();
    let mut codes = codes.clone();
    on.sort();
    on.dedup();
    codes.sort_unstable();
    codes.dedup();
    // A longest wait alone limits the waits that begin with Envoy's own base.
    let base =
        backoff.or(max_backoff.map(|max| max.min(DEFAULT_BACKOFF))).map(|base| base.max(LEAST_BACKOFF));
    let max_backoff = max_backoff.map(|max| max.max(base.unwrap_or_default()));
    let as_told = as_told.as_ref().map(wait);
    (*attempts > 0).then_some(Retry { on, codes, attempts: *attempts, backoff: base, max_backoff, as_told })
}

fn wait(WaitAsTold { headers, longest }: &WaitAsTold) -> ir::WaitAsTold {
    let headers = headers.iter().map(|ResetHeader { name, format }| {
        let format = match format {
            ResetFormat::Seconds => WaitFormat::Seconds,
            ResetFormat::UnixTime => WaitFormat::UnixTime,
        };
        (name.clone(), format)
    });
    ir::WaitAsTold { headers: headers.collect(), longest: *longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(codes: &[i64], attempts: Option<i64>, backoff: Option<&str>) -> RetrySpec {
        RetrySpec { codes: codes.into(), attempts, backoff: backoff.map(Into::into) }
    }

    #[test]
    fn one_retry_is_the_default_and_zero_is_none() {
        let read = |spec: &RetrySpec| super::read(Some(spec), "f").map_err(|rejection| rejection.message());
        assert_eq!(
            read(&spec(&[], None, None)),
            Ok(Some(Retry {
                on: vec![],
                codes: vec![],
                attempts: 1,
                backoff: None,
                max_backoff: None,
                as_told: None
            }))
        );
        assert_eq!(read(&spec(&[500], Some(0), None)), Ok(None));
        let many = read(&spec(&[503, 500, 503], Some(100), Some("0s"))).unwrap().unwrap();
        assert_eq!((many.codes, many.attempts, many.backoff), (vec![500, 503], 100, Some(LEAST_BACKOFF)));
        for (bad, expected) in [
            (spec(&[500, 200], None, None), "f.codes[1]: "),
            (spec(&[], Some(-1), None), "f.attempts: "),
            (spec(&[], None, Some("soon")), "f.backoff: "),
        ] {
            assert!(read(&bad).unwrap_err().starts_with(expected), "{bad:?}");
        }
    }
}
