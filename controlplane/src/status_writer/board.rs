//! What every status shall say, what it says, and what has to be done about it. No IO; the time is
//! tokio's, so that tests can hold it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crds::core::Time;
use crds::{ObjectKey, ObjectRef};
use serde_json::Value;
use tokio::time::Instant;
use translator::status::Report;

use super::plan::plan;
use crate::backoff::Waits;
use crate::controller_name::ControllerName;
use crate::pipeline::ReportChanges;
use crate::source::kubernetes::Observed;

/// Two writes to one object are at least so far apart: the counts of a Gateway change with every route.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Between attempts to write one object.
const WAITS: Waits = Waits { first: Duration::from_millis(500), limit: Duration::from_secs(10) };

/// A status to write.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StatusUpdate {
    pub object: ObjectRef,
    /// The object that it is meant for, as it was seen.
    pub observed: Observed,
    pub status: Value,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// It is done; the object is so now.
    Written(Observed),
    /// The object is no longer as it was seen, but so.
    Conflict(Observed),
    /// There is no such object.
    Gone,
    /// Something else, in a few words.
    Failed(String),
}

/// The state of the writer.
#[derive(Debug)]
pub(super) struct Board {
    controller: ControllerName,
    entries: BTreeMap<ObjectKey, Entry>,
    /// Objects to look at, by the moment from which on.
    queue: BTreeSet<(Instant, ObjectKey)>,
    /// Whether anything was wanted yet; before, an object without a report says nothing.
    is_translated: bool,
}

/// There are as many as objects, nearly all at rest: what is here, each of them costs.
#[derive(Debug)]
struct Entry {
    observed: Option<Observed>,
    wanted: Option<Arc<Report>>,
    /// Its place in the queue.
    due: Option<Instant>,
    /// No write before.
    not_before: Instant,
    is_in_flight: bool,
    /// Attempts to write since the last that went well.
    failures: u32,
}

impl Board {
    pub(super) fn new(controller: ControllerName) -> Self {
        Self { controller, entries: BTreeMap::new(), queue: BTreeSet::new(), is_translated: false }
    }

    /// As whom statuses are written.
    pub(super) fn controller(&self) -> &ControllerName {
        &self.controller
    }

    /// Takes in how an object is; `None` if it is gone.
    pub(super) fn observe(&mut self, object: ObjectKey, observed: Option<Observed>) {
        let entry = self.entries.entry(object.clone()).or_insert_with(Entry::new);
        let is_older = match (&entry.observed, &observed) {
            (Some(known), Some(news)) => known.uid == news.uid && version(known) > version(news),
            _ => false,
        };
        // News of a time before our own last write, still on its way through the watch.
        if is_older {
            return;
        }
        entry.observed = observed;
        entry.compact(&self.controller);
        self.look_at(object);
    }

    /// Takes in what some statuses shall say from now on; the first time, what all shall say.
    pub(super) fn want(&mut self, reports: ReportChanges) {
        let first = !std::mem::replace(&mut self.is_translated, true);
        if first {
            // Objects without a report may hold words of ours that are no longer true.
            let known: Vec<ObjectKey> = self.entries.keys().cloned().collect();
            known.into_iter().for_each(|object| self.look_at(object));
        }
        for (object, report) in reports {
            let Some(object) = ObjectKey::find(&object) else { continue };
            if report.is_none() && !self.entries.contains_key(&object) {
                continue;
            }
            let entry = self.entries.entry(object.clone()).or_insert_with(Entry::new);
            if entry.wanted != report {
                entry.wanted = report;
                entry.compact(&self.controller);
                self.look_at(object);
            }
        }
    }

    /// The next status to write; it counts as being written from then on.
    pub(super) fn next_update(&mut self, now: &Time) -> Option<StatusUpdate> {
        while let Some((due, object)) = self.queue.first().cloned() {
            if due > Instant::now() {
                return None;
            }
            self.queue.pop_first();
            let Some(entry) = self.entries.get_mut(&object) else { continue };
            entry.due = None;
            let Some(observed) = entry.observed.clone() else {
                if entry.wanted.is_none() {
                    self.entries.remove(&object);
                }
                continue;
            };
            let object = object.to_ref();
            let status = plan(&object, entry.wanted.as_deref(), &observed, &self.controller, now);
            if let Some(status) = status {
                entry.is_in_flight = true;
                return Some(StatusUpdate { object, observed, status });
            }
        }
        None
    }

    /// When to ask for [`Self::next_update`] again, if nothing happens before.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes in what became of a write.
    pub(super) fn done(&mut self, object: ObjectRef, outcome: Outcome) {
        let Some(object) = ObjectKey::find(&object) else { return };
        let Some(entry) = self.entries.get_mut(&object) else { return };
        entry.is_in_flight = false;
        let now = Instant::now();
        match outcome {
            Outcome::Written(observed) => {
                entry.failures = 0;
                entry.not_before = now + WRITE_INTERVAL;
                entry.observed = Some(observed);
                entry.compact(&self.controller);
            }
            Outcome::Conflict(observed) => {
                // Somebody else writes too: at once the first time, then with growing patience.
                let is_first = entry.failures == 0;
                let wait = entry.next_wait();
                entry.not_before = if is_first { now } else { now + wait };
                entry.observed = Some(observed);
            }
            Outcome::Gone => entry.observed = None,
            Outcome::Failed(_) => entry.not_before = now + entry.next_wait(),
        }
        self.look_at(object);
    }

    /// Writes under way were given up; whether they were done is seen from what is observed.
    pub(super) fn abandon_writes(&mut self) {
        let abandoned = self.entries.iter_mut().filter(|(_, entry)| entry.is_in_flight);
        let abandoned: Vec<ObjectKey> = abandoned
            .map(|(object, entry)| {
                entry.is_in_flight = false;
                object.clone()
            })
            .collect();
        abandoned.into_iter().for_each(|object| self.look_at(object));
    }

    /// Puts the object into the queue. While it is being written it waits for the end of that.
    fn look_at(&mut self, object: ObjectKey) {
        let is_translated = self.is_translated;
        let Some(entry) = self.entries.get_mut(&object) else { return };
        if entry.is_in_flight || !is_translated {
            return;
        }
        if let Some(due) = entry.due.take() {
            self.queue.remove(&(due, object.clone()));
        }
        let due = entry.not_before;
        entry.due = Some(due);
        self.queue.insert((due, object));
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            observed: None,
            wanted: None,
            due: None,
            not_before: Instant::now(),
            is_in_flight: false,
            failures: 0,
        }
    }

    /// How long to wait after one more failure.
    fn next_wait(&mut self) -> Duration {
        let wait = WAITS.after(self.failures);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// An object at rest says what it shall, and that is kept once.
    fn compact(&mut self, controller: &str) {
        if let Some(status) = self.observed.as_mut().and_then(|observed| observed.status.as_mut()) {
            status.compact(self.wanted.as_ref(), controller);
        }
    }
}

/// The number in a resource version; comparable among versions of one object.
fn version(observed: &Observed) -> Option<u64> {
    observed.resource_version.parse().ok()
}
