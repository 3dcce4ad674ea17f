//! Gateway API types of the experimental channel, under short names.
//!
//! The experimental channel is a superset: with it, no field of a route is invisible to us. Routes are kept in types of
//! our own ([`Route`], [`L4Route`], [`part`]): the generated ones have a type per place for what is the same everywhere, and
//! take several times the memory. So are Gateways and ListenerSets ([`gateway`], [`listener_set`]), whose listeners have
//! members that the generated ones lack. The nested structs of other kinds are reached through the module of their kind.

mod document;
mod duration;
mod external_auth;
pub mod gateway;
mod grpc_route;
mod http_route;
mod l4_route;
pub mod listener_set;
pub mod part;
mod route;
mod version;
pub mod x_backend;

pub use gateway_api::experimental::{
    gatewayclasses::{self, GatewayClass},
    gateways,
    referencegrants::{self, ReferenceGrant},
};

// The experimental channel adds nothing to it.
pub use gateway_api::apis::standard::backendtlspolicies::{self, BackendTlsPolicy};

pub use duration::duration;
pub use gateway::{Gateway, Listener};
pub use grpc_route::{GrpcMatch, GrpcMethodMatch, GrpcRoute, GrpcRule};
pub use http_route::{HttpMatch, HttpMethod, HttpRoute, HttpRule, PathMatchType};
pub use l4_route::{L4Route, L4Rule, TcpRoute, TlsRoute, UdpRoute};
pub use listener_set::ListenerSet;
pub use route::{Route, Rule};
pub use version::{BUNDLE_VERSION, CustomResourceDefinition, VERSIONED_CRD};
pub use x_backend::XBackend;

/// API group of every Gateway API kind.
pub const GROUP: &str = "gateway.networking.k8s.io";
