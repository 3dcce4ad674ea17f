//! Tells a person what is served, and what is wrong, whenever it changes; and keeps what the admin
//! port shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use ir::GatewayName;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use translator::Translation;
use xds::{ClientEvent, SnapshotCache};

use crate::admin::View;
use crate::clock;
use crate::finding_log::FindingLog;
use crate::fleet::Fleet;
use crate::pipeline::Output;
use crate::publish::node_group;
use crate::source::{Finding, Severity};
use crate::status::{Statuses, Style, gateway_of, with_rejections};
use crate::table::render_table;
use crate::telemetry::Metrics;

/// How long the table waits for proxies that say nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tells and keeps what changes.
#[derive(Debug)]
pub struct Console {
    cache: SnapshotCache,
    view: watch::Sender<View>,
    metrics: Metrics,
    style: Style,
    fleet: Fleet,
    statuses: Statuses,
    findings: FindingLog,
    /// What was printed last.
    table: Option<String>,
    /// Gateways whose Envoy has taken or refused what it was sent at least once.
    heard: BTreeSet<GatewayName>,
}

impl Console {
    /// A console that has told nothing.
    pub fn new(cache: SnapshotCache, view: watch::Sender<View>, metrics: Metrics) -> Self {
        let style = if io::stdout().is_terminal() { Style::Unicode } else { Style::Ascii };
        Self {
            cache,
            view,
            metrics,
            style,
            fleet: Fleet::default(),
            statuses: Statuses::default(),
            findings: FindingLog::default(),
            table: None,
            heard: BTreeSet::new(),
        }
    }

    /// Tells until nothing is published any more. `outputs` are those that are published already.
    pub async fn run(
        mut self,
        mut outputs: watch::Receiver<Option<Arc<Output>>>,
        mut events: mpsc::UnboundedReceiver<ClientEvent>,
    ) {
        let mut is_patient = true;
        let mut patience = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                changed = outputs.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    is_patient = true;
                    patience = Instant::now() + PATIENCE;
                }
                Some(event) = events.recv() => {
                    self.fleet.on_event(event);
                    while let Ok(event) = events.try_recv() {
                        self.fleet.on_event(event);
                    }
                }
                () = sleep_until(patience), if is_patient => is_patient = false,
            }
            let output = outputs.borrow_and_update().clone();
            if let Some(output) = output {
                self.tell(&output, is_patient);
            }
        }
    }

    /// Tells what is new. A patient console has no table until every Gateway's proxy was heard.
    fn tell(&mut self, output: &Output, is_patient: bool) {
        let Output { translation, findings } = output;
        self.findings.tell(findings);
        let names = || translation.gateways.keys();
        let refused: BTreeMap<_, _> =
            names().map(|name| (name.clone(), self.fleet.rejections(name))).collect();
        // A proxy that refuses something has answered: its status says so, and there is no use in waiting.
        let is_heard = |name: &&GatewayName| self.has_all(name) || !refused[*name].is_empty();
        let (heard, waiting): (Vec<_>, Vec<_>) = names().partition(is_heard);
        self.heard.extend(heard.into_iter().cloned());
        self.heard.retain(|name| translation.gateways.contains_key(name));

        let mut reports = with_rejections(&translation.reports, &refused);
        // That a Gateway is programmed is said once its proxy says so.
        let is_silent =
            |name: &GatewayName| translation.gateways.contains_key(name) && !self.heard.contains(name);
        reports.retain(|report| !gateway_of(&report.object).is_some_and(|name| is_silent(&name)));
        let lines = self.statuses.update(&reports, &clock::now(), self.style);
        let mut text: String = lines.into_iter().map(|line| line + "\n").collect();
        if !is_patient || self.heard.len() == translation.gateways.len() {
            text += &self.new_table(translation);
        }
        // A closed pipe is no reason to stop serving.
        let _ = io::stdout().lock().write_all(text.as_bytes());
        self.show(findings, waiting);
    }

    /// The table, if it is another than before.
    fn new_table(&mut self, translation: &Translation) -> String {
        let heard = translation.gateways.iter().filter(|(name, _)| self.heard.contains(name));
        let table = render_table(heard, |name| self.fleet.refused_listeners(name));
        if self.table.as_ref() == Some(&table) {
            return String::new();
        }
        let text = if table.is_empty() { "nothing is served\n".to_owned() } else { format!("\n{table}\n") };
        self.table = Some(table);
        text
    }

    /// Brings the admin port and the metrics up to date.
    fn show(&self, findings: &[Finding], waiting: Vec<&GatewayName>) {
        let of_files = findings.iter().filter(|finding| finding.severity == Severity::Problem);
        let problems: Vec<String> =
            of_files.map(ToString::to_string).chain(self.statuses.problems().cloned()).collect();
        self.metrics.input_problems.set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        self.metrics.gateways.set(i64::try_from(self.heard.len()).unwrap_or(i64::MAX));
        self.view.send_replace(View {
            waiting_for: waiting.into_iter().map(ToString::to_string).collect(),
            statuses: self.statuses.rendered(),
            problems,
        });
    }

    /// Whether the Gateway's Envoy has everything.
    fn has_all(&self, gateway: &GatewayName) -> bool {
        let snapshot = self.cache.snapshot_of(&node_group(gateway));
        snapshot.is_some_and(|snapshot| self.fleet.has(gateway, &snapshot))
    }
}
