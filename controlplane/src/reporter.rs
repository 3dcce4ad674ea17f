//! The counterpart of the console in a cluster: brings together what was translated and what Envoys say
//! of it, for statuses, the admin port, metrics and the log. Prints nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::GatewayName;
use tokio::sync::{mpsc, watch};
use xds::ClientEvent;

use crate::admin::View;
use crate::clock;
use crate::deployer::kubernetes::{DeployFailures, ProxyHealth};
use crate::finding_log::FindingLog;
use crate::fleet::Fleet;
use crate::pipeline::Output;
use crate::refusals::{self, Refusals};
use crate::source::Severity;
use crate::status::{Statuses, Style, with_deploy_failures, with_rejections, with_unready};
use crate::status_writer::Reports;
use crate::telemetry::Metrics;

/// Reports what changes.
pub(crate) struct Reporter {
    view: watch::Sender<View>,
    reports: watch::Sender<Reports>,
    metrics: Metrics,
    /// What our own Envoys refuse, for the other replicas.
    heard: watch::Sender<Refusals>,
    fleet: Fleet,
    statuses: Statuses,
    findings: FindingLog,
    /// What was reported last.
    reported: Option<Inputs>,
}

/// All that a report is made of: while it is the same, so is the report. Envoys say more often than not what is
/// known already, and there may be thousands of objects to report on.
#[derive(PartialEq)]
struct Inputs {
    output: SameOutput,
    refused: Refusals,
    failures: DeployFailures,
    unready: BTreeMap<GatewayName, String>,
}

/// What the deployer knows of the proxies.
pub(crate) struct Deployed {
    /// Which cannot be made.
    pub(crate) failures: watch::Receiver<DeployFailures>,
    /// How those are that were made.
    pub(crate) health: watch::Receiver<ProxyHealth>,
}

/// Equal to itself alone: what is equal in content is not published twice.
struct SameOutput(Arc<Output>);

impl PartialEq for SameOutput {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Reporter {
    /// Tells the admin port by `view`, the status writer by `reports`, and the other replicas by `heard`.
    pub(crate) fn new(
        view: watch::Sender<View>,
        reports: watch::Sender<Reports>,
        metrics: Metrics,
        heard: watch::Sender<Refusals>,
    ) -> Self {
        Self {
            view,
            reports,
            metrics,
            heard,
            fleet: Fleet::default(),
            statuses: Statuses::default(),
            findings: FindingLog::default(),
            reported: None,
        }
    }

    /// Reports until nothing is published any more. `outputs` are those that are published already;
    /// `waiting_for` says what the first of them waits for, `deployed` how the proxies are, `elsewhere` what the
    /// other replicas heard.
    pub(crate) async fn run(
        mut self,
        mut outputs: watch::Receiver<Option<Arc<Output>>>,
        mut events: mpsc::UnboundedReceiver<ClientEvent>,
        mut waiting_for: watch::Receiver<Vec<String>>,
        deployed: Deployed,
        mut elsewhere: watch::Receiver<Refusals>,
    ) {
        let Deployed { mut failures, mut health } = deployed;
        loop {
            let output = outputs.borrow_and_update().clone();
            let unready =
                output.as_ref().map(|output| health.borrow_and_update().unready(&output.translation));
            match (output, unready) {
                (Some(output), Some(Some(unready))) => {
                    let failures = failures.borrow_and_update().clone();
                    self.report(&output, failures, unready, &elsewhere.borrow_and_update());
                }
                // To say that no proxy is ready because none was looked at yet would be wrong.
                (Some(_), _) => self.wait(&["the state of the proxies".to_owned()]),
                (None, _) => self.wait(&waiting_for.borrow_and_update()),
            }
            tokio::select! {
                changed = outputs.changed() => if changed.is_err() {
                    return;
                },
                Some(event) = events.recv() => {
                    self.fleet.on_event(event);
                    while let Ok(event) = events.try_recv() {
                        self.fleet.on_event(event);
                    }
                }
                Ok(()) = waiting_for.changed() => {}
                Ok(()) = failures.changed() => {}
                Ok(()) = health.changed() => {}
                Ok(()) = elsewhere.changed() => {}
            }
        }
    }

    /// Before the first translation.
    fn wait(&self, waiting_for: &[String]) {
        let waiting_for = match waiting_for {
            [] => vec!["the first translation".to_owned()],
            kinds => kinds.to_vec(),
        };
        self.view.send_replace(View { waiting_for, ..View::default() });
    }

    fn report(
        &mut self,
        output: &Arc<Output>,
        failures: DeployFailures,
        unready: BTreeMap<GatewayName, String>,
        elsewhere: &Refusals,
    ) {
        let Output { translation, findings } = &**output;
        let of_gateway = |name: &GatewayName| (name.clone(), self.fleet.rejections(name));
        let heard = translation.gateways.keys().map(of_gateway).filter(|(_, lines)| !lines.is_empty());
        let mut refused: Refusals = heard.collect();
        self.heard.send_if_modified(|before| {
            let is_new = *before != refused;
            before.clone_from(&refused);
            is_new
        });
        refusals::merge(&mut refused, elsewhere);
        let is_plain = refused.is_empty() && failures.is_empty() && unready.is_empty();
        let inputs = Inputs { output: SameOutput(output.clone()), refused, failures, unready };
        if self.reported.as_ref() == Some(&inputs) {
            return;
        }
        self.findings.tell(findings);
        let Inputs { refused, failures, unready, .. } = &inputs;
        let reports = match is_plain {
            true => translation.reports.clone(),
            false => {
                let reports = with_deploy_failures(with_rejections(&translation.reports, refused), failures);
                Arc::new(with_unready(reports, unready))
            }
        };
        self.reported = Some(inputs);
        for line in self.statuses.update(&reports, &clock::now(), Style::Ascii) {
            tracing::debug!("{line}");
        }
        let of_places = findings.iter().filter(|finding| finding.severity == Severity::Problem);
        let problems: Vec<String> =
            of_places.map(ToString::to_string).chain(self.statuses.problems().cloned()).collect();
        self.metrics.input_problems.set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        self.metrics.gateways.set(i64::try_from(translation.gateways.len()).unwrap_or(i64::MAX));
        let statuses = self.statuses.rendered();
        self.view.send_replace(View { waiting_for: Vec::new(), statuses, problems });
        self.reports.send_if_modified(|sent| {
            let is_new = sent.as_deref() != Some(&reports);
            if is_new {
                *sent = Some(reports);
            }
            is_new
        });
    }
}
