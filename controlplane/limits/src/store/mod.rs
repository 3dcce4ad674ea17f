//! Where counts are held.

mod accounts;
mod lists;
mod memory;
mod posting;
mod schedule;
mod shared;

use std::fmt;
use std::time::Duration;

use limit_rule::Mode;

pub use lists::{Listed, Spender};
pub use memory::Memory;
pub use posting::{Balance, Change, LEASE, Moment, Posting};
pub use shared::Shared;

/// How much longer than its unit of time a count is kept: clocks of different machines differ.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// Something that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The count: object, entries and unit of time.
    pub key: String,
    /// What is done.
    pub mode: Mode,
    /// How much.
    pub amount: Amount,
    /// How much there may be.
    pub limit: u64,
    /// How long the count is of use.
    pub lifetime: Duration,
}

/// How much is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So much more.
    Add(u64),
    /// So much less, but never below zero.
    TakeBack(u64),
}

/// What became of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether it was over its limit.
    pub is_over: bool,
    /// The count after all of it.
    pub count: u64,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Of each hit, in order.
    pub outcomes: Vec<Outcome>,
    /// The account of each posting after all of it, in order.
    pub balances: Vec<Balance>,
}

/// The store cannot be reached, or does not do as it should.
#[derive(Debug)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// Counts hits, and keeps the accounts of budgets.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this process.
    Memory(Memory),
    /// In a Redis or Valkey server.
    Shared(Shared),
}

impl Store {
    /// Counts the hits of one request and enters its postings, as one step that nothing comes between. If a hit of
    /// [`Mode::Count`] or [`Mode::Check`], or a posting that is not of an audit, is over its limit, then none of
    /// [`Mode::Count`] is counted, and nothing is reserved or spent. Settling goes on all the same.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn count(
        &self,
        hits: &[Hit],
        postings: &[Posting],
        moment: Moment,
    ) -> Result<Answer, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.count(hits, postings, moment)),
            Self::Shared(shared) => shared.count(hits, postings, moment).await,
        }
    }

    /// Lists spenders, or what they have spent by now.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn list(&self, spenders: &[Spender], moment: Moment) -> Result<(), StoreError> {
        match self {
            _ if spenders.is_empty() => Ok(()),
            Self::Memory(memory) => {
                memory.list(spenders, moment);
                Ok(())
            }
            Self::Shared(shared) => shared.list(spenders, moment).await,
        }
    }

    /// What stands in a list: how many spenders, how many of them have spent the limit, and the `most` who have spent most.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn listed(
        &self,
        list: &str,
        limit: u64,
        most: usize,
        moment: Moment,
    ) -> Result<Listed, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.listed(list, limit, most, moment)),
            Self::Shared(shared) => shared.listed(list, limit, most).await,
        }
    }
}
