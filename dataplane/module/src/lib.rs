//! The dynamic module that stock Envoy loads: the thin adapter between Envoy's C ABI and [`ai`].
//!
//! Contract: the only crate with `unsafe`, and only in `abi.rs`. Holds no logic of its own, so
//! that whatever can be wrong here is memory safety and nothing else. Empty until the AI engine
//! is built.
