//! Tells a person what is served, and what is wrong, whenever it changes; and keeps what the admin
//! port shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use crds::ObjectRef;
use ir::GatewayName;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use translator::Proxy;
use translator::status::Report;

use crate::admin::View;
use crate::diagnosis;
use crate::fleet::Heard;
use crate::mailbox;
use crate::overlay::Overlays;
use crate::pipeline::{ProxyChanges, Served};
use crate::source::{Finding, SharedOrigins};
use crate::spending::{Accounts, Spends};
use crate::status::Style;
use crate::table::{render_ai_routes, render_table};
use crate::telemetry::Metrics;
use crate::telling::Telling;

/// How long the table waits for proxies that say nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells and keeps what changes.
pub(crate) struct Console {
    telling: Telling,
    proxies: BTreeMap<GatewayName, Arc<Proxy>>,
    /// What was printed last.
    table: Option<String>,
    /// Gateways whose Envoy has taken or refused what it was sent at least once.
    heard: BTreeSet<GatewayName>,
    is_published: bool,
    /// Where the objects stand.
    origins: SharedOrigins,
    /// What was said of Services without endpoints.
    unreachable: Vec<Finding>,
}

/// What the console follows.
pub(crate) struct Followed {
    /// What was translated.
    pub(crate) reports: mailbox::Receiver<ObjectRef, Option<Arc<Report>>>,
    /// Which proxies there should be.
    pub(crate) proxies: mailbox::Receiver<GatewayName, Option<Arc<Proxy>>>,
    /// What there is to say about the files.
    pub(crate) findings: watch::Receiver<Arc<Vec<Finding>>>,
    /// What the Envoys say.
    pub(crate) heard: watch::Receiver<Arc<Heard>>,
    /// What is served.
    pub(crate) served: watch::Receiver<Arc<Served>>,
    /// What is spent of Budgets.
    pub(crate) spends: watch::Receiver<Arc<Spends>>,
}

impl Console {
    /// A console that has told nothing. It tells by `accounts` where it is written down what is spent of Budgets.
    pub(crate) fn new(
        view: watch::Sender<View>,
        metrics: Metrics,
        accounts: watch::Sender<Arc<Accounts>>,
        origins: SharedOrigins,
    ) -> Self {
        let style = if io::stdout().is_terminal() { Style::Unicode } else { Style::Ascii };
        Self {
            telling: Telling::new(view, metrics, accounts, Some(style), origins.clone()),
            proxies: BTreeMap::new(),
            table: None,
            heard: BTreeSet::new(),
            is_published: false,
            origins,
            unreachable: Vec::new(),
        }
    }

    /// Tells until nothing is published any more.
    pub(crate) async fn run(mut self, mut followed: Followed) {
        let mut is_patient = true;
        let mut patience = Instant::now() + PATIENCE;
        loop {
            let Followed { reports, heard, spends, .. } = &mut followed;
            tokio::select! {
                changed = reports.take() => {
                    let Some(changed) = changed else { return };
                    self.telling.take(changed);
                    self.is_published = true;
                    is_patient = true;
                    patience = Instant::now() + PATIENCE;
                }
                Ok(()) = heard.changed() => {}
                Ok(()) = spends.changed() => {}
                () = sleep_until(patience), if is_patient => is_patient = false,
            }
            if let Some(changed) = followed.proxies.try_take() {
                self.take_proxies(changed);
            }
            if self.is_published {
                self.tell(&mut followed, is_patient);
            }
        }
    }

    fn take_proxies(&mut self, changed: ProxyChanges) {
        for (gateway, proxy) in changed {
            match proxy {
                Some(proxy) if proxy.is_served => drop(self.proxies.insert(gateway, proxy)),
                _ => drop(self.proxies.remove(&gateway)),
            }
        }
    }

    /// Tells what is new. A patient console has no table until every Gateway's proxy was heard.
    fn tell(&mut self, followed: &mut Followed, is_patient: bool) {
        self.telling.set_findings(&followed.findings.borrow_and_update());
        let Heard { complete, mut refused } = Heard::clone(&followed.heard.borrow_and_update());
        refused.retain(|name, _| self.proxies.contains_key(name));
        // A proxy that refuses something has answered: its status says so, and there is no use in waiting.
        let is_heard = |name: &&GatewayName| complete.contains(*name) || refused.contains_key(*name);
        let (heard, waiting): (Vec<_>, Vec<_>) = self.proxies.keys().partition(is_heard);
        let mut waiting: Vec<String> = waiting.into_iter().map(ToString::to_string).collect();
        waiting.extend(refused.iter().flat_map(|(name, refusals)| {
            let retried = refusals.iter().filter(|refusal| refusal.is_retried);
            retried.map(move |refusal| format!("{name}: {}", refusal.message))
        }));
        self.heard.extend(heard.into_iter().cloned());
        self.heard.retain(|name| self.proxies.contains_key(name));

        let silent = self.proxies.keys().filter(|name| !self.heard.contains(*name)).cloned().collect();
        let is_listener = |name: &GatewayName| -> BTreeSet<String> {
            let refused = refused.get(name).into_iter().flatten();
            refused.filter(|refusal| refusal.kind == "listener").map(|refusal| refusal.name.clone()).collect()
        };
        let served = followed.served.borrow_and_update().clone();
        let table = (!is_patient || self.heard.len() == self.proxies.len()).then(|| {
            let heard = served.listeners.iter().filter(|(name, _)| self.heard.contains(*name));
            let heard = heard
                .filter_map(|(name, listeners)| Some((name, &**self.proxies.get(name)?, &listeners[..])));
            let table = render_table(heard, is_listener);
            // Where nothing is served, no route is.
            let ai_routes =
                if table.is_empty() { String::new() } else { render_ai_routes(&served.ai_routes) };
            [table, ai_routes].into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
        });
        let spends = followed.spends.borrow_and_update().clone();
        let overlays = Overlays { refused, silent, spends, ..Overlays::default() };
        self.telling.set_overlays(overlays);
        let (_, lines) = self.telling.tell(self.heard.len(), waiting);
        let lines = lines.into_iter().chain(self.new_unreachable(&served));
        let mut text: String = lines.map(|line| line + "\n").collect();
        text += &table.map(|table| self.new_table(table)).unwrap_or_default();
        // A closed pipe is no reason to stop serving.
        let _ = io::stdout().lock().write_all(text.as_bytes());
    }

    /// What is new to say of Services without endpoints.
    fn new_unreachable(&mut self, served: &Served) -> Vec<String> {
        let services = served.without_endpoints.iter().cloned();
        let now = diagnosis::without_endpoints(services, &self.origins.now());
        let is_known =
            |finding: &Finding| self.unreachable.iter().any(|known| known.object == finding.object);
        let lines = now.iter().filter(|finding| !is_known(finding)).map(ToString::to_string).collect();
        self.unreachable = now;
        lines
    }

    /// The table, if it is another than before.
    fn new_table(&mut self, table: String) -> String {
        if self.table.as_ref() == Some(&table) {
            return String::new();
        }
        let text = if table.is_empty() { "nothing is served\n".to_owned() } else { format!("\n{table}\n") };
        self.table = Some(table);
        text
    }
}
