//! The dynamic module that stock Envoy loads: the thin adapter between Envoy's C ABI and the crate `ai`.
//!
//! Contract: the only crate with `unsafe`, and only in `abi.rs` and `abi/main_thread.rs` (what they call is
//! declared in `abi/callbacks.rs`). Holds no logic of its own, so that whatever can be
//! wrong here is memory safety and nothing else.
#![deny(unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(unsafe_code, reason = "the files that speak to Envoy's C functions")]
mod abi;
mod consulting;
mod ejection;
mod gateway;
mod holding;
mod keys;
mod metrics;
mod placement;
mod prices;
mod provider;
mod settling;
mod spending;
mod telling;
