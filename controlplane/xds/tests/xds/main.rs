//! The server from the outside: scenarios, a random walk against a naive client, and real sockets.

mod delta;
mod filters;
mod model;
mod server;
mod sotw;
mod support;
