//! What one stream wants, holds, was sent and refused, of one resource type.

mod answer;
mod deferral;
mod retirement;
mod scan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::answer::InFlight;
pub(crate) use self::answer::{Settled, Verdict};
use self::deferral::Deferrals;
pub(crate) use self::deferral::{NotReady, words_about};
pub(crate) use self::retirement::Retirements;
pub(crate) use self::scan::{Names, Revived, version_of};
use crate::resource::Resource;
use crate::resource_type::ResourceType;
use crate::response::Response;
use crate::session::Settings;
use crate::snapshot::ResourceSet;
use crate::subscription::{Change, Subscription};
use crate::version::ResourceVersion;

/// Responses of one type that may await their acknowledgement; beyond it the stream holds back, so that a
/// client that never answers costs a bounded amount of memory.
pub(crate) const MAX_IN_FLIGHT: usize = 64;

/// Bookkeeping for one type on one stream. It decides nothing about order or time; `Session` does.
#[derive(Debug)]
pub(crate) struct Ledger {
    kind: ResourceType,
    pub(crate) subscription: Subscription,
    /// Whether the client has sent a request of this type.
    pub(crate) opened: bool,
    /// What the client has, as far as was said or sent.
    pub(crate) held: BTreeMap<Arc<str>, Held>,
    /// The refused version of a resource, while the snapshot still has that version.
    pub(crate) rejected: BTreeMap<Arc<str>, ResourceVersion>,
    /// Those of `rejected` that the client cannot use yet, and that are sent again.
    deferrals: Deferrals,
    /// Names whose rejection was reported, until it is overcome.
    reported: BTreeSet<Arc<str>>,
    /// Those of `reported` of which something changed since it was looked whether they are overcome.
    recoverable: BTreeSet<Arc<str>>,
    /// Responses without an answer, oldest first.
    pub(crate) in_flight: VecDeque<InFlight>,
    /// Names to send because the snapshot differs from what is held.
    pub(crate) outstanding: BTreeSet<Arc<str>>,
    /// Names to answer for, whatever is held: the client asked, or a cluster that uses them was sent.
    pub(crate) owed: BTreeSet<Arc<str>>,
    /// Names to answer for like those owed, each in a response of its own: the client refused a response with
    /// several without saying which of them is bad.
    apart: BTreeSet<Arc<str>>,
    /// Names held that the snapshot no longer has, and how far their removal is.
    pub(crate) retirements: Retirements,
    /// Whether a wildcard (or a list in full) has been answered at all; the first answer may be empty.
    pub(crate) answered: bool,
    /// The version that a state-of-the-world client says it holds in full.
    pub(crate) resume: Option<ResourceVersion>,
    /// State of the world: responses list everything.
    pub(crate) lists_in_full: bool,
    /// State of the world: the client brought along more than is known here, until it accepts a list.
    pub(crate) has_unknown: bool,
    /// State of the world: look whether the list is still the one sent last. A client that rejected one may
    /// hold what it is not known to hold; it is told at the next change, or when it accepted a list.
    pub(crate) relist: bool,
    /// State of the world: the list may be another than the one sent last although the snapshot is the same.
    /// It is looked at when the client accepted one.
    is_list_doubtful: bool,
    /// State of the world: the version of the last list.
    pub(crate) listed: Option<ResourceVersion>,
    /// The serial of the snapshot last seen, and what it had of this type.
    seen: Option<(u64, Arc<ResourceSet>)>,
    /// Names of which `outstanding`, `rejected` and `retirements` may not be what they should be.
    stale: Names,
    /// Names of which what is held or refused changed, or what the snapshot has; for whoever waits for them.
    pub(crate) moved: Names,
    /// Something was taken over from the client's own account, and nobody looked at it yet.
    adopted: bool,
    /// The version last reported as held in full.
    pub(crate) announced: Option<ResourceVersion>,
}

/// A version of a resource; the resource itself is unknown when only the client has told us of it.
#[derive(Clone, Debug)]
pub(crate) struct Revision {
    /// `None`: a version that this server never issued, hence never current.
    version: Option<ResourceVersion>,
    pub(crate) resource: Option<Arc<Resource>>,
}

impl Revision {
    fn of(resource: &Arc<Resource>) -> Self {
        Self { version: Some(resource.version()), resource: Some(resource.clone()) }
    }
}

/// One resource at the client.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) sent: Revision,
    /// The response that carried `sent`; 0 for what the client brought along.
    pub(crate) serial: u64,
    /// The last accepted revision, to which the client falls back when it rejects `sent`.
    good: Option<Revision>,
    /// The response that carried `good`.
    good_serial: u64,
}

impl Held {
    /// What the client brought along.
    fn adopted(sent: Revision) -> Self {
        Self { good: Some(sent.clone()), sent, serial: 0, good_serial: 0 }
    }

    /// Whether that is the version last sent.
    fn is_at(&self, version: ResourceVersion) -> bool {
        self.sent.version == Some(version)
    }

    /// Whether the client has accepted that version, and it was not sent another one since.
    fn is_accepted_at(&self, version: ResourceVersion) -> bool {
        let is_good = self.good.as_ref().is_some_and(|good| good.version == Some(version));
        self.is_at(version) && is_good
    }

    /// The response by which the client accepted the resource, in its present or an earlier version.
    pub(crate) fn accepted_by(&self) -> Option<u64> {
        self.good.as_ref().map(|_| self.good_serial)
    }
}

/// What has to wait, of what is to be sent; see [`Ledger::set_aside`].
#[derive(Debug)]
pub(crate) struct Aside {
    owed: BTreeSet<Arc<str>>,
    outstanding: BTreeSet<Arc<str>>,
    apart: BTreeSet<Arc<str>>,
}

/// How much of a type may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Only what the client just asked for.
    Owed,
    /// That, and whatever changed.
    Everything,
}

/// What is to be sent.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Resources, by name.
    pub(crate) changed: Vec<Arc<Resource>>,
    /// Names asked for that do not exist.
    pub(crate) absent: Vec<Arc<str>>,
}

impl Ledger {
    pub(crate) fn new(kind: ResourceType, lists_in_full: bool, settings: Settings) -> Self {
        Self {
            kind,
            deferrals: Deferrals::new(kind, settings),
            lists_in_full,
            subscription: Subscription::new(kind),
            opened: false,
            held: BTreeMap::new(),
            rejected: BTreeMap::new(),
            reported: BTreeSet::new(),
            recoverable: BTreeSet::new(),
            in_flight: VecDeque::new(),
            outstanding: BTreeSet::new(),
            owed: BTreeSet::new(),
            apart: BTreeSet::new(),
            retirements: Retirements::default(),
            answered: false,
            resume: None,
            has_unknown: false,
            relist: false,
            is_list_doubtful: false,
            listed: None,
            seen: None,
            stale: Names::default(),
            moved: Names::default(),
            adopted: false,
            announced: None,
        }
    }

    // --- What the client asks ---

    /// Takes note of a changed subscription. What is asked for anew is answered whatever is held, and gets
    /// another chance if it was rejected. Costs as much as was changed; the whole, if the wildcard was.
    pub(crate) fn apply(&mut self, change: Change) {
        self.is_list_doubtful |= change != Change::default();
        for name in change.asked {
            if self.subscription.covers(&name) {
                self.rejected.remove(&name);
                self.note(&name);
                self.owed.insert(name);
            }
        }
        for name in change.dropped {
            self.forget(&name);
            if self.subscription.covers(&name) {
                // Still wanted through the wildcard, but thrown away: say again what it is now.
                self.owed.insert(name);
            }
        }
        if change.wildcard_off {
            let lost: Vec<Arc<str>> =
                self.held.keys().filter(|name| !self.subscription.covers(name)).cloned().collect();
            lost.iter().for_each(|name| self.forget(name));
            self.touch_all();
        }
        if change.wildcard_on {
            self.touch_all();
            self.answered = false;
        }
    }

    /// Takes note of the first request of the type.
    pub(crate) fn open(&mut self) {
        self.opened = true;
        self.touch_all();
    }

    /// Believes what a reconnecting delta client says it has, as far as it still asks for it.
    pub(crate) fn adopt<'a>(&mut self, versions: impl Iterator<Item = (&'a String, &'a String)>) {
        for (name, version) in versions.filter(|(name, _)| self.subscription.covers(name)) {
            let sent = Revision { version: version.parse().ok(), resource: None };
            self.owed.remove(name.as_str());
            self.held.insert(name.as_str().into(), Held::adopted(sent));
            // Whoever has something has had its first answer.
            self.answered = true;
            self.adopted = true;
        }
        self.touch_all();
    }

    fn forget(&mut self, name: &Arc<str>) {
        self.held.remove(name);
        self.rejected.remove(name);
        self.deferrals.end(name);
        self.outstanding.remove(name);
        self.owed.remove(name);
        self.apart.remove(name);
        self.retirements.end(name);
        self.note(name);
    }

    // --- What is to be done ---

    /// Whether the client refused exactly this version.
    pub(crate) fn is_rejected(&self, resource: &Resource) -> bool {
        self.rejected.get(resource.name()) == Some(&resource.version())
    }

    /// Whether a wildcard waits for its first answer, which may be empty.
    pub(crate) fn owes_first_answer(&self) -> bool {
        !self.answered && self.subscription.is_wildcard()
    }

    /// Whether something is to be sent.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outstanding.is_empty()
            || !self.owed.is_empty()
            || !self.apart.is_empty()
            || self.retirements.has_due()
            || self.owes_first_answer()
    }

    /// Whether the client holds all it wants, and refused nothing.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.opened
            && !self.subscription.is_empty()
            && !self.has_unsent()
            && self.in_flight.is_empty()
            && self.rejected.keys().all(|name| self.is_optional(name))
    }

    fn is_optional(&self, name: &str) -> bool {
        let resource = self.seen.as_ref().and_then(|(_, set)| set.get(name));
        resource.is_some_and(|resource| resource.is_optional())
    }

    /// Whether it is still to be heard what the client makes of a resource of the snapshot. One that is optional and was
    /// refused counts as still to be heard of.
    pub(crate) fn is_pending(&self, resource: &Resource) -> bool {
        let name = resource.name();
        if !self.opened || !self.subscription.covers(name) {
            return false;
        }
        if self.deferrals.has(name) {
            return true;
        }
        if self.is_rejected(resource) {
            return resource.is_optional();
        }
        self.held.get(name).is_none_or(|held| !held.is_accepted_at(resource.version()))
    }

    /// Takes the names whose rejection was reported and is overcome: nothing of them is refused, on its way
    /// or still to be sent. Looks only at those of which something changed.
    pub(crate) fn take_recovered(&mut self) -> Vec<Arc<str>> {
        let is_open = |name: &Arc<str>| {
            self.rejected.contains_key(name)
                || self.outstanding.contains(name)
                || self.owed.contains(name)
                || self.apart.contains(name)
                || self.in_flight.iter().any(|response| response.brings(name))
        };
        let recoverable = std::mem::take(&mut self.recoverable);
        let recovered: Vec<_> = recoverable.into_iter().filter(|name| !is_open(name)).collect();
        for name in &recovered {
            self.reported.remove(name);
        }
        recovered
    }

    /// Forgets all rejections that were reported, because it was said that all are overcome.
    pub(crate) fn forget_reported(&mut self) {
        self.reported.clear();
        self.recoverable.clear();
    }

    // --- What goes out and comes back ---

    /// The names of what is to be sent.
    pub(crate) fn unsent(&self) -> impl Iterator<Item = &Arc<str>> {
        self.owed.iter().chain(&self.outstanding).chain(&self.apart)
    }

    /// Takes out of what is to be sent whatever has to wait. It is to be put back.
    pub(crate) fn set_aside(&mut self, waiting: &BTreeSet<Arc<str>>) -> Aside {
        let take = |names: &mut BTreeSet<Arc<str>>| {
            let (waiting, others) =
                std::mem::take(names).into_iter().partition(|name| waiting.contains(name));
            *names = others;
            waiting
        };
        Aside {
            owed: take(&mut self.owed),
            outstanding: take(&mut self.outstanding),
            apart: take(&mut self.apart),
        }
    }

    /// Has what was set aside sent another time.
    pub(crate) fn put_back(&mut self, aside: Aside) {
        let Aside { owed, outstanding, apart } = aside;
        self.owed.extend(owed);
        self.outstanding.extend(outstanding);
        self.apart.extend(apart);
    }

    /// Takes what is to be sent of `set`, by name: no more than `limit` resources.
    pub(crate) fn take_changes(&mut self, extent: Extent, set: &ResourceSet, limit: usize) -> Changes {
        let mut absent = Vec::new();
        let mut changed = BTreeMap::new();
        while changed.len() < limit
            && let Some(name) = self.owed.pop_first()
        {
            self.outstanding.remove(&name);
            self.note(&name);
            if self.apart.contains(&name) {
                continue;
            }
            match set.get(&name) {
                Some(resource) if self.is_rejected(resource) => {}
                Some(resource) => {
                    changed.insert(name, resource.clone());
                }
                None if self.held.contains_key(&name) => {} // It is retiring.
                None => absent.push(name),
            }
        }
        while extent == Extent::Everything
            && changed.len() < limit
            && let Some(name) = self.outstanding.pop_first()
        {
            self.note(&name);
            let is_news = |r: &&Arc<Resource>| self.is_news(r) && !self.apart.contains(&name);
            if let Some(resource) = set.get(&name).filter(is_news) {
                changed.insert(name, resource.clone());
            }
        }
        Changes { changed: changed.into_values().collect(), absent }
    }

    /// Takes what is to be sent of `set` in responses of their own after a rejection, by name: no more than
    /// `limit` resources.
    pub(crate) fn take_apart(&mut self, set: &ResourceSet, limit: usize) -> Vec<Arc<Resource>> {
        let mut apart = Vec::new();
        while apart.len() < limit
            && let Some(name) = self.apart.pop_first()
        {
            self.note(&name);
            apart.extend(set.get(&name).filter(|resource| !self.is_rejected(resource)).cloned());
        }
        apart
    }

    /// The whole list for a state-of-the-world client, by name: what it wants, with the last good version
    /// of what it rejected, and what is still to be taken away. What was rejected and has no good version is
    /// left out, unless the client may have one that we do not know of: it would be taken for deleted.
    ///
    /// Costs as much as there is, as does the response: the protocol wants it so.
    pub(crate) fn listing(&self, set: &ResourceSet) -> Vec<Arc<Resource>> {
        let held = |name: &Arc<str>| self.held.get(name).and_then(|held| held.sent.resource.clone());
        let mut listing: BTreeMap<Arc<str>, Arc<Resource>> = BTreeMap::new();
        for resource in self.wanted(set) {
            let shown = match self.is_rejected(resource) {
                true => held(resource.name()).or_else(|| self.has_unknown.then(|| resource.clone())),
                false => Some(resource.clone()),
            };
            listing.extend(shown.map(|shown| (resource.name().clone(), shown)));
        }
        for name in self.retirements.names() {
            listing.extend(held(name).map(|resource| (name.clone(), resource)));
        }
        listing.into_values().collect()
    }

    /// What of `listing` is new to the client: what `changed`, and what it is not known to hold.
    pub(crate) fn news_of(
        &self,
        listing: &[Arc<Resource>],
        changed: Vec<Arc<Resource>>,
    ) -> Vec<Arc<Resource>> {
        let changed: BTreeSet<Arc<str>> = changed.iter().map(|resource| resource.name().clone()).collect();
        let is_news = |name: &Arc<str>| changed.contains(name) || !self.held.contains_key(name);
        listing.iter().filter(|resource| is_news(resource.name())).cloned().collect()
    }

    /// Notes that `response` goes out, of which `news` is new to the client.
    pub(crate) fn record_sent(&mut self, response: &Response, news: Vec<Arc<Resource>>, sent_at: Instant) {
        let serial = response.nonce;
        for resource in &news {
            let sent = Revision::of(resource);
            let held = match self.held.remove(resource.name()) {
                Some(before) => Held { sent, serial, ..before },
                None => Held { sent, serial, good: None, good_serial: 0 },
            };
            self.held.insert(resource.name().clone(), held);
            self.note(resource.name());
        }
        self.answered = true;
        self.in_flight.push_back(InFlight::new(response, news, sent_at));
    }

    /// Takes the names whose removal is due, and holds them no more.
    pub(crate) fn take_removals(&mut self) -> Vec<Arc<str>> {
        let removed = self.retirements.take_due();
        removed.iter().for_each(|name| self.forget(name));
        removed
    }

    /// Whether every response up to `serial` has its answer.
    pub(crate) fn is_settled(&self, serial: u64) -> bool {
        self.in_flight.front().is_none_or(|oldest| oldest.serial > serial)
    }

    /// Until when the oldest unanswered response counts as being worked on.
    pub(crate) fn busy_until(&self, patience: Duration) -> Option<Instant> {
        self.in_flight.front().map(|oldest| oldest.sent_at + patience)
    }
}
