//! Trust in a cluster: who is refused by the xDS port, what ends a stream, and that a secret is nowhere but where it
//! belongs. Three Gateways in three namespaces, each with keys of its own; all tests share them and one world.

mod canaries;
mod fixture;
mod lifetime;
mod matrix;
mod tokens;
