//! The AI engine's logic: what is done to a request to a provider, and to its answer, as pure functions.
//!
//! Contract: bytes in, bytes out. May not depend on Envoy, on tokio, on a clock or the network, nor hold `unsafe`:
//! everything here is testable with a table of inputs and outputs. [`exchange`] is what the module calls.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod ejection;
pub mod exchange;
pub mod framing;
pub mod guard;
pub mod json;
pub mod keys;
pub mod labels;
pub mod metadata;
pub mod model_routing;
pub mod operation;
pub mod prices;
pub mod protocol;
pub mod provider;
pub mod usage;

#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
