//! Prompt guards in whole attempts: every kind of data, in every protocol, wherever a stream is split.

mod corpus;
mod hooks;
#[path = "../support/random.rs"]
mod random;
mod requests;
mod responses;
mod shadow;
mod shadow_servers;
mod world;
