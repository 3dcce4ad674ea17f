//! Gateway API types of the experimental channel, under short names.
//!
//! The experimental channel is a superset: with it, no field of a route is invisible to us. The nested
//! spec and status structs are reached through the module of their kind (`httproutes::HttpRouteRules`).
//! The upstream enums print the specification's strings; routes have none upstream, so they are here.

use std::fmt;

pub use gateway_api::experimental::{
    constants::{
        GatewayClassConditionReason, GatewayClassConditionType, GatewayConditionReason, GatewayConditionType,
        ListenerConditionReason, ListenerConditionType,
    },
    gatewayclasses::{self, GatewayClass},
    gateways::{self, Gateway},
    httproutes::{self, HttpRoute},
    referencegrants::{self, ReferenceGrant},
};

/// API group of every Gateway API kind.
pub const GROUP: &str = "gateway.networking.k8s.io";

/// Condition types of a route's parent status. `Display` prints the specification's string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteConditionType {
    /// The route attaches to the parent.
    Accepted,
    /// Every reference of the route resolves.
    ResolvedRefs,
    /// Some rules are unusable and the rest is served.
    PartiallyInvalid,
}

impl fmt::Display for RouteConditionType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variant names are the specification's strings.
        fmt::Debug::fmt(self, f)
    }
}

/// Reasons of a route's parent conditions. `Display` prints the specification's string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteConditionReason {
    /// Accepted: the route attaches.
    Accepted,
    /// Not Accepted: no listener allows this route's kind or namespace.
    NotAllowedByListeners,
    /// Not Accepted: no hostname in common with a listener.
    NoMatchingListenerHostname,
    /// Not Accepted: no listener of the parent has the given section name or port.
    NoMatchingParent,
    /// Not Accepted: a field has a value that we do not support.
    UnsupportedValue,
    /// Not yet known.
    Pending,
    /// Not Accepted: two filters of one rule exclude each other.
    IncompatibleFilters,
    /// ResolvedRefs: everything resolves.
    ResolvedRefs,
    /// Not ResolvedRefs: a reference crosses namespaces without a ReferenceGrant.
    RefNotPermitted,
    /// Not ResolvedRefs: a reference names a kind that cannot be used here.
    InvalidKind,
    /// Not ResolvedRefs: a referenced backend does not exist.
    BackendNotFound,
    /// Not ResolvedRefs: the backend speaks a protocol that we do not support.
    UnsupportedProtocol,
}

impl fmt::Display for RouteConditionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variant names are the specification's strings.
        fmt::Debug::fmt(self, f)
    }
}
