//! The control plane: the one place that wires sources, the translator, the xDS server and the
//! proxies together. The binary is `chancery`.
//!
//! ```text
//! source ──► store ──► pipeline (debounce, translate) ──┬──► publish ──► xds ──► Envoy
//!                                                       ├──► deployer (one Envoy per Gateway)
//!                                                       └──► status, table, admin
//! ```
//!
//! Everything that decides is pure and elsewhere; here is what has to do with files, processes,
//! sockets and time.

pub mod source;
