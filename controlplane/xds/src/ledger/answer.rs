//! What the client says to a response, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::deferral::NotReady;
use super::{Held, Ledger, Revision};
use crate::resource::Resource;
use crate::response::Response;
use crate::version::ResourceVersion;

/// A response that awaits its acknowledgement.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) serial: u64,
    version: ResourceVersion,
    pub(crate) sent_at: Instant,
    /// Everything in it.
    shown: Vec<Arc<Resource>>,
    /// What was new in it: all, unless it was a list in full.
    news: Vec<Arc<Resource>>,
    /// Sorted, as are the two above.
    removed: Vec<Arc<str>>,
}

impl InFlight {
    pub(super) fn new(response: &Response, news: Vec<Arc<Resource>>, sent_at: Instant) -> Self {
        let Response { nonce: serial, version, .. } = *response;
        let (shown, mut removed) = (response.resources.clone(), response.removed.clone());
        removed.sort();
        Self { serial, version, sent_at, shown, news, removed }
    }
}

impl InFlight {
    /// Whether something new of this name is in it.
    pub(super) fn brings(&self, name: &Arc<str>) -> bool {
        contains(&self.news, name)
    }
}

/// Whether `sorted` has a resource of that name.
fn contains(sorted: &[Arc<Resource>], name: &Arc<str>) -> bool {
    sorted.binary_search_by(|resource| resource.name().cmp(name)).is_ok()
}

/// The client's answer to a response.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict<'a> {
    Accepted,
    /// With the client's message.
    Rejected(&'a str),
}

/// What an answer settled.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) serial: u64,
    /// The version of the response.
    pub(crate) version: ResourceVersion,
    /// From sending to the answer.
    pub(crate) latency: Duration,
    /// What was new in the response.
    pub(crate) news: Vec<Arc<Resource>>,
    /// What was new in it and in the responses before it, and is accepted.
    pub(crate) accepted: Vec<Arc<Resource>>,
    /// What a rejection is about.
    pub(crate) culprits: BTreeSet<Arc<str>>,
    /// What the client cannot use yet, and is sent again; none of it is among the culprits.
    pub(crate) not_ready: NotReady,
    /// Whether that is to be found out: nothing is refused yet, and all of `news` is to be sent again.
    pub(crate) is_split: bool,
}

/// What is to be made of a response.
enum Outcome {
    Accepted,
    /// But for the culprits, and for what the client cannot use yet.
    Refused(BTreeSet<Arc<str>>, NotReady),
    /// All of it is to be sent again, one by one.
    Split,
}

impl Ledger {
    /// Settles response `serial` and all before it (a client may answer only the last of several); `None`
    /// if it awaits no answer: a stale nonce. Costs as much as there is in these responses, and a look-up for
    /// each that is still on its way.
    pub(crate) fn settle(&mut self, serial: u64, verdict: Verdict<'_>, now: Instant) -> Option<Settled> {
        if !self.in_flight.iter().any(|response| response.serial == serial) {
            return None;
        }
        let mut accepted = Vec::new();
        while let Some(response) = self.in_flight.pop_front() {
            let is_last = response.serial == serial;
            response.news.iter().for_each(|resource| self.note(resource.name()));
            let outcome = match verdict {
                Verdict::Rejected(message) if is_last => self.reject(&response, message, now),
                Verdict::Accepted | Verdict::Rejected(_) => {
                    for resource in &response.shown {
                        self.accept(resource, response.serial);
                    }
                    Outcome::Accepted
                }
            };
            let is_split = matches!(outcome, Outcome::Split);
            let (culprits, not_ready) = match outcome {
                Outcome::Accepted | Outcome::Split => Default::default(),
                Outcome::Refused(culprits, not_ready) => (culprits, not_ready),
            };
            let is_good = |resource: &&Arc<Resource>| {
                let name = resource.name();
                !is_split && !culprits.contains(name) && !not_ready.names.contains(name)
            };
            accepted.extend(response.news.iter().filter(is_good).cloned());
            if is_last {
                if matches!(verdict, Verdict::Accepted) {
                    self.relist |= std::mem::take(&mut self.is_list_doubtful) || self.has_unknown;
                    self.has_unknown = false;
                }
                let latency = now.saturating_duration_since(response.sent_at);
                let InFlight { version, news, .. } = response;
                return Some(Settled {
                    serial,
                    version,
                    latency,
                    news,
                    accepted,
                    culprits,
                    not_ready,
                    is_split,
                });
            }
        }
        None
    }

    /// The client has `resource` now, unless it leaves with a response that is on its way.
    fn accept(&mut self, resource: &Arc<Resource>, serial: u64) {
        if self.is_rejected(resource) {
            self.rejected.remove(resource.name()); // It was on its way twice, and the client thought better.
            self.is_list_doubtful = true;
            self.touch(resource.name());
        }
        if !self.rejected.contains_key(resource.name()) {
            // Else this is the version that the client goes on with meanwhile.
            self.deferrals.end(resource.name());
        }
        if self.departs(resource.name()) {
            return; // And then it is not what the client falls back to.
        }
        if let Some(held) = self.held.get_mut(resource.name()) {
            held.good = Some(Revision::of(resource));
            held.good_serial = serial;
            if held.serial <= serial && !held.is_at(resource.version()) {
                // After a rejection, a list that was on its way has brought it all the same.
                held.sent = Revision::of(resource);
                self.is_list_doubtful = true;
                self.touch(resource.name());
            }
        } else if self.subscription.covers(resource.name()) {
            // Given up or taken for refused while it was on its way, but wanted again when it arrived.
            let sent = Revision::of(resource);
            let held = Held { good: Some(sent.clone()), sent, serial, good_serial: serial };
            self.held.insert(resource.name().clone(), held);
            self.is_list_doubtful = true;
            self.touch(resource.name());
        }
    }

    /// Whether a response that is on its way takes the resource from the client.
    fn departs(&self, name: &Arc<str>) -> bool {
        self.in_flight.iter().any(|response| {
            let is_removed = response.removed.binary_search(name).is_ok();
            // What is missing in a list goes.
            is_removed || self.lists_in_full && !contains(&response.shown, name)
        })
    }

    /// The client refused `response`: it keeps its last good version of the culprits. What the message does
    /// not blame has been applied, if it blames anything at all.
    fn reject(&mut self, response: &InFlight, message: &str, now: Instant) -> Outcome {
        self.is_list_doubtful = true;
        self.announced = None;
        let mut culprits = named(&response.shown, message);
        if culprits.is_empty() {
            if self.kind.is_split() && response.news.len() > 1 {
                self.split(response);
                return Outcome::Split;
            }
            culprits = response.news.iter().map(|resource| resource.name().clone()).collect();
        }
        let mut not_ready = NotReady { names: self.not_ready(&culprits, message), ..NotReady::default() };
        culprits.retain(|name| !not_ready.names.contains(name));
        for resource in &response.news {
            let is_deferred = not_ready.names.contains(resource.name());
            if !is_deferred && !culprits.contains(resource.name()) {
                self.accept(resource, response.serial);
                continue;
            }
            // What is noted already is about the present version; this may be about an older one: the
            // snapshot may have moved on meanwhile, and then the rejection is history.
            self.rejected.entry(resource.name().clone()).or_insert(resource.version());
            if !is_deferred {
                self.deferrals.end(resource.name());
                self.reported.insert(resource.name().clone());
            } else if self.deferrals.defer(resource.name(), now) {
                not_ready.overdue.insert(resource.name().clone());
                self.reported.insert(resource.name().clone());
            }
            self.touch(resource.name());
            self.fall_back(resource.name(), response.serial);
        }
        Outcome::Refused(culprits, not_ready)
    }

    /// Has everything new in `response` sent again, one by one: the client refused it, and what it would have
    /// taken is to be found out.
    fn split(&mut self, response: &InFlight) {
        for resource in &response.news {
            let name = resource.name();
            self.touch(name);
            if self.fall_back(name, response.serial) {
                self.owed.remove(name);
                self.outstanding.remove(name);
                self.apart.insert(name.clone());
            }
        }
    }

    /// The client goes on with what it had before response `serial`. Returns false if that did not carry
    /// what was sent last: a newer version is on its way, or it was given up.
    fn fall_back(&mut self, name: &Arc<str>, serial: u64) -> bool {
        let Some(held) = self.held.get_mut(name).filter(|held| held.serial == serial) else { return false };
        match held.good.clone() {
            Some(good) => held.sent = good,
            None => {
                self.held.remove(name);
                self.retirements.end(name);
            }
        }
        true
    }
}

/// The names of the resources that stand in the message as words.
fn named(shown: &[Arc<Resource>], message: &str) -> BTreeSet<Arc<str>> {
    let named = shown.iter().map(|resource| resource.name()).filter(|name| mentions(message, name));
    named.cloned().collect()
}

/// Whether `name` stands in `message` as a word of its own, not as part of a longer name.
fn mentions(message: &str, name: &str) -> bool {
    places(message, name).next().is_some()
}

/// Where `name` stands in `message` as a word of its own.
pub(super) fn places<'a>(message: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let in_a_name = |c: char| c.is_alphanumeric() || "-_/|".contains(c);
    let is_word = move |at: &usize| {
        let before = message.get(..*at).and_then(|text| text.trim_end_matches('.').chars().next_back());
        let after =
            message.get(*at + name.len()..).and_then(|text| text.trim_start_matches('.').chars().next());
        !name.is_empty() && !before.is_some_and(in_a_name) && !after.is_some_and(in_a_name)
    };
    message.match_indices(name).map(|(at, _)| at).filter(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource_type::ResourceType;

    fn named(message: &str) -> Vec<String> {
        let cluster = |name: &str| Arc::new(Resource::new(name, ResourceType::Cluster, b"", vec![]));
        let shown = ["a", "a-b", "c"].map(cluster);
        super::named(&shown, message).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_message_blames_the_resources_it_names() {
        assert_eq!(named("Error adding/updating cluster(s) a-b: bad"), ["a-b"]);
        assert_eq!(named("Error adding/updating cluster(s) a: bad, c: worse"), ["a", "c"]);
        assert_eq!(named("trouble with c."), ["c"]);
        assert_eq!(named("no idea, x.c"), [""; 0]);
    }
}
