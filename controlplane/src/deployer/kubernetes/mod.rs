//! Proxies as pods: a Deployment and what belongs to it for each Gateway, in the Gateway's namespace.
//!
//! ```text
//! ProxyInfra + GatewayParameters ── render_manifests (pure) ──► manifests ─┐
//! what stands in the cluster ◄── watch ── API server ◄── apply, delete ────┴── Reconciler
//! ```
//!
//! Objects are applied server-side by one field manager: what others add to them stays, what they change
//! of ours is put right. Owner references let the cluster itself remove all when a Gateway goes, and nothing is
//! written for it then: a pass ends as soon as there is a newer translation, and before an object is made, the API
//! server is asked whether its Gateway still is there. What a Gateway that stays no longer needs, or one that was
//! handed over to a foreign class, is deleted here. Only the leader writes.

mod bootstrap;
mod common;
mod deployment;
mod health;
mod manifest;
mod object;
mod owner_check;
mod pod;
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

pub use common::{DeploySettings, MANAGED_BY, Manifest};
pub use health::{DeploymentHealth, ProxyHealth};
pub use manifest::{DEFAULT_IMAGE, render_manifests};
pub use object::{ManifestKind, ObjectKey};

use crate::backoff::Backoff;
use crate::lease::Leadership;
use crate::mailbox;
use crate::xds_trust::CaBundle;
use reconciler::{Pass, Reconciler, Wanted};
use translator::Proxy;

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
    health: channel::Sender<ProxyHealth>,
}

impl KubernetesDeployer {
    /// A deployer that has done nothing; `failures` gets what keeps proxies from being made, and `health`, whoever
    /// leads, how those are that were made.
    pub fn new(
        client: Client,
        settings: DeploySettings,
        leadership: channel::Receiver<Leadership>,
        failures: channel::Sender<DeployFailures>,
        health: channel::Sender<ProxyHealth>,
    ) -> Self {
        Self { client, settings, leadership, failures, health }
    }

    /// Makes what there is equal to what is wanted, at every change of either, and tries again what failed.
    /// Begins with the first translation, with the first bundle of certificates, when leading. Ends when
    /// no more translations come.
    pub async fn run(
        self,
        mut proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>,
        mut bundle: channel::Receiver<Option<CaBundle>>,
    ) {
        let Self { client, settings, mut leadership, failures, health } = self;
        let (objects, mut observations) = mpsc::unbounded_channel();
        let (health_events, heard) = mpsc::unbounded_channel();
        let mut watches =
            watch::start(&client, &settings.controller, &watch::News { objects, health: health_events });
        // Apart from the writes below, which may take long.
        watches.spawn(health::follow(heard, health));
        let mut reconciler = Reconciler::new(client, settings.controller.clone());
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        // As translated, so that a new bundle finds all of them; and what comes of it with the present one.
        let mut known: BTreeMap<GatewayName, Arc<Proxy>> = BTreeMap::new();
        let mut wanted: Option<Wanted> = None;
        let (mut is_translated, mut ca) = (false, None);
        loop {
            let mut retry_at = None;
            while let Ok(observation) = observations.try_recv() {
                reconciler.observe(observation);
            }
            // Not only when the wait below ended for it: that may have ended for something older.
            let news = proxies.try_take();
            is_translated |= news.is_some();
            let changed: Vec<GatewayName> = news.iter().flat_map(|news| news.keys().cloned()).collect();
            for (gateway, proxy) in news.into_iter().flatten() {
                match proxy {
                    Some(proxy) => drop(known.insert(gateway, proxy)),
                    None => drop(known.remove(&gateway)),
                }
            }
            let newest = bundle.borrow_and_update().as_ref().map(|ca| ca.pem().to_owned());
            if let (true, Some(newest)) = (is_translated, &newest) {
                // All, when there is something new for all; else what changed.
                let all = (wanted.is_none() || ca.as_ref() != Some(newest))
                    .then(|| known.keys().cloned().collect());
                let current = wanted.get_or_insert_with(Wanted::default);
                for gateway in all.unwrap_or(changed) {
                    current.set(&gateway, known.get(&gateway).map(|proxy| &**proxy), &settings, newest);
                }
                ca = Some(newest.clone());
            }
            let leads = leadership.borrow_and_update().is_leader();
            if let (true, Some(wanted)) = (leads, &wanted) {
                let holds = || !proxies.has_news() && !has_news(&bundle) && leadership.borrow().is_leader();
                let pass = reconciler.reconcile(wanted, &holds).await;
                failures.send_if_modified(|current| {
                    let is_new = current != reconciler.failures();
                    current.clone_from(reconciler.failures());
                    is_new
                });
                match pass {
                    Pass::Done => backoff.reset(),
                    Pass::Failed => retry_at = Some(Instant::now() + backoff.next()),
                    // When the lease is over, `leads` says so the next time.
                    Pass::Outdated => continue,
                }
            } else if !leads {
                // Another one has written since.
                reconciler.forget_applied();
            }
            tokio::select! {
                Some(observation) = observations.recv() => reconciler.observe(observation),
                is_open = proxies.changed() => if !is_open {
                    return;
                },
                Ok(()) = bundle.changed() => {}
                Ok(()) = leadership.changed() => {}
                () = wait_until(retry_at) => {}
            }
        }
    }
}

/// Whether a value is there that was not looked at yet.
fn has_news<T>(values: &channel::Receiver<T>) -> bool {
    values.has_changed().unwrap_or(false)
}

async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => pending().await,
    }
}
