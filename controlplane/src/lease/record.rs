//! What a Lease says.

use std::time::{Duration, SystemTime};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;

/// The content of a Lease. Times are written for people and other programs; only whether they *change*
/// is looked at.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// Who has it; empty for nobody.
    pub holder: String,
    pub duration: Option<Duration>,
    pub transitions: i32,
    acquired: Option<MicroTime>,
    renewed: Option<MicroTime>,
}

impl Record {
    pub(super) fn read(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration: seconds.map(Duration::from_secs),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time,
            renewed: spec.renew_time,
        }
    }

    /// The record of a new lease.
    pub(super) fn first(identity: &str, duration: Duration) -> Self {
        let now = Some(now());
        Self {
            holder: identity.to_owned(),
            duration: Some(duration),
            transitions: 0,
            acquired: now.clone(),
            renewed: now,
        }
    }

    /// As it is once `identity` has taken or renewed it.
    pub(super) fn taken_by(&self, identity: &str, duration: Duration) -> Self {
        let is_renewal = self.holder == identity;
        let first = Self::first(identity, duration);
        match is_renewal {
            true => Self { acquired: self.acquired.clone(), transitions: self.transitions, ..first },
            false => Self { transitions: self.transitions.saturating_add(1), ..first },
        }
    }

    /// As it is once its holder has given it back.
    pub(super) fn released(&self) -> Self {
        // One second: the shortest that the API takes.
        Self {
            holder: String::new(),
            duration: Some(Duration::from_secs(1)),
            renewed: Some(now()),
            ..self.clone()
        }
    }

    /// The lease with this content; everything else, its resource version above all, stays.
    pub(super) fn write(self, mut lease: Lease) -> Lease {
        let spec = lease.spec.take().unwrap_or_default();
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.holder),
            lease_duration_seconds: self.duration.and_then(|wait| i32::try_from(wait.as_secs()).ok()),
            lease_transitions: Some(self.transitions),
            acquire_time: self.acquired,
            renew_time: self.renewed,
            ..spec
        });
        lease
    }
}

/// An empty lease.
pub(super) fn named(name: &str) -> Lease {
    Lease { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, spec: None }
}

fn now() -> MicroTime {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    MicroTime(Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MAX))
}
