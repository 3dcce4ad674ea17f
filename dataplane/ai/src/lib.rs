//! The AI engine's logic: protocol conversion, guards and token usage as pure functions.
//!
//! Contract: bytes in, bytes out. May not depend on Envoy, on tokio, on a clock or the network,
//! nor hold `unsafe`: everything here is testable with a table of inputs and outputs. Empty until
//! the AI engine is built; a single-provider AI backend needs none of it.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod framing;
pub mod protocol;
