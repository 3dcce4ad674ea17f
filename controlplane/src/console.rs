//! Tells a person what is served, and what is wrong, whenever it changes; and keeps what the admin
//! port shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use ir::GatewayName;
use tokio::sync::{mpsc, watch};
use xds::{ClientEvent, SnapshotCache};

use crate::admin::View;
use crate::clock;
use crate::fleet::Fleet;
use crate::pipeline::Output;
use crate::publish::node_group;
use crate::source::{Finding, Severity};
use crate::status::{Statuses, Style, with_rejections};
use crate::table::render_table;
use crate::telemetry::Metrics;

/// Tells and keeps what changes.
#[derive(Debug)]
pub struct Console {
    cache: SnapshotCache,
    view: watch::Sender<View>,
    metrics: Metrics,
    style: Style,
    fleet: Fleet,
    statuses: Statuses,
    findings: Vec<Finding>,
    table: String,
    /// Gateways whose Envoy has had its say about something: they have been served since.
    served: BTreeSet<GatewayName>,
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
            findings: Vec::new(),
            table: String::new(),
            served: BTreeSet::new(),
        }
    }

    /// Tells until the pipeline ends.
    pub async fn run(
        mut self,
        mut outputs: watch::Receiver<Option<Arc<Output>>>,
        mut events: mpsc::UnboundedReceiver<ClientEvent>,
    ) {
        loop {
            tokio::select! {
                changed = outputs.changed() => if changed.is_err() { return },
                Some(event) = events.recv() => {
                    self.fleet.on_event(event);
                    while let Ok(event) = events.try_recv() {
                        self.fleet.on_event(event);
                    }
                }
            }
            let output = outputs.borrow_and_update().clone();
            if let Some(output) = output {
                self.tell(&output);
            }
        }
    }

    fn tell(&mut self, output: &Output) {
        let Output { translation, findings } = output;
        self.tell_findings(findings);
        let names = || translation.gateways.keys();
        let rejections: BTreeMap<_, _> = names().map(|name| (name.clone(), self.fleet.rejections(name))).collect();
        let reports = with_rejections(&translation.reports, &rejections);
        let mut text = String::new();
        for line in self.statuses.update(&reports, &clock::now(), self.style) {
            text += &format!("{line}\n");
        }
        let waiting: Vec<GatewayName> = names().filter(|name| !self.has_all(name)).cloned().collect();
        let settled = names().filter(|name| !waiting.contains(name) || !rejections[*name].is_empty());
        self.served.extend(settled.cloned());
        self.served.retain(|name| translation.gateways.contains_key(name));
        if self.served.len() == translation.gateways.len() {
            let table = render_table(&translation.gateways);
            if table != self.table {
                text += &if table.is_empty() { "nothing is served\n".to_owned() } else { format!("\n{table}\n") };
                self.table = table;
            }
        }
        // A closed pipe is no reason to stop serving.
        let _ = io::stdout().lock().write_all(text.as_bytes());

        let object_problems = reports.iter().flat_map(translator::status::Report::problems);
        let file_problems = findings.iter().filter(|finding| finding.severity == Severity::Problem);
        let problems: Vec<String> =
            file_problems.map(ToString::to_string).chain(object_problems.map(|problem| problem.to_string())).collect();
        self.metrics.input_problems.set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        self.metrics.gateways.set(i64::try_from(translation.gateways.len()).unwrap_or(i64::MAX));
        self.view.send_replace(View {
            waiting_for: waiting.iter().map(ToString::to_string).collect(),
            statuses: self.statuses.rendered().clone(),
            problems,
        });
    }

    /// Whether the Gateway's Envoy has everything.
    fn has_all(&self, gateway: &GatewayName) -> bool {
        let snapshot = self.cache.snapshot_of(&node_group(gateway));
        snapshot.is_some_and(|snapshot| self.fleet.has(gateway, &snapshot))
    }

    /// Says each finding once, and when it is gone.
    fn tell_findings(&mut self, findings: &[Finding]) {
        for finding in findings.iter().filter(|finding| !self.findings.contains(finding)) {
            match finding.severity {
                Severity::Problem => tracing::warn!("{finding}"),
                Severity::Notice => tracing::info!("{finding}"),
            }
        }
        let is_problem = |finding: &&Finding| finding.severity == Severity::Problem;
        let places: BTreeSet<_> = findings.iter().filter(is_problem).map(|finding| &finding.place.file).collect();
        let repaired: BTreeSet<_> =
            self.findings.iter().filter(is_problem).map(|finding| &finding.place.file).filter(|file| !places.contains(file)).collect();
        for file in repaired {
            tracing::info!("{}: all good again", file.display());
        }
        self.findings = findings.to_vec();
    }
}
