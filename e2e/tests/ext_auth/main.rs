//! External authorization through a real Envoy: a service is asked, and above all nothing passes that it did not let pass.

mod by_grpc;
mod by_http;
mod filter;
mod lifecycle;
mod listener_filter;
mod service;
mod world;
