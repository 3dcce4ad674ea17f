//! The time, in the form that statuses carry.

use std::time::SystemTime;

use crds::core::Time;
use k8s_openapi::jiff::Timestamp;

/// Now, to the second: that is what Kubernetes keeps.
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    at(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX))
}

/// The time that stands in the output of `translate`, which must not depend on when it runs.
pub fn epoch() -> Time {
    at(0)
}

fn at(seconds: i64) -> Time {
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}
