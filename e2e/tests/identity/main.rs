//! Tokens and rights, in both dialects, through a real Envoy: who gets in, and above all who does not.

mod credentials;
mod lifecycle;
mod matrix;
mod paths;
mod providers;
mod rights;
mod world;
