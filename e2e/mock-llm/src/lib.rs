//! Stand-ins for the LLM providers, each in its native protocol, on loopback.
//!
//! One [`MockLlm`] plays all of them; the path says which ([`Provider`]). Answers are made of the question
//! ([`answer`]), so that a test can tell what must come out, tokens included ([`words`]). [`Knobs`] make it
//! misbehave, a [`Recording`] tells what arrived. The same is to be had over HTTP, for programs that are not
//! in Rust: `GET` and `DELETE /__requests`, `GET` and `PUT /__knobs`. `GET /__requests?disconnected=1` waits until
//! so many clients have left before their answer was complete (10 s, or `within_ms`).

mod admin;
pub mod answer;
pub mod ask;
mod body;
pub mod embedding;
mod error;
pub mod event_stream;
mod knobs;
mod mock;
mod protocol;
mod recording;
mod reply;
mod route;
mod server;
pub mod sigv4;
pub mod words;

pub use self::knobs::Knobs;
pub use self::mock::MockLlm;
pub use self::recording::{Recorded, Recording};
pub use self::route::Provider;
