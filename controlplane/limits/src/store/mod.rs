//! Where counts are held.

mod memory;
mod shared;

use std::fmt;
use std::time::Duration;

use limit_rule::Mode;

pub use memory::Memory;
pub use shared::Shared;

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

/// The store cannot be reached, or does not do as it should.
#[derive(Debug)]
pub struct StoreError(pub String);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// Counts hits.
#[derive(Clone, Debug)]
pub enum Store {
    /// In this process.
    Memory(Memory),
    /// In a Redis or Valkey server.
    Shared(Shared),
}

impl Store {
    /// Counts the hits of one request, as one step that nothing comes between: if one of those of [`Mode::Count`] or
    /// [`Mode::Check`] is over its limit, none of [`Mode::Count`] is counted. Gives what became of each, in order.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub async fn count(&self, hits: &[Hit]) -> Result<Vec<Outcome>, StoreError> {
        match self {
            Self::Memory(memory) => Ok(memory.count(hits)),
            Self::Shared(shared) => shared.count(hits).await,
        }
    }
}
