//! What end-to-end tests are made of: real Envoys, a mock LLM provider, an echo backend, a load generator, an
//! independent ADS client, and the `chancery` binary as a child process.
//!
//! Not published. It depends on none of our crates: Chancery is seen from outside, through processes, sockets
//! and files, as a user sees it. What every part promises:
//!
//! - ports come from the kernel, files live in temporary folders: tests run side by side;
//! - nothing outlives its handle: servers stop and processes end when dropped;
//! - a wait has a condition and a deadline, and says what was missing when the deadline passes;
//! - a missing Envoy is a failure that says what to do, never a skipped test.

pub mod ads_client;
pub mod auth_server;
pub mod collector;
pub mod echo;
pub mod echo_routes;
pub mod envoy;
pub mod examples;
pub mod failover;
pub mod fixture;
pub mod guard_server;
pub mod http;
pub mod key_server;
pub mod l4;
pub mod leaks;
pub mod load;
pub mod manifests;
pub mod page;
pub mod process;
pub mod provider;
pub mod random;
pub mod recording;
pub mod scenario;
mod server;
pub mod tls_client;
pub mod token;
pub mod workspace;
