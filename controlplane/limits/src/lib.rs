//! The service that counts: Envoy's rate limit protocol (`envoy.service.ratelimit.v3`) in front of a store.
//!
//! What limits and budgets there are comes with each request ([`limit_rule`]); here are only the counts, and the accounts of
//! budgets. They are held in memory, or in a Redis or Valkey server that several services share.

mod budgets;
mod matching;
mod metrics;
mod service;
mod status;
pub mod store;
mod window;

/// What the paths of its calls begin with.
pub const PATH: &str = "/envoy.service.ratelimit.v3.RateLimitService/";

pub use budgets::Spending;
pub use metrics::Metrics;
pub use service::LimitService;
pub use store::{Memory, Shared, Store};
pub use window::Window;
