//! Time limits of a rule.

use std::time::Duration;

use crds::gateway_api::{self, part::Timeouts as TimeoutsSpec};
use crds::policy::http::Limit;
use ir::Timeouts;

use crate::status::{Reason, Rejection};

/// How long a request may take if its route does not say (Envoy's own default, made explicit).
const DEFAULT_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How long an AI request may be silent: models think, and a stream may pause.
const AI_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How much longer a request may be silent than it may take, so that the limit that its route writes is the
/// one that ends it.
const IDLE_MARGIN: Duration = Duration::from_secs(10);

/// Whose limits are meant where a rule does not say any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defaults {
    /// Those of plain requests.
    Requests,
    /// Those of requests to AI providers.
    Ai,
    /// Those of requests whose answers may be streams without end: calls of gRPC, for which clients set deadlines themselves
    /// and servers keep them, and requests of the Model Context Protocol.
    Streams,
}

/// The time limits that a rule writes. The outer `None` is "not said", the inner one "no limit".
#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    request: Option<Option<Duration>>,
    backend_request: Option<Option<Duration>>,
    /// Without any byte in either direction. Rules cannot say it, policies can.
    idle: Option<Option<Duration>>,
}

impl Limits {
    /// The same with what policies say where the rule says nothing.
    #[must_use]
    pub(crate) fn or(&self, request: Option<Limit>, attempt: Option<Duration>, idle: Option<Limit>) -> Self {
        let duration = |limit: Limit| match limit {
            Limit::Unlimited => None,
            Limit::After(duration) => Some(duration),
        };
        Self {
            request: self.request.or(request.map(duration)),
            backend_request: self.backend_request.or(attempt.map(Some)),
            idle: self.idle.or(idle.map(duration)),
        }
    }

    /// What Envoy is told; `default_idle` is the listener's.
    pub(crate) fn timeouts(&self, defaults: Defaults, default_idle: Duration) -> Timeouts {
        let backend_request = self.backend_request.flatten();
        let is_limited = defaults == Defaults::Requests && self.backend_request.is_none();
        let default = is_limited.then_some(DEFAULT_REQUEST_TIMEOUT);
        let request = self.request.unwrap_or(default);
        let is_written = self.request.is_some() || self.backend_request.is_some();
        let idle = match [request, backend_request].into_iter().flatten().min() {
            _ if self.idle.is_some() => self.idle.flatten(),
            // A limit that the user wrote is the one that counts, and no limit is none.
            limit if is_written => limit.map(|limit| default_idle.max(limit.saturating_add(IDLE_MARGIN))),
            _ if defaults == Defaults::Ai => Some(AI_IDLE_TIMEOUT),
            _ => Some(default_idle),
        };
        Timeouts { request, backend_request, idle }
    }
}

/// Reads the limits of a rule.
pub(crate) fn read(spec: Option<&TimeoutsSpec>, field: &str) -> Result<Limits, Rejection> {
    let Some(spec) = spec else { return Ok(Limits::default()) };
    let limit = |text: Option<&str>, name: &str| {
        let limit = duration(text, field, name)?;
        Ok::<_, Rejection>(limit.map(|limit| (!limit.is_zero()).then_some(limit)))
    };
    let limits = Limits {
        request: limit(spec.request.as_deref(), "request")?,
        backend_request: limit(spec.backend_request.as_deref(), "backendRequest")?,
        idle: None,
    };
    if let (Some(Some(request)), Some(Some(backend_request))) = (limits.request, limits.backend_request)
        && backend_request > request
    {
        let field = format!("{field}.backendRequest");
        return Err(Rejection::at(Reason::UnsupportedValue, field, "is longer than timeouts.request"));
    }
    Ok(limits)
}

/// Reads a duration in Gateway API's form, which stands in the member `name` of `field`.
pub(crate) fn duration(text: Option<&str>, field: &str, name: &str) -> Result<Option<Duration>, Rejection> {
    let refuse = |error| Rejection::at(Reason::UnsupportedValue, format!("{field}.{name}"), error);
    text.map(|text| gateway_api::duration(text).map_err(refuse)).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn limit() -> impl Strategy<Value = Option<Option<Duration>>> {
        option::of(option::of((1u64..4_000_000).prop_map(Duration::from_millis)))
    }

    proptest! {
        /// Silence never ends a request before a limit that its rule writes, nor where the rule says that
        /// there is none; and a rule that says nothing has the defaults.
        #[test]
        fn silence_ends_no_request_before_its_own_limit(
            request in limit(),
            backend_request in limit(),
            which in 0usize..3,
            default_idle in (1u64..1000).prop_map(Duration::from_secs),
        ) {
            let defaults = [Defaults::Requests, Defaults::Ai, Defaults::Streams][which];
            let is_ai = defaults == Defaults::Ai;
            let timeouts = Limits { request, backend_request, idle: None }.timeouts(defaults, default_idle);
            let total = [timeouts.request, timeouts.backend_request].into_iter().flatten().min();
            match (request.is_some() || backend_request.is_some(), total) {
                (true, None) => prop_assert_eq!(timeouts.idle, None),
                (true, Some(total)) => {
                    prop_assert!(timeouts.idle.is_some_and(|idle| idle > total && idle >= default_idle));
                }
                (false, _) => {
                    prop_assert_eq!(timeouts.idle, Some(if is_ai { AI_IDLE_TIMEOUT } else { default_idle }));
                    prop_assert_eq!(timeouts.request.is_none(), defaults != Defaults::Requests);
                }
            }
        }
    }
}
