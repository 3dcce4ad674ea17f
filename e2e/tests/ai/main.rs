//! AI backends through a real Envoy with the AI engine, with mock providers: which request reaches the provider, what the
//! client gets, and what is counted.

mod example;
mod failover;
mod policies;
mod providers;
mod sdk;
mod without_module;
mod world;
