//! Proxies as pods: a Deployment and what belongs to it for each Gateway, in the Gateway's namespace.
//!
//! ```text
//! ProxyInfra + GatewayParameters ── render_manifests (pure) ──► manifests ─┐
//! what stands in the cluster ◄── watch ── API server ◄── apply, delete ────┴── Reconciler
//! ```
//!
//! Objects are applied server-side by one field manager: what others add to them stays, what they change
//! of ours is put right. Owner references let the cluster itself remove all when a Gateway goes; what a
//! Gateway that stays no longer needs is deleted here. Only the leader writes.

mod bootstrap;
mod deployment;
mod manifest;
mod object;
mod prune;
mod reconciler;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use ir::GatewayName;
use kube::Client;
use tokio::sync::{mpsc, watch as channel};
use tokio::time::{Instant, sleep_until};

pub use manifest::{DEFAULT_IMAGE, DeploySettings, MANAGED_BY, Manifest, render_manifests};
pub use object::{ManifestKind, ObjectKey};

use crate::backoff::Backoff;
use crate::lease::Leadership;
use crate::pipeline::Output;
use crate::xds_trust::CaBundle;
use reconciler::{Reconciler, Wanted};

/// The first and the longest wait after something failed.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Why the proxies of a Gateway cannot be made as they should be, in one line, by Gateway.
pub type DeployFailures = BTreeMap<GatewayName, String>;

/// Makes the proxies of every Gateway in a cluster.
pub struct KubernetesDeployer {
    client: Client,
    settings: DeploySettings,
    leadership: channel::Receiver<Leadership>,
    failures: channel::Sender<DeployFailures>,
}

impl KubernetesDeployer {
    /// A deployer that has done nothing; `failures` gets what keeps proxies from being made.
    pub fn new(
        client: Client,
        settings: DeploySettings,
        leadership: channel::Receiver<Leadership>,
        failures: channel::Sender<DeployFailures>,
    ) -> Self {
        Self { client, settings, leadership, failures }
    }

    /// Makes what there is equal to what is wanted, at every change of either, and tries again what failed.
    /// Begins with the first translation, with the first bundle of certificates, when leading. Ends when
    /// no more translations come.
    pub async fn run(
        self,
        mut translated: channel::Receiver<Option<Arc<Output>>>,
        mut bundle: channel::Receiver<Option<CaBundle>>,
    ) {
        let Self { client, settings, mut leadership, failures } = self;
        let (sender, mut observations) = mpsc::unbounded_channel();
        let _watches = watch::start(&client, &sender);
        let mut reconciler = Reconciler::new(client);
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut wanted = None;
        let mut is_new = true;
        loop {
            let mut retry_at = None;
            while let Ok(observation) = observations.try_recv() {
                reconciler.observe(observation);
            }
            if std::mem::take(&mut is_new) {
                let (output, ca) = (translated.borrow_and_update(), bundle.borrow_and_update());
                let both = output.as_deref().zip(ca.as_ref());
                wanted = both.map(|(output, ca)| Wanted::new(&output.translation, &settings, ca.pem()));
            }
            let leads = leadership.borrow_and_update().deadline().is_some();
            if let (true, Some(wanted)) = (leads, &wanted) {
                let failed = reconciler.reconcile(wanted).await;
                retry_at = (!failed.is_empty()).then(|| Instant::now() + backoff.next());
                if failed.is_empty() {
                    backoff.reset();
                }
                failures.send_if_modified(|current| {
                    let is_new = *current != failed;
                    *current = failed;
                    is_new
                });
            } else if !leads {
                // Another one has written since.
                reconciler.forget_applied();
            }
            tokio::select! {
                Some(observation) = observations.recv() => reconciler.observe(observation),
                changed = translated.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    is_new = true;
                }
                Ok(()) = bundle.changed() => is_new = true,
                Ok(()) = leadership.changed() => {}
                () = wait_until(retry_at) => {}
            }
        }
    }
}

async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
