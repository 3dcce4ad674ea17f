//! The translator: a pure function from Kubernetes objects to Envoy's configuration, the
//! infrastructure to provide, and the status of every object.
//!
//! ```text
//! Change ──► engine ──► gateway (validity, attachment, references) ──► ir ──► xds (Envoy's messages) ──► Delta
//!                              │
//!                              └──► status (facts; `render_status` turns them into an object's status) ──► Delta
//! ```
//!
//! May not depend on tokio, a Kubernetes client, a clock, the environment or the network: the same
//! input always gives the same bytes, on every replica and after every restart. Total: there is no
//! input for which it fails; what is wrong with an object is said in that object's status, and the
//! rest is translated.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod engine;
pub mod features;
mod gateway;
mod reference_grant;
mod resources;
mod settings;
pub mod status;
pub mod xds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::NamespacedName;
use crds::gateway_parameters::KubeParameters;
use ir::{GatewayName, ProxyInfra};

pub use engine::{
    AiProvider, AiRoute, Change, Delta, GatewayChange, Hold, RouteChange, ServedHost, ServedListener,
    Translator,
};
pub use gateway::backend::Selection;
pub use gateway::facts::Proxy;
pub use gateway::facts::RouteVersion;
pub use resources::Resources;
pub use settings::{
    Addressing, AiEngine, CONTROL_PLANE_CLUSTER, CONTROLLER_NAME, ConnectTo, DEFAULT_STREAM_IDLE_TIMEOUT,
    Settings, TestHooks,
};
pub use xds::{EncodedResource, XdsKind, XdsResources};

/// What the objects come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Translation {
    /// Every Gateway that is served.
    pub gateways: BTreeMap<GatewayName, GatewayOutput>,
    /// Gateways of ours that are not served, for the reason that their status tells.
    pub unserved: BTreeSet<GatewayName>,
    /// What to tell about every object of ours, sorted by object.
    pub reports: Vec<Arc<status::Report>>,
    /// Pods that EndpointSlices are needed for, by their XBackend.
    pub selections: BTreeMap<NamespacedName, Arc<Selection>>,
}

/// What one Gateway comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct GatewayOutput {
    /// What its Envoys serve, by kind and name.
    pub resources: BTreeMap<(XdsKind, String), Arc<EncodedResource>>,
    /// What a deployer must provide.
    pub infra: ProxyInfra,
    /// How its pods are to be made; `None` if nobody said anything about it.
    pub parameters: Option<Arc<KubeParameters>>,
    /// What is served, in short.
    pub listeners: Vec<ServedListener>,
}

impl GatewayOutput {
    /// What its Envoys serve, as messages.
    pub fn xds(&self) -> XdsResources {
        XdsResources::decode(self.resources.values().map(|resource| &**resource))
    }
}

/// Translates every object. Pure and total.
pub fn translate(resources: &Resources, settings: &Settings) -> Translation {
    let mut translator = Translator::new(settings.clone());
    translator.update(resources.iter().cloned().map(Change::Apply));
    translator.translation()
}
