//! Services that have a part in requests, by gRPC: those that count, and those that see and change messages; and what filters do
//! with bodies, paths and failures. With the real Envoy.

mod backends;
mod bodies;
mod clients;
mod counting;
mod grpc;
mod limits;
mod options;
mod processing;
mod processor;
mod proxy_protocol;
mod redirects;
mod world;
