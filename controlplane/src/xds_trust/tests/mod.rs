//! The xDS port as a proxy meets it: real sockets, real TLS, and an API server that the test plays.

mod harness;
mod lifetime;
mod matrix;
mod module;
mod rotation;
