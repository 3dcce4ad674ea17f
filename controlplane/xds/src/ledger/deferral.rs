//! Resources that the client cannot use yet, and that are sent again until it can.
//!
//! A cluster may have a filter, and a listener may name one, that is a dynamic module which Envoy has to fetch first. With `nack_on_cache_miss`
//! Envoy refuses such a resource, fetches the module in the background, and takes the resource when it is sent once more
//! after that. (Without it, requests would pass without the filter until the module is there, or for good.) So this
//! refusal is no fault of the resource: it counts as refused only until it is due again, and is reported only if that
//! goes on for longer than [`Settings::not_ready_patience`]. Filters that listeners name do not come to that, see
//! [`crate::session`].
//!
//! A listener whose port another program has is likewise no fault of the listener, and Envoy does not try again by
//! itself. It is reported at once, since a person has to do something about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Ledger;
use super::answer::places;
use crate::resource_type::ResourceType;
use crate::session::Settings;

/// What Envoy says of a cluster whose module it is fetching.
const NOT_READY: &str = "Remote module not cached";

/// What Envoy says of a listener whose port it cannot have.
const CANNOT_BIND: &str = "cannot bind";

/// What a rejection says is not ready.
#[derive(Debug, Default)]
pub(crate) struct NotReady {
    /// All of it.
    pub(crate) names: BTreeSet<Arc<str>>,
    /// Those of them that have not been ready for too long, and of which that is now to be reported.
    pub(crate) overdue: BTreeSet<Arc<str>>,
}

/// The clusters that are sent again.
#[derive(Debug)]
pub(super) struct Deferrals {
    settings: Settings,
    by_name: BTreeMap<Arc<str>, Deferral>,
}

#[derive(Debug)]
struct Deferral {
    /// When it was refused first.
    since: Instant,
    /// How often it was refused.
    attempts: u32,
    /// When it is to be sent again; `None` once that is under way.
    due: Option<Instant>,
    /// Whether listeners and routes wait for it.
    is_awaited: bool,
    /// Whether it was reported.
    is_reported: bool,
}

impl Deferrals {
    pub(super) fn new(kind: ResourceType, settings: Settings) -> Self {
        let not_ready_patience = match kind {
            ResourceType::Listener => Duration::ZERO,
            _ => settings.not_ready_patience,
        };
        Self { settings: Settings { not_ready_patience, ..settings }, by_name: BTreeMap::new() }
    }

    /// Takes note that the client cannot use a resource yet. Returns whether that is to be reported now.
    pub(super) fn defer(&mut self, name: &Arc<str>, now: Instant) -> bool {
        let Settings { gate_timeout, resend_delay, max_resend_delay, not_ready_patience, .. } = self.settings;
        let new = Deferral { since: now, attempts: 0, due: None, is_awaited: true, is_reported: false };
        let deferral = self.by_name.entry(name.clone()).or_insert(new);
        let delay =
            resend_delay.saturating_mul(2_u32.saturating_pow(deferral.attempts)).min(max_resend_delay);
        deferral.attempts = deferral.attempts.saturating_add(1);
        deferral.due = Some(now + delay);
        let age = now.saturating_duration_since(deferral.since);
        deferral.is_awaited = age < gate_timeout;
        age >= not_ready_patience && !std::mem::replace(&mut deferral.is_reported, age >= not_ready_patience)
    }

    /// Ends it: the client has the resource, another version of it is there, or it is wanted no more.
    pub(super) fn end(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Whether the client cannot use it yet.
    pub(super) fn has(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Takes what is due.
    fn take_due(&mut self, now: Instant) -> Vec<Arc<str>> {
        let is_due = |deferral: &Deferral| deferral.due.is_some_and(|due| due <= now);
        let due = self.by_name.iter_mut().filter(|(_, deferral)| is_due(deferral));
        due.map(|(name, deferral)| {
            deferral.due = None;
            name.clone()
        })
        .collect()
    }
}

impl Ledger {
    /// Those of the culprits of which `message` says that the client cannot use them yet.
    pub(super) fn not_ready(&self, culprits: &BTreeSet<Arc<str>>, message: &str) -> BTreeSet<Arc<str>> {
        let sign = if self.kind == ResourceType::Listener { CANNOT_BIND } else { NOT_READY };
        if !self.kind.may_be_early() || !message.contains(sign) {
            return BTreeSet::new();
        }
        let parts = parts(message, culprits);
        if parts.is_empty() {
            // It names none, and so it is about all of them.
            return culprits.clone();
        }
        let said = parts.into_iter().filter(|(_, part)| part.contains(sign));
        said.map(|(name, _)| name).collect()
    }

    /// Whether listeners and routes are to wait for a cluster that the client cannot use yet; `None` if there is no
    /// such cluster of that name.
    pub(crate) fn awaits_again(&self, name: &str) -> Option<bool> {
        self.deferrals.by_name.get(name).map(|deferral| deferral.is_awaited)
    }

    /// Has those sent again that are due. Costs as much as there are that the client cannot use yet.
    pub(crate) fn resume_deferred(&mut self, now: Instant) {
        for name in self.deferrals.take_due(now) {
            self.rejected.remove(&name);
            self.touch(&name);
        }
    }

    /// When the next one is due.
    pub(crate) fn deferred_until(&self) -> Option<Instant> {
        self.deferrals.by_name.values().filter_map(|deferral| deferral.due).min()
    }
}

/// A message in parts: from each place where it names a resource to the next.
fn parts<'a>(message: &'a str, names: &BTreeSet<Arc<str>>) -> Vec<(Arc<str>, &'a str)> {
    let mut starts: Vec<(usize, &Arc<str>)> =
        names.iter().flat_map(|name| places(message, name).map(move |at| (at, name))).collect();
    starts.sort();
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([message.len()]);
    let parts = starts.iter().zip(ends);
    parts.map(|(&(start, name), end)| (name.clone(), message.get(start..end).unwrap_or_default())).collect()
}

/// What `message` says of these resources and no others of `all`.
pub(crate) fn words_about(message: &str, names: &BTreeSet<Arc<str>>, all: &BTreeSet<Arc<str>>) -> String {
    let said = parts(message, all).into_iter().filter(|(name, _)| names.contains(name));
    let said: Vec<&str> = said.map(|(_, part)| part.trim_end_matches([',', ' ', '\n'])).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<Arc<str>> {
        names.iter().map(|name| Arc::from(*name)).collect()
    }

    #[test]
    fn what_is_said_of_one_cluster_is_not_said_of_its_neighbour() {
        let message = "Error adding/updating cluster(s) a: Remote module not cached; background fetch in progress. \
                       SHA256: 00, a-b: no such filter, c: Remote module not cached; SHA256: 00";
        let all = names(&["a", "a-b", "c"]);
        let ledger = |kind| Ledger::new(kind, false, Settings::default());
        let not_ready = ledger(ResourceType::Cluster).not_ready(&all, message);
        assert_eq!(not_ready, names(&["a", "c"]));
        assert_eq!(words_about(message, &names(&["a-b"]), &all), "a-b: no such filter");
        assert!(
            ledger(ResourceType::Listener).not_ready(&all, message).is_empty(),
            "a listener holds no module"
        );
        let extension = ledger(ResourceType::Extension).not_ready(&names(&["f"]), "Remote module not cached");
        assert_eq!(extension, names(&["f"]), "a filter that listeners name is sent again");
        let unnamed = ledger(ResourceType::Cluster).not_ready(&all, "Remote module not cached");
        assert_eq!(unnamed, all, "a message that names none is about all");
    }

    #[test]
    fn a_port_that_another_program_has_is_tried_again_and_reported_at_once() {
        let message = "Error adding/updating listener(s) http/80: cannot bind '127.0.0.1:80': Address already in use\n\
                       http/81: no such filter";
        let ledger = Ledger::new(ResourceType::Listener, false, Settings::default());
        assert_eq!(ledger.not_ready(&names(&["http/80", "http/81"]), message), names(&["http/80"]));
        let mut deferrals = Deferrals::new(ResourceType::Listener, Settings::default());
        let now = Instant::now();
        assert!(deferrals.defer(&Arc::from("http/80"), now), "it is reported");
        assert!(!deferrals.defer(&Arc::from("http/80"), now), "and only once");
    }

    #[test]
    fn delays_grow_to_a_limit_and_what_lasts_is_reported_once() {
        let settings = Settings::default();
        let (mut deferrals, name, mut now) =
            (Deferrals::new(ResourceType::Cluster, settings), Arc::from("a"), Instant::now());
        let began = now;
        let (mut delays, mut reports) = (Vec::new(), Vec::new());
        while now.duration_since(began) < settings.not_ready_patience * 2 {
            if deferrals.defer(&name, now) {
                reports.push(now);
            }
            let due = deferrals.by_name[&name].due.unwrap();
            assert!(deferrals.take_due(now).is_empty(), "not before its time");
            assert_eq!(deferrals.take_due(due), std::slice::from_ref(&name));
            assert!(deferrals.take_due(due).is_empty(), "it is on its way");
            delays.push((due - now).as_millis());
            now = due;
        }
        assert_eq!(delays[..7], [100, 200, 400, 800, 1600, 3200, 5000]);
        assert!(delays[7..].iter().all(|delay| *delay == 5000), "{delays:?}");
        assert_eq!(reports.len(), 1);
        assert!(reports[0] - began >= settings.not_ready_patience);
        deferrals.end("a");
        assert!(!deferrals.defer(&name, now), "it begins anew");
    }
}
