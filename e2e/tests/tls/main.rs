//! TLS of Gateway API through a real Envoy, from files: listeners, certificates of clients, backends.

mod backends;
mod clients;
mod examples;
mod listeners;
mod rotation;
mod world;
mod x_backend;
