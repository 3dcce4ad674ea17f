//! What to send on one stream, and when: the same for both protocols.
//!
//! A change of the snapshot is brought to the client as a **transaction** that never lets a route point at
//! something that cannot answer ("make before break"):
//!
//! ```text
//!  clusters added or changed ─► endpoints, secrets ─► (gate) ─► listeners ─► routes ─► (drain) ─► removals
//! ```
//! * The *gate* holds listeners and routes back until every cluster sent is acknowledged and so is what it
//!   [needs](crate::Resource::needs). Envoy withholds the acknowledgement of a cluster until it is warm, and a
//!   changed cluster is warmed anew, so its endpoints are sent again.
//! * The *drain* leaves what is gone in place until listeners and routes without it are acknowledged, plus a
//!   delay for requests in progress. A rejected listener or route may go on using it: then it stays.
//!
//! A filter that listeners name (ECDS) is not sent before it is known what the client makes of the clusters that it needs. Envoy
//! 1.40 takes a filter for the one that it has once it has refused it: sent again, it is accepted and not put into effect
//! (`FilterConfigSubscription::onConfigUpdate`). So one is never sent that would be refused only because something else is late.
//!
//! There is no queue of transactions. Each step compares what the client holds with the newest snapshot, so a
//! later snapshot simply joins in. Both waits are bounded, and endpoints and secrets never wait at all.

mod drain;
mod gate;
mod warming;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::warming::Warmings;
use crate::ledger::{Extent, Ledger, MAX_IN_FLIGHT, NotReady, Settled, Verdict, version_of, words_about};
use crate::observation::{Cause, Observation, Rejection};
use crate::resource::Resource;
use crate::resource_type::{PerType, ResourceType};
use crate::response::Response;
use crate::snapshot::Snapshot;
use crate::subscription::Change;
use crate::version::ResourceVersion;
use crate::words::words;

/// How patient a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long listeners and routes wait at most for new clusters (and routes for listeners) to be
    /// acknowledged.
    pub gate_timeout: Duration,
    /// How long a resource that is gone from the snapshot stays at the client after its last reference.
    pub drain_delay: Duration,
    /// How long to wait before a cluster that the client cannot use yet is sent again, at first; each time twice as
    /// long. Envoy says so of a cluster whose dynamic module it is still fetching.
    pub resend_delay: Duration,
    /// The longest of these waits.
    pub max_resend_delay: Duration,
    /// When a cluster that the client still cannot use is reported as rejected.
    pub not_ready_patience: Duration,
}

impl Default for Settings {
    /// 5 s and 2 s; 0.1 s to 5 s, and 30 s.
    fn default() -> Self {
        Self {
            gate_timeout: Duration::from_secs(5),
            drain_delay: Duration::from_secs(2),
            resend_delay: Duration::from_millis(100),
            max_resend_delay: Duration::from_secs(5),
            not_ready_patience: Duration::from_secs(30),
        }
    }
}

/// Which of the two forms of the protocol a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Increments, with removals.
    Delta,
    /// State of the world.
    Sotw,
}

/// The state of one stream.
#[derive(Debug)]
pub struct Session {
    form: Form,
    settings: Settings,
    snapshot: Option<Arc<Snapshot>>,
    ledgers: PerType<Ledger>,
    /// Clusters sent and not yet known to be usable.
    warmings: Warmings,
    /// Since when something waits at the gate.
    held_since: Option<Instant>,
    last_serial: u64,
    /// When [`Session::advance`] last ran: whatever was due until then has been acted on.
    advanced_at: Option<Instant>,
    responses: Vec<Response>,
    observations: Vec<Observation>,
    unknown_types: BTreeSet<String>,
}

/// What sends traffic to the rest; it waits at the gate.
const TRAFFIC: [ResourceType; 2] = [ResourceType::Listener, ResourceType::Route];

/// Unknown type URLs remembered so that each is logged once.
const MAX_UNKNOWN_TYPES: usize = 16;

impl Session {
    pub(crate) fn new(form: Form, settings: Settings) -> Self {
        Self {
            form,
            settings,
            snapshot: None,
            ledgers: PerType::new(|kind| {
                Ledger::new(kind, form == Form::Sotw && kind.is_listed_in_full(), settings)
            }),
            warmings: Warmings::new(),
            held_since: None,
            last_serial: 0,
            advanced_at: None,
            responses: Vec::new(),
            observations: Vec::new(),
            unknown_types: BTreeSet::new(),
        }
    }

    // --- What a connection uses ---

    pub(crate) fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, now: Instant) {
        if let Some(older) = self.snapshot.replace(snapshot.clone()) {
            self.recheck_needs(&older, &snapshot);
        }
        self.advance(now);
    }

    pub(crate) fn take_responses(&mut self) -> Vec<Response> {
        std::mem::take(&mut self.responses)
    }

    pub(crate) fn take_observations(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.observations)
    }

    pub(crate) fn ledger(&mut self, kind: ResourceType) -> &mut Ledger {
        self.ledgers.get_mut(kind)
    }

    /// The type that a request is about. One that is not served gets no answer; the stream stays, because a
    /// newer client may well ask for more than we know.
    pub(crate) fn served_type(&mut self, url: &str) -> Option<ResourceType> {
        let kind = ResourceType::from_type_url(url);
        if kind.is_none()
            && self.unknown_types.len() < MAX_UNKNOWN_TYPES
            && self.unknown_types.insert(url.to_owned())
        {
            tracing::info!(type_url = url, "client asks for a resource type that is not served");
        }
        kind
    }

    /// Takes the client's answer to the response with `nonce`; a stale or unknown nonce says nothing.
    pub(crate) fn settle(&mut self, kind: ResourceType, nonce: &str, verdict: Verdict<'_>, now: Instant) {
        let Ok(serial) = nonce.parse() else { return };
        let ledger = self.ledgers.get_mut(kind);
        let Some(settled) = ledger.settle(serial, verdict, now) else { return };
        if matches!(verdict, Verdict::Rejected(_)) && kind.is_traffic() {
            self.revoke_replacement();
        }
        match verdict {
            Verdict::Accepted => {
                let acked = Observation::Acked { resource_type: kind, latency: settled.latency };
                self.observations.push(acked);
            }
            Verdict::Rejected(message) => self.observe_rejection(kind, &settled, message),
        }
        if !settled.accepted.is_empty() {
            let resources = versions(&settled.accepted);
            self.observations.push(Observation::Accepted { resource_type: kind, resources });
        }
    }

    /// Tells what the client refused, and what it cannot use yet.
    fn observe_rejection(&mut self, kind: ResourceType, settled: &Settled, message: &str) {
        let NotReady { names: not_ready, overdue } = &settled.not_ready;
        let rejection = |culprits: &BTreeSet<Arc<str>>, message: &str, cause: Cause| Rejection {
            resource_type: kind,
            version: settled.version,
            nonce: settled.serial,
            message: words(kind, message),
            resources: versions(&settled.news),
            culprits: strings(culprits),
            cause,
        };
        if settled.is_split {
            let split = rejection(&settled.culprits, message, Cause::Refused);
            self.observations.push(Observation::Split(split));
            return;
        }
        let all = settled.culprits.union(not_ready).cloned().collect();
        if not_ready.is_empty() {
            self.observations.push(Observation::Nacked(rejection(
                &settled.culprits,
                message,
                Cause::Refused,
            )));
        } else {
            let names = strings(not_ready);
            self.observations.push(Observation::NotReady { resource_type: kind, names });
            let told = [(&settled.culprits, Cause::Refused), (overdue, Cause::NotReady)];
            for (culprits, cause) in told.into_iter().filter(|(culprits, _)| !culprits.is_empty()) {
                let about = words_about(message, culprits, &all);
                self.observations.push(Observation::Nacked(rejection(culprits, &about, cause)));
            }
        }
    }

    /// Takes note of a changed subscription.
    pub(crate) fn apply(&mut self, kind: ResourceType, change: Change) {
        let ledger = self.ledgers.get_mut(kind);
        let asks = !change.asked.is_empty();
        ledger.apply(change);
        if asks && !ledger.in_flight.is_empty() && kind.is_traffic() {
            // What was given up and is wanted again may yet arrive in an old version, which refers to more.
            self.postpone_retirement();
        }
    }

    /// Takes note of the first request of a type.
    pub(crate) fn open(&mut self, kind: ResourceType) {
        self.ledgers.get_mut(kind).open();
        if kind == ResourceType::Endpoint {
            // Whatever the client has already, a cluster being warmed waits to hear it again.
            let warming: Vec<Arc<Resource>> = self.warmings.sent().cloned().collect();
            warming.iter().for_each(|cluster| self.owe_endpoints(cluster));
        }
        if kind.is_traffic() {
            // It may bring along listeners and routes that refer to what we thought unused.
            self.postpone_retirement();
        }
    }

    // --- Steps ---

    /// Sends whatever may be sent now.
    ///
    /// Costs as much as changed: in the snapshot since the last one, by the client's answer, or by time. What
    /// is only held costs nothing, and what waits is not looked at before it may go. What has to list
    /// everything is said where it does: the first request of a type, a wildcard that comes or goes, lists in
    /// full of the state of the world.
    pub(crate) fn advance(&mut self, now: Instant) {
        let Some(snapshot) = self.snapshot.clone() else { return };
        for kind in ResourceType::ALL {
            self.ledgers.get_mut(kind).resume_deferred(now);
            let revived = self.ledgers.get_mut(kind).scan(&snapshot);
            if kind == ResourceType::Cluster {
                self.resume_warming(revived, now);
            }
        }
        self.list_removals(&snapshot, now);
        // Endpoints and secrets never wait.
        for kind in ResourceType::ALL.into_iter().filter(|kind| !kind.is_traffic()) {
            self.push(kind, Extent::Everything, &snapshot, now);
        }
        if self.is_gate_open(&snapshot, now) {
            self.push(ResourceType::Listener, Extent::Everything, &snapshot, now);
            // A client asks for a table because it has the listener; an update of a table that it has
            // waits until the listeners are in place.
            let waits = self.is_busy(ResourceType::Listener, now);
            let extent = if waits { Extent::Owed } else { Extent::Everything };
            self.push(ResourceType::Route, extent, &snapshot, now);
        }
        self.move_retirements_on(now);
        self.report_sync(&snapshot);
        self.advanced_at = Some(now);
    }

    /// When [`advance`](Self::advance) has something to do even if nothing happens.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let busy = ResourceType::ALL.into_iter().filter_map(|kind| self.unblocked_at(kind));
        let again = ResourceType::ALL.into_iter().filter_map(|kind| self.ledgers.get(kind).deferred_until());
        let deadlines = self.drained_at().into_iter().chain(self.gate_opens_at()).chain(busy).chain(again);
        // What was due when `advance` last ran waits for something else than time.
        deadlines.filter(|at| self.advanced_at.is_some_and(|last| last < *at)).min()
    }

    fn is_busy(&self, kind: ResourceType, now: Instant) -> bool {
        self.ledgers.get(kind).busy_until(self.settings.gate_timeout).is_some_and(|until| now < until)
    }

    /// Whether responses list everything of a type.
    fn lists_in_full(&self, kind: ResourceType) -> bool {
        self.ledgers.get(kind).lists_in_full
    }

    /// When unsent resources of a type stop waiting for the answer to an earlier response.
    fn unblocked_at(&self, kind: ResourceType) -> Option<Instant> {
        let waits_for = match kind {
            ResourceType::Route => ResourceType::Listener,
            kind if self.lists_in_full(kind) => kind,
            _ => return None,
        };
        let ledger = self.ledgers.get(kind);
        let unsent = ledger.has_unsent() || self.lists_in_full(kind) && ledger.relist;
        unsent.then(|| self.ledgers.get(waits_for).busy_until(self.settings.gate_timeout)).flatten()
    }

    // --- Sending ---

    fn push(&mut self, kind: ResourceType, extent: Extent, snapshot: &Snapshot, now: Instant) {
        let ledger = self.ledgers.get(kind);
        if !ledger.opened || ledger.in_flight.len() >= MAX_IN_FLIGHT {
            return;
        }
        if !self.lists_in_full(kind) {
            self.push_changes(kind, extent, snapshot, now);
        } else if !self.is_busy(kind, now) {
            // Lists in full go out one at a time: while one is being worked on, newer snapshots merge.
            self.push_listing(kind, snapshot, now);
        }
    }

    fn push_changes(&mut self, kind: ResourceType, extent: Extent, snapshot: &Snapshot, now: Instant) {
        let aside = (kind == ResourceType::Extension).then(|| self.set_filters_aside(snapshot));
        self.push_what_may_go(kind, extent, snapshot, now);
        if let Some(aside) = aside {
            self.ledgers.get_mut(kind).put_back(aside);
        }
    }

    fn push_what_may_go(&mut self, kind: ResourceType, extent: Extent, snapshot: &Snapshot, now: Instant) {
        let version = snapshot.version(kind);
        let ledger = self.ledgers.get_mut(kind);
        // What finds no room stays where it is until there is an answer.
        let room = MAX_IN_FLIGHT.saturating_sub(ledger.in_flight.len());
        let limit = if kind.travels_alone() { room } else { usize::MAX };
        let mut changes = ledger.take_changes(extent, snapshot.resources(kind), limit);
        let mut removed = ledger.take_removals();
        match (self.form, kind) {
            (Form::Sotw, _) => removed.clear(), // There is no way to say so.
            // Envoy that was told "no such endpoints" does not listen when they appear
            // (go-control-plane issue 488); silence keeps it waiting.
            (Form::Delta, ResourceType::Endpoint) => {}
            (Form::Delta, _) => removed.append(&mut changes.absent),
        }
        // One place is left for the rest.
        let mut alone =
            self.ledgers.get_mut(kind).take_apart(snapshot.resources(kind), room.saturating_sub(1));
        if kind.travels_alone() {
            alone.append(&mut changes.changed);
        }
        for resource in alone {
            let alone = vec![resource];
            self.send(Response::new(kind, version, alone.clone()), alone, now);
        }
        let first_answer = self.ledgers.get(kind).owes_first_answer();
        if first_answer || !changes.changed.is_empty() || !removed.is_empty() {
            let mut response = Response::new(kind, version, changes.changed.clone());
            response.removed = removed;
            self.send(response, changes.changed, now);
        }
    }

    /// Lists everything, if something of it is new. Costs as much as there is if so, and nothing if not.
    fn push_listing(&mut self, kind: ResourceType, snapshot: &Snapshot, now: Instant) {
        let set = snapshot.resources(kind);
        let ledger = self.ledgers.get_mut(kind);
        let first_answer = !ledger.answered && !ledger.subscription.is_empty();
        let changes = ledger.take_changes(Extent::Everything, set, usize::MAX);
        let removed = ledger.take_removals();
        let has_news = !changes.changed.is_empty() || !changes.absent.is_empty() || !removed.is_empty();
        let relist = std::mem::take(&mut ledger.relist);
        if !first_answer && !has_news && !relist {
            return;
        }
        let listing = ledger.listing(set);
        let version = version_of(&listing);
        let differs = relist && ledger.listed.is_some_and(|listed| listed != version);
        if first_answer || has_news || differs {
            let news = ledger.news_of(&listing, changes.changed);
            ledger.listed = Some(version);
            self.send(Response::new(kind, version, listing), news, now);
        }
    }

    /// Queues a response of which `news` is new to the client.
    fn send(&mut self, mut response: Response, news: Vec<Arc<Resource>>, now: Instant) {
        self.last_serial += 1;
        response.nonce = self.last_serial;
        let kind = response.resource_type;
        if kind == ResourceType::Cluster {
            self.begin_warming(&news, now);
        }
        self.ledgers.get_mut(kind).record_sent(&response, news, now);
        self.responses.push(response);
    }

    /// Reports which types the client has in full, and what it no longer refuses. Costs as much as is
    /// reported or changed of what is refused.
    fn report_sync(&mut self, snapshot: &Snapshot) {
        for kind in ResourceType::ALL {
            let version = snapshot.version(kind);
            let ledger = self.ledgers.get_mut(kind);
            if !ledger.is_in_sync() {
                let names: Vec<String> = ledger.take_recovered().iter().map(ToString::to_string).collect();
                if !names.is_empty() {
                    self.observations.push(Observation::Recovered { resource_type: kind, names });
                }
                continue;
            }
            // That says it of all.
            ledger.forget_reported();
            if ledger.announced != Some(version) {
                ledger.announced = Some(version);
                self.observations.push(Observation::InSync { resource_type: kind, version });
            }
        }
    }
}

fn strings(names: &BTreeSet<Arc<str>>) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

/// Names and versions.
fn versions(resources: &[Arc<Resource>]) -> Vec<(String, ResourceVersion)> {
    resources.iter().map(|resource| (resource.name().to_string(), resource.version())).collect()
}
