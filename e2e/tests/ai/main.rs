//! AI backends through a real Envoy with the AI engine, with mock providers: which request reaches the provider, what the
//! client gets, and what is counted.

mod access_log;
mod books;
mod budgets;
mod claims;
mod cost;
mod credentials;
mod delivery;
mod example;
mod ext_auth;
mod failover;
mod fallback;
mod guards;
mod hooks;
mod keys;
mod limits;
mod metrics;
mod models;
mod money;
mod policies;
mod providers;
mod replica;
mod rows;
mod sdk;
mod shadow_servers;
mod sharing;
mod tracing;
mod virtual_keys;
mod without_module;
mod world;
