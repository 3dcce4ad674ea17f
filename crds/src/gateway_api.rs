//! Gateway API types of the experimental channel, under short names.
//!
//! The experimental channel is a superset: with it, no field of a route is invisible to us. The nested
//! spec and status structs are reached through the module of their kind (`httproutes::HttpRouteRules`).

pub use gateway_api::experimental::{
    gatewayclasses::{self, GatewayClass},
    gateways::{self, Gateway},
    httproutes::{self, HttpRoute},
    referencegrants::{self, ReferenceGrant},
};

/// API group of every Gateway API kind.
pub const GROUP: &str = "gateway.networking.k8s.io";
