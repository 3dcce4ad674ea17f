//! The routes of requests, which differ in their matches alone.

use super::part::{BackendRef, Filter, Metadata, ParentRef, Retry, Timeouts};

/// An HTTPRoute or a GRPCRoute.
#[derive(Clone, Debug, PartialEq)]
pub struct Route<M> {
    /// Its metadata.
    pub metadata: Metadata,
    /// The Gateways that it wants to attach to.
    pub parent_refs: Box<[ParentRef]>,
    /// The hosts that it serves; empty: those of the listeners.
    pub hostnames: Box<[Box<str>]>,
    /// Its rules; empty: one rule without anything.
    pub rules: Box<[Rule<M>]>,
}

/// A rule of a route of requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule<M> {
    /// Its name.
    pub name: Option<Box<str>>,
    /// Which requests it takes, each by one of these; empty: all.
    pub matches: Box<[M]>,
    /// What happens to requests and responses.
    pub filters: Box<[Filter]>,
    /// Where requests go.
    pub backend_refs: Box<[BackendRef]>,
    /// How long requests may take. A GRPCRoute cannot say it.
    pub timeouts: Option<Box<Timeouts>>,
    /// When a request is sent again. A GRPCRoute cannot say it.
    pub retry: Option<Box<Retry>>,
    /// Whether the requests of one client are to stay at one backend, which is not supported.
    pub has_session_persistence: bool,
}

impl<M> Default for Rule<M> {
    fn default() -> Self {
        Self {
            name: None,
            matches: Box::default(),
            filters: Box::default(),
            backend_refs: Box::default(),
            timeouts: None,
            retry: None,
            has_session_persistence: false,
        }
    }
}
