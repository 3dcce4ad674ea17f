//! The routes of requests, which differ in their matches alone.

use serde::{Serialize, Serializer};

use super::document;
use super::part::{BackendRef, Filter, Metadata, ParentRef, Retry, Timeouts};
use crate::object::Typed;

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
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
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
    #[serde(rename = "sessionPersistence", serialize_with = "document::presence")]
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

impl<M: Serialize> Serialize for Route<M>
where
    Self: Typed,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { metadata, parent_refs, hostnames, rules } = self;
        document::of_route(Self::KIND, metadata, parent_refs, hostnames, rules).serialize(serializer)
    }
}

/// Reads the routes of one kind, whose generated types have one form under different names.
macro_rules! route {
    ($route:ident is $generated:path { $spec:ident }) => {
        impl<'de> Deserialize<'de> for $route {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The status is read from the API server by those who write it.
                let $generated { metadata, spec, status: _ } = Deserialize::deserialize(deserializer)?;
                let $spec { hostnames, parent_refs, rules, use_default_gateways: _ } = spec;
                Ok(Self {
                    metadata: metadata.into(),
                    parent_refs: list(parent_refs),
                    hostnames: list(hostnames),
                    rules: list(rules),
                })
            }
        }
    };
}

pub(super) use route;
