//! Who runs the proxies of the Gateways: this machine ([`local`]), or a cluster ([`kubernetes`]).

mod certificates;
mod drain;
pub mod kubernetes;
pub mod local;
mod proxy;
mod proxy_log;
pub mod state_dir;

use std::collections::BTreeMap;

use ir::{GatewayName, ProxyInfra};

/// Provides a proxy for each Gateway.
pub trait Deployer {
    /// Begins to make what there is equal to what is wanted, and returns at once.
    ///
    /// Level-triggered: called with the whole of it at every change, and cheap when nothing changed.
    /// What fails is retried until it is no longer wanted.
    fn reconcile(&mut self, wanted: &BTreeMap<GatewayName, ProxyInfra>);
}
