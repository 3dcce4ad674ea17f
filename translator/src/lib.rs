//! The translator: a pure function from Kubernetes objects to Envoy's configuration, the
//! infrastructure to provide, and the status of every object.
//!
//! ```text
//! Resources ──► gateway (validity, attachment, references) ──► ir ──► xds (Envoy's messages)
//!                        │
//!                        └──► status (facts; `render_status` turns them into an object's status)
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

mod gateway;
mod reference_grant;
mod resources;
mod settings;
pub mod status;
pub mod xds;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_parameters::KubeParameters;
use ir::{GatewayIr, GatewayName, ProxyInfra};

pub use resources::Resources;
pub use settings::{Addressing, CONTROLLER_NAME, ConnectTo, DEFAULT_STREAM_IDLE_TIMEOUT, Settings};
pub use xds::XdsResources;

/// What the objects come to.
#[derive(Clone, Debug)]
pub struct Translation {
    /// Every Gateway that is served.
    pub gateways: BTreeMap<GatewayName, GatewayOutput>,
    /// Gateways of ours that are not served, for the reason that their status tells. What was made for one
    /// stays until the Gateway goes: a mistake in an edit must not end what serves.
    pub unserved: BTreeSet<GatewayName>,
    /// What to tell about every object of ours, sorted by object.
    pub reports: Arc<Vec<status::Report>>,
}

/// What one Gateway comes to.
#[derive(Clone, Debug)]
pub struct GatewayOutput {
    /// What its Envoys serve, in our words.
    pub ir: GatewayIr,
    /// What its Envoys serve, in theirs.
    pub xds: Arc<XdsResources>,
    /// What a deployer must provide.
    pub infra: ProxyInfra,
    /// How its pods are to be made; `None` if nobody said anything about it.
    pub parameters: Option<Arc<KubeParameters>>,
}

/// Translates every object. Pure and total.
pub fn translate(resources: &Resources, settings: &Settings) -> Translation {
    let gateway::Meaning { gateways, unserved, reports } = gateway::read(resources, settings);
    let gateways = gateways.into_iter().map(|(name, gateway::Served { ir, infra, parameters })| {
        let xds = Arc::new(xds::build(&ir, settings));
        (name, GatewayOutput { ir, xds, infra, parameters })
    });
    Translation { gateways: gateways.collect(), unserved, reports: Arc::new(reports) }
}
