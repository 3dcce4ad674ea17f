//! GatewayParameters, and who may change what of the objects that are made for a Gateway. All tests share one
//! world; each has its own namespaces, which enforce the restricted pod security level.

mod changes;
mod made;
mod ownership;
mod rest;
mod security;
