//! What is entered into the accounts of budgets.

use std::time::Duration;

use jiff::Timestamp;

use super::GRACE;
use crate::window::Window;

/// How long a reservation waits to be settled. After that its proxy is taken to be gone, and it is charged as it is.
pub const LEASE: Duration = Duration::from_secs(3_600);

/// How long a request that is settled is remembered: settling it once more in that time does nothing.
pub(super) const REMEMBERED: Duration = Duration::from_secs(10);

/// The largest amount and the largest limit; sums end there. Up to this, whole numbers of Redis' scripts are exact.
pub(super) const MOST: u64 = 1 << 53;

/// Something that is entered into an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The account: budget, what it counts, unit of time, time zone and spender.
    pub account: String,
    /// The unit of time that it is now.
    pub window: Window,
    /// How much may be spent in it.
    pub limit: u64,
    /// What is done.
    pub change: Change,
}

/// What is done with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// So much is reserved under the name of a request, if it fits beside what is spent in this unit of time and all that is
    /// reserved. It takes the place of what is reserved under that name already.
    Reserve {
        /// The name of the request.
        request: String,
        /// How much it may come to.
        amount: u64,
        /// Whether it is reserved although it does not fit.
        is_audit: bool,
    },
    /// So much is spent, if it fits.
    Spend {
        /// How much.
        amount: u64,
        /// Whether it is spent although it does not fit.
        is_audit: bool,
    },
    /// What a request has reserved is taken off again, and what it has come to is spent in the unit of time in which it was
    /// reserved. Of a request that is not known, it is spent in this unit of time.
    Settle {
        /// The name of the request.
        request: String,
        /// How much it has come to; absent: as much as was reserved.
        amount: Option<u64>,
    },
    /// Nothing.
    Look,
}

impl Change {
    /// The same, which is done although it does not fit.
    #[must_use]
    pub(crate) fn watched(self) -> Self {
        match self {
            Self::Reserve { request, amount, .. } => Self::Reserve { request, amount, is_audit: true },
            Self::Spend { amount, .. } => Self::Spend { amount, is_audit: true },
            Self::Settle { .. } | Self::Look => self,
        }
    }

    /// Whether a request that does not fit is let pass.
    pub(super) fn is_audit(&self) -> bool {
        matches!(self, Self::Reserve { is_audit: true, .. } | Self::Spend { is_audit: true, .. })
    }
}

/// An account after all of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    /// Whether it did not fit.
    pub is_over: bool,
    /// How much is spent in the posting's unit of time.
    pub spent: u64,
    /// How much is reserved, in whatever unit of time.
    pub reserved: u64,
    /// How many reservations this call found to have waited for too long. Told at the first posting of an account.
    pub expired: u64,
}

/// When something is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// How long a reservation that is made now waits.
    pub lease: Duration,
}

impl Moment {
    /// With [`LEASE`].
    pub fn of(now: Timestamp) -> Self {
        Self { now, lease: LEASE }
    }

    /// In milliseconds since 1970.
    pub(super) fn millis(self) -> i64 {
        self.now.as_millisecond()
    }

    /// So much later.
    pub(super) fn after(self, duration: Duration) -> i64 {
        self.millis().saturating_add(millis(duration))
    }

    /// Until when it is remembered what was spent in a unit of time: as long as a reservation of it may be open.
    pub(crate) fn end_of(self, window: Window) -> i64 {
        window.end.saturating_mul(1_000).saturating_add(millis(self.lease)).saturating_add(millis(GRACE))
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
