//! The counterpart of the console in a cluster: brings together what was translated and what is known of the proxies,
//! for statuses, the admin port, metrics and the log. Prints nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::ObjectRef;
use ir::GatewayName;
use tokio::sync::watch;
use translator::Proxy;
use translator::status::Report;

use crate::admin::View;
use crate::deployer::kubernetes::{DeployFailures, ProxyHealth};
use crate::fleet::Heard;
use crate::mailbox;
use crate::overlay::Overlays;
use crate::refusal::{self, Refusals};
use crate::source::{Finding, SharedOrigins};
use crate::spending::{Accounts, Spends};
use crate::status::Style;
use crate::telemetry::Metrics;
use crate::telling::Telling;

/// Reports what changes.
pub(crate) struct Reporter {
    telling: Telling,
    /// What statuses shall say.
    told: mailbox::Sender<ObjectRef, Option<Arc<Report>>>,
    /// What our own Envoys refuse, for the other replicas.
    heard: watch::Sender<Refusals>,
    /// Every Gateway that is served.
    proxies: BTreeMap<GatewayName, Arc<Proxy>>,
    is_published: bool,
}

/// What the reporter follows.
pub(crate) struct Followed {
    /// What was translated.
    pub(crate) reports: mailbox::Receiver<ObjectRef, Option<Arc<Report>>>,
    /// Which proxies there should be.
    pub(crate) proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>,
    /// What there is to say about the places that objects come from.
    pub(crate) findings: watch::Receiver<Arc<Vec<Finding>>>,
    /// What the first translation waits for.
    pub(crate) waiting_for: watch::Receiver<Vec<String>>,
    /// What our Envoys say.
    pub(crate) heard: watch::Receiver<Arc<Heard>>,
    /// What the other replicas heard.
    pub(crate) elsewhere: watch::Receiver<Refusals>,
    /// Which proxies cannot be made.
    pub(crate) failures: watch::Receiver<DeployFailures>,
    /// How those are that were made.
    pub(crate) health: watch::Receiver<ProxyHealth>,
    /// What is spent of Budgets.
    pub(crate) spends: watch::Receiver<Arc<Spends>>,
}

impl Reporter {
    /// Tells the admin port by `view`, the status writer by `told`, the other replicas by `heard`, and by `accounts` where it
    /// is written down what is spent of Budgets.
    pub(crate) fn new(
        view: watch::Sender<View>,
        told: mailbox::Sender<ObjectRef, Option<Arc<Report>>>,
        metrics: Metrics,
        heard: watch::Sender<Refusals>,
        accounts: watch::Sender<Arc<Accounts>>,
    ) -> Self {
        // They go into the log at this level.
        let style = tracing::enabled!(tracing::Level::DEBUG).then_some(Style::Ascii);
        let telling = Telling::new(view, metrics, accounts, style, SharedOrigins::default());
        Self { telling, told, heard, proxies: BTreeMap::new(), is_published: false }
    }

    /// Reports until nothing is published any more.
    pub(crate) async fn run(mut self, mut followed: Followed) {
        loop {
            self.look(&mut followed);
            let Followed {
                reports,
                proxies,
                findings,
                waiting_for,
                heard,
                elsewhere,
                failures,
                health,
                spends,
            } = &mut followed;
            tokio::select! {
                changed = reports.take() => match changed {
                    Some(changed) => {
                        self.is_published = true;
                        self.telling.take(changed);
                    }
                    None => return,
                },
                Some(changed) = proxies.take() => self.take_proxies(changed),
                Ok(()) = findings.changed() => {}
                Ok(()) = waiting_for.changed() => {}
                Ok(()) = heard.changed() => {}
                Ok(()) = elsewhere.changed() => {}
                Ok(()) = failures.changed() => {}
                Ok(()) = health.changed() => {}
                Ok(()) = spends.changed() => {}
            }
            // What was published together is told together.
            if let Some(changed) = followed.proxies.try_take() {
                self.take_proxies(changed);
            }
            if let Some(changed) = followed.reports.try_take() {
                self.is_published = true;
                self.telling.take(changed);
            }
        }
    }

    fn take_proxies(&mut self, changed: crate::pipeline::ProxyChanges) {
        for (gateway, proxy) in changed {
            match proxy {
                Some(proxy) if proxy.is_served => drop(self.proxies.insert(gateway, proxy)),
                _ => drop(self.proxies.remove(&gateway)),
            }
        }
    }

    fn look(&mut self, followed: &mut Followed) {
        let Followed { findings, waiting_for, heard, elsewhere, failures, health, spends, .. } = followed;
        self.telling.set_findings(&findings.borrow_and_update());
        let mut refused = heard.borrow_and_update().refused.clone();
        self.heard.send_if_modified(|before| {
            let is_new = *before != refused;
            before.clone_from(&refused);
            is_new
        });
        refusal::merge(&mut refused, &elsewhere.borrow_and_update());
        refused.retain(|gateway, _| self.proxies.contains_key(gateway));
        let failures = failures.borrow_and_update().clone();
        let unready = health.borrow_and_update().unready(&self.proxies);
        let waiting_for = waiting_for.borrow_and_update().clone();
        let spends = spends.borrow_and_update().clone();
        match unready {
            _ if !self.is_published && waiting_for.is_empty() => {
                self.telling.wait(vec!["the first translation".to_owned()]);
            }
            _ if !self.is_published => self.telling.wait(waiting_for),
            // To say that no proxy is ready because none was looked at yet would be wrong.
            None => self.telling.wait(vec!["the state of the proxies".to_owned()]),
            Some(unready) => {
                let silent = Default::default();
                self.telling.set_overlays(Overlays { refused, failures, unready, silent, spends });
                let (changed, lines) = self.telling.tell(self.proxies.len(), Vec::new());
                lines.iter().for_each(|line| tracing::debug!("{line}"));
                self.told.put(changed);
            }
        }
    }
}
