//! What the client says to a response, and what follows from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Held, Ledger, Revision};
use crate::resource::{Resource, ResourceVersion};
use crate::response::Response;

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
    removed: Vec<Arc<str>>,
}

impl InFlight {
    pub(super) fn new(response: &Response, news: Vec<Arc<Resource>>, sent_at: Instant) -> Self {
        let Response { nonce: serial, version, .. } = *response;
        let (shown, removed) = (response.resources.clone(), response.removed.clone());
        Self { serial, version, sent_at, shown, news, removed }
    }
}

impl InFlight {
    /// Whether something new of this name is in it.
    pub(super) fn brings(&self, name: &Arc<str>) -> bool {
        self.news.iter().any(|resource| resource.name() == name)
    }
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
    /// What a rejection is about.
    pub(crate) culprits: BTreeSet<Arc<str>>,
}

/// What responses on their way take from the client.
struct Departures {
    removed: BTreeSet<Arc<str>>,
    /// State of the world: the names in each list; what is missing goes.
    lists: Vec<BTreeSet<Arc<str>>>,
}

impl Departures {
    fn include(&self, name: &Arc<str>) -> bool {
        self.removed.contains(name) || self.lists.iter().any(|list| !list.contains(name))
    }
}

impl Ledger {
    /// Settles response `serial` and all before it (a client may answer only the last of several); `None`
    /// if it awaits no answer: a stale nonce.
    pub(crate) fn settle(&mut self, serial: u64, verdict: Verdict<'_>, now: Instant) -> Option<Settled> {
        if !self.in_flight.iter().any(|response| response.serial == serial) {
            return None;
        }
        if matches!(verdict, Verdict::Accepted) {
            self.relist = true;
            self.has_unknown = false;
        }
        while let Some(response) = self.in_flight.pop_front() {
            let is_last = response.serial == serial;
            let culprits = match verdict {
                Verdict::Rejected(message) if is_last => self.reject(&response, message),
                Verdict::Accepted | Verdict::Rejected(_) => {
                    let departures = self.departures();
                    for resource in &response.shown {
                        self.accept(resource, response.serial, &departures);
                    }
                    BTreeSet::new()
                }
            };
            if is_last {
                let latency = now.saturating_duration_since(response.sent_at);
                let InFlight { version, news, .. } = response;
                return Some(Settled { serial, version, latency, news, culprits });
            }
        }
        None
    }

    /// The client has `resource` now, for as long as none of the `departures` arrives.
    fn accept(&mut self, resource: &Arc<Resource>, serial: u64, departures: &Departures) {
        if self.is_rejected(resource) {
            self.rejected.remove(resource.name()); // It was on its way twice, and the client thought better.
        }
        if departures.include(resource.name()) {
            return; // And then it is not what the client falls back to.
        }
        if let Some(held) = self.held.get_mut(resource.name()) {
            held.good = Some(Revision::of(resource));
            held.good_serial = serial;
            if held.serial <= serial {
                // After a rejection, a list that was on its way may have brought it all the same.
                held.sent = Revision::of(resource);
            }
        } else if self.subscription.covers(resource.name()) {
            // Given up or taken for refused while it was on its way, but wanted again when it arrived.
            let sent = Revision::of(resource);
            let held = Held { good: Some(sent.clone()), sent, serial, good_serial: serial };
            self.held.insert(resource.name().clone(), held);
            self.scanned = None;
        }
    }

    /// What responses on their way take from the client.
    fn departures(&self) -> Departures {
        let names = |response: &InFlight| response.shown.iter().map(|r| r.name().clone()).collect();
        Departures {
            removed: self.in_flight.iter().flat_map(|response| &response.removed).cloned().collect(),
            lists: self.in_flight.iter().filter(|_| self.lists_in_full).map(names).collect(),
        }
    }

    /// The client refused `response`: it keeps its last good version of the culprits. What the message does
    /// not blame has been applied, if it blames anything at all.
    fn reject(&mut self, response: &InFlight, message: &str) -> BTreeSet<Arc<str>> {
        let culprits = blamed(response, message);
        let departures = self.departures();
        for resource in &response.news {
            if !culprits.contains(resource.name()) {
                self.accept(resource, response.serial, &departures);
                continue;
            }
            // What is noted already is about the present version; this may be about an older one.
            self.rejected.entry(resource.name().clone()).or_insert(resource.version());
            self.reported.insert(resource.name().clone());
            let Some(held) = self.held.get_mut(resource.name()) else { continue };
            if held.serial != response.serial {
                continue; // A newer version is on its way.
            }
            match held.good.clone() {
                Some(good) => held.sent = good,
                None => {
                    self.held.remove(resource.name());
                    self.retiring.remove(resource.name());
                }
            }
        }
        // The snapshot may have moved on meanwhile, and then the rejection is history.
        self.scanned = None;
        self.announced = None;
        culprits
    }
}

/// What a rejection is about: the resources whose name is a word of the message, or else all that was new.
fn blamed(response: &InFlight, message: &str) -> BTreeSet<Arc<str>> {
    let names = |resources: &[Arc<Resource>]| -> Vec<Arc<str>> {
        resources.iter().map(|resource| resource.name().clone()).collect()
    };
    let named: BTreeSet<Arc<str>> =
        names(&response.shown).into_iter().filter(|name| mentions(message, name)).collect();
    if named.is_empty() { names(&response.news).into_iter().collect() } else { named }
}

/// Whether `name` stands in `message` as a word of its own, not as part of a longer name.
fn mentions(message: &str, name: &str) -> bool {
    let in_a_name = |c: char| c.is_alphanumeric() || "-_/|".contains(c);
    !name.is_empty()
        && message.match_indices(name).any(|(at, _)| {
            let before = message.get(..at).and_then(|text| text.trim_end_matches('.').chars().next_back());
            let after =
                message.get(at + name.len()..).and_then(|text| text.trim_start_matches('.').chars().next());
            !before.is_some_and(in_a_name) && !after.is_some_and(in_a_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::ResourceType;

    fn blamed(message: &str) -> Vec<String> {
        let cluster = |name: &str| Arc::new(Resource::new(name, ResourceType::Cluster, b"", vec![]));
        let shown = vec![cluster("a"), cluster("a-b"), cluster("c")];
        let news = vec![cluster("a"), cluster("a-b")];
        let version = ResourceVersion::of(b"");
        let response = InFlight { serial: 1, version, sent_at: Instant::now(), shown, news, removed: vec![] };
        super::blamed(&response, message).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_message_blames_the_resources_it_names_or_else_all_that_is_new() {
        assert_eq!(blamed("Error adding/updating cluster(s) a-b: bad"), ["a-b"]);
        assert_eq!(blamed("Error adding/updating cluster(s) a: bad, c: worse"), ["a", "c"]);
        assert_eq!(blamed("trouble with c."), ["c"]);
        assert_eq!(blamed("no idea, x.c"), ["a", "a-b"]);
    }
}
