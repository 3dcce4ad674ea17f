//! What goes into an update, and what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::{NamespacedName, Object, ObjectKey, ObjectRef};
use ir::GatewayName;

use crate::Proxy;
use crate::gateway::backend::Selection;
use crate::gateway::facts::RouteVersion;
use crate::status::Report;
use crate::xds::{EncodedResource, XdsKind};

/// One change of the input.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// The object is now like this.
    Apply(Object),
    /// The object is gone.
    Delete(ObjectRef),
}

/// What an update has changed. Only what came out different stands here.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    /// What is another for the proxies of a Gateway.
    pub gateways: BTreeMap<GatewayName, GatewayChange>,
    /// What there is to tell about an object now; `None` is nothing any more.
    pub reports: BTreeMap<ObjectRef, Option<Arc<Report>>>,
    /// Pods that EndpointSlices are needed for, by their XBackend; `None` is no longer.
    pub selections: BTreeMap<NamespacedName, Option<Arc<Selection>>>,
    /// Routes that add something else to a route table than before.
    pub routes: BTreeMap<ObjectKey, RouteChange>,
    /// Routes of which another version than the newest is served, and whose newest is another now, or gone.
    pub edited: BTreeSet<ObjectKey>,
    /// How many units were evaluated, by kind.
    pub evaluations: BTreeMap<&'static str, usize>,
    /// How many of these evaluations panicked. What such a unit was before stays, and its object's status says so.
    pub panics: usize,
}

/// A route that adds something else to route tables than before.
#[derive(Clone, Debug, Default)]
pub struct RouteChange {
    /// Which tables: Gateway and name, each once.
    pub tables: Vec<(GatewayName, String)>,
    /// The version that was served before.
    pub before: Option<Arc<RouteVersion>>,
    /// Whether it does not exist any more, or is not ours any more.
    pub is_gone: bool,
}

/// What is another for the proxies of a Gateway.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayChange {
    /// It is served.
    Served {
        /// What a deployer must provide, if that is another.
        proxy: Option<Arc<Proxy>>,
        /// The resources that are another; `None` is gone.
        resources: BTreeMap<(XdsKind, String), Option<Arc<EncodedResource>>>,
        /// Whether these are all resources: what does not stand here is gone.
        is_complete: bool,
    },
    /// It is ours and is not served, for the reason that its status tells. What was made for it stays until it
    /// goes: a mistake in an edit must not end what serves.
    Unserved(Arc<Proxy>),
    /// It does not exist, or is not ours any more.
    Gone,
}

impl Delta {
    /// Whether nothing is another.
    pub fn is_empty(&self) -> bool {
        self.gateways.is_empty() && self.reports.is_empty() && self.selections.is_empty()
    }

    /// How many units were evaluated.
    pub fn evaluated(&self) -> usize {
        self.evaluations.values().sum()
    }
}
