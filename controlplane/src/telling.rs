//! What the reporter of a cluster and the console of a machine have in common: the reports with what is known of the
//! proxies, the statuses that come of them, what is wrong in all, and the metrics of that.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::ObjectRef;
use tokio::sync::watch;
use translator::status::{BudgetFacts, Facts, Report};

use crate::admin::View;
use crate::by_object::ByObject;
use crate::clock;
use crate::finding_log::FindingLog;
use crate::overlay::{Overlays, Sets, note_set};
use crate::pipeline::ReportChanges;
use crate::source::{Finding, Severity, SharedOrigins};
use crate::spending::Accounts;
use crate::status::{SharedStatuses, Style, lock};
use crate::telemetry::Metrics;

/// Keeps what there is to tell.
pub(crate) struct Telling {
    /// As translated.
    reports: ByObject<Arc<Report>>,
    /// The ListenerSets among them that add listeners to a Gateway.
    sets: Sets,
    overlays: Overlays,
    /// Objects whose report may be another than was told.
    changed: BTreeSet<ObjectRef>,
    findings: Arc<Vec<Finding>>,
    finding_log: FindingLog,
    statuses: SharedStatuses,
    /// The accounts of Budgets, for whoever looks them up.
    accounts: watch::Sender<Arc<Accounts>>,
    view: watch::Sender<View>,
    metrics: Metrics,
    /// How lines are written; `None` if nobody reads them.
    style: Option<Style>,
    /// Where the objects stand, if they come from files.
    origins: SharedOrigins,
}

impl Telling {
    /// Nothing is told yet.
    pub(crate) fn new(
        view: watch::Sender<View>,
        metrics: Metrics,
        accounts: watch::Sender<Arc<Accounts>>,
        style: Option<Style>,
        origins: SharedOrigins,
    ) -> Self {
        let statuses = view.borrow().statuses.clone();
        Self {
            reports: ByObject::default(),
            sets: Sets::new(),
            overlays: Overlays::default(),
            changed: BTreeSet::new(),
            findings: Arc::default(),
            finding_log: FindingLog::default(),
            statuses,
            accounts,
            view,
            metrics,
            style,
            origins,
        }
    }

    /// Takes newer reports in.
    pub(crate) fn take(&mut self, reports: ReportChanges) {
        for (object, report) in reports {
            note_set(&mut self.sets, &object, report.as_deref());
            self.note_accounts(&object, report.as_deref());
            match report {
                Some(report) => drop(self.reports.insert(report)),
                None => drop(self.reports.remove(&object)),
            }
            self.changed.insert(object);
        }
    }

    /// Takes in the accounts of a Budget.
    fn note_accounts(&self, object: &ObjectRef, report: Option<&Report>) {
        let accounts = match report.map(|report| &report.facts) {
            Some(Facts::Budget(BudgetFacts { accounts, .. })) => accounts.clone(),
            _ => None,
        };
        self.accounts.send_if_modified(|all| {
            if all.get(object) == accounts.as_ref() {
                return false;
            }
            let all = Arc::make_mut(all);
            match accounts {
                Some(accounts) => drop(all.insert(object.clone(), accounts)),
                None => drop(all.remove(object)),
            }
            true
        });
    }

    /// Takes in what is known of the proxies.
    pub(crate) fn set_overlays(&mut self, overlays: Overlays) {
        if overlays != self.overlays {
            self.changed.extend(overlays.differing(&self.overlays, &self.sets));
            self.overlays = overlays;
        }
    }

    /// Takes in what there is to say about the places that objects come from.
    pub(crate) fn set_findings(&mut self, findings: &Arc<Vec<Finding>>) {
        if !Arc::ptr_eq(findings, &self.findings) {
            self.finding_log.tell(findings);
            self.findings = findings.clone();
        }
    }

    /// The reports that are another, and a line for each part of an object whose status is.
    pub(crate) fn tell(&mut self, gateways: usize, waiting_for: Vec<String>) -> (ReportChanges, Vec<String>) {
        let changed = std::mem::take(&mut self.changed).into_iter().map(|object| {
            let report = self.reports.get(&object).and_then(|report| self.overlays.apply(report, &self.sets));
            (object, report)
        });
        let changed: ReportChanges = changed.collect();
        let (lines, problems) = {
            let mut statuses = lock(&self.statuses);
            let lines = statuses.update(&changed, &clock::now(), self.style, &self.origins.now());
            (lines, statuses.problem_count())
        };
        let of_places = self.findings.iter().filter(|finding| finding.severity == Severity::Problem);
        let of_places: Vec<String> = of_places.map(ToString::to_string).collect();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.input_problems.set(count(of_places.len() + problems));
        self.metrics.gateways.set(count(gateways));
        self.show(waiting_for, of_places);
        (changed, lines)
    }

    /// Says what is waited for.
    pub(crate) fn wait(&self, waiting_for: Vec<String>) {
        let problems = self.view.borrow().problems.clone();
        self.show(waiting_for, problems);
    }

    fn show(&self, waiting_for: Vec<String>, problems: Vec<String>) {
        self.view.send_if_modified(|view| {
            let is_new = (&view.waiting_for, &view.problems) != (&waiting_for, &problems);
            if is_new {
                view.waiting_for = waiting_for;
                view.problems = problems;
            }
            is_new
        });
    }
}
