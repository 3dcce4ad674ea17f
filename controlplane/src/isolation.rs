//! A refusal costs its cause alone: which route is it that makes the proxies refuse a route table? Pure.
//!
//! Envoy takes a route table as a whole or not at all, and does not say which route is wrong. So what changed since
//! the table was last accepted is narrowed down by halves: one half is served at its newest, the other as it was before,
//! until one route alone is left. That route stays at its last good version, or answers errors where it has none;
//! everything else is served at its newest. It is tried again when it changes, and when a proxy of
//! another version connects.
//!
//! ```text
//!             refused, several suspects            refused, one suspect
//!  newest ──────────────────────────────► halves ──────────────────────► culprit: good version
//!    ▲                                      │                              │ refused again
//!    │              accepted: the next half │                              ▼
//!    └──────────────────────────────────────┘                            errors, then nothing
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crds::ObjectKey;
use ir::GatewayName;
use translator::{Hold, RouteChange, RouteVersion};
use xds::ResourceVersion;

/// How many published versions of a table are remembered until one is accepted: more than are ever on their way to a
/// proxy. While no proxy is connected, none is accepted.
const MAX_PUBLISHED: usize = 64;

/// A route table of a Gateway.
pub type TableKey = (GatewayName, String);

/// What to serve of routes instead of their newest versions from now on; `None` is the newest again.
pub type Holds = Vec<(ObjectKey, Option<Hold>)>;

/// A route that proxies refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// The table in which it was found.
    pub table: TableKey,
    /// The proxy's words.
    pub message: String,
    /// What is served instead.
    pub served: Served,
}

/// What is served of a route that proxies refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// Its last good version.
    LastGood,
    /// Errors.
    Errors,
    /// Nothing.
    Nothing,
}

/// What is known of the route tables, and of the routes that are not served at their newest.
#[derive(Debug, Default)]
pub struct Isolation {
    tables: BTreeMap<TableKey, Table>,
    held: BTreeMap<ObjectKey, Held>,
}

#[derive(Debug, Default)]
struct Table {
    /// The versions that were published and not accepted yet, each with its number.
    published: VecDeque<(ResourceVersion, u64)>,
    last_number: u64,
    /// Routes that stand in the table otherwise than when it was last accepted.
    suspects: BTreeMap<ObjectKey, Suspect>,
    /// Routes that are held back while others are tried.
    waiting: Vec<Vec<ObjectKey>>,
    /// Those that were found since the narrowing began.
    found: Vec<ObjectKey>,
    /// Whether what waits is not even served as errors: they may be what is refused.
    is_strict: bool,
    /// Whether it was ever accepted: until then, a rule that is to keep requests from a wider one must not be missing.
    was_accepted: bool,
}

#[derive(Debug)]
struct Suspect {
    /// The first published version that has it like this.
    since: u64,
    good: Option<Arc<RouteVersion>>,
}

#[derive(Debug)]
struct Held {
    good: Option<Arc<RouteVersion>>,
    served: Served,
    /// `None` while it only waits.
    culprit: Option<(TableKey, String)>,
    /// The versions of Envoy that were there when it was found.
    builds: BTreeSet<String>,
}

impl Held {
    fn hold(&self) -> Hold {
        match (self.served, &self.good) {
            (Served::LastGood, Some(good)) => Hold::Version(good.clone()),
            (Served::Nothing, _) => Hold::Nothing,
            _ => Hold::Errors,
        }
    }
}

impl Isolation {
    /// Takes note of what is published: the tables with their versions, and the routes that changed. What was held
    /// of routes that are gone is no more.
    pub fn on_published(
        &mut self,
        tables: &BTreeMap<TableKey, Option<ResourceVersion>>,
        routes: &BTreeMap<ObjectKey, RouteChange>,
    ) -> Holds {
        let mut holds = Holds::new();
        for (key, version) in tables {
            let Some(version) = version else {
                self.tables.remove(key);
                continue;
            };
            let table = self.tables.entry(key.clone()).or_default();
            table.last_number += 1;
            table.published.push_back((*version, table.last_number));
            if table.published.len() > MAX_PUBLISHED {
                table.published.pop_front();
            }
        }
        for (route, change) in routes {
            for key in &change.tables {
                let Some(table) = self.tables.get_mut(key) else { continue };
                let held = self.held.get(route);
                // What waits is not tried now; it comes when its turn is, or all of it is left out.
                let is_tried =
                    held.is_none_or(|held| held.culprit.is_some() && held.served == Served::Errors);
                if change.is_gone || !is_tried {
                    table.suspects.remove(route);
                    continue;
                }
                let since = table.last_number;
                let good = || held.map_or_else(|| change.before.clone(), |held| held.good.clone());
                let suspect =
                    table.suspects.entry(route.clone()).or_insert_with(|| Suspect { since, good: good() });
                suspect.since = since;
            }
            if change.is_gone && self.held.remove(route).is_some() {
                holds.push((route.clone(), None));
            }
        }
        holds
    }

    /// Routes that are held were edited: those that were found guilty are tried again.
    pub fn on_edited(&mut self, routes: &BTreeSet<ObjectKey>) -> Holds {
        let guilty: Vec<_> = routes
            .iter()
            .filter(|route| self.held.get(*route).is_some_and(|held| held.culprit.is_some()))
            .cloned()
            .collect();
        self.release(guilty)
    }

    /// A proxy of this version of Envoy is there: what other versions refused is tried again.
    pub fn on_build(&mut self, gateway: &GatewayName, build: &str) -> Holds {
        let mut again = Vec::new();
        for (route, held) in &mut self.held {
            let is_here = held.culprit.as_ref().is_some_and(|(table, _)| table.0 == *gateway);
            if is_here && !held.builds.is_empty() && held.builds.insert(build.to_owned()) {
                again.push(route.clone());
            }
        }
        self.release(again)
    }

    /// A proxy has accepted a table in this version.
    pub fn on_accepted(&mut self, key: &TableKey, version: ResourceVersion) -> Holds {
        let Some(table) = self.tables.get_mut(key) else { return Holds::new() };
        let Some(&(_, number)) = table.published.iter().rfind(|(published, _)| *published == version) else {
            return Holds::new();
        };
        table.was_accepted = true;
        table.published.retain(|(_, published)| *published >= number);
        table.suspects.retain(|_, suspect| suspect.since > number);
        let is_newest = number == table.last_number;
        if !is_newest || !table.suspects.is_empty() {
            return Holds::new();
        }
        match table.waiting.pop() {
            Some(next) => self.release(next),
            None => {
                table.found.clear();
                table.is_strict = false;
                Holds::new()
            }
        }
    }

    /// A proxy has refused a table in this version, in these words. `None`: it is not known which route it is.
    pub fn on_refused(
        &mut self,
        key: &TableKey,
        version: ResourceVersion,
        message: &str,
        build: &str,
    ) -> Option<Holds> {
        let table = self.tables.get_mut(key)?;
        if table.published.back().is_none_or(|(newest, _)| *newest != version) {
            // Another version is on its way; or it was accepted by others, and then what is wrong is not new.
            let is_older = table.published.iter().any(|(published, _)| *published == version);
            return is_older.then(Holds::new);
        }
        let suspects: Vec<ObjectKey> = table.suspects.keys().cloned().collect();
        match &suspects[..] {
            [] => self.be_strict(key),
            [route] => Some(self.convict(key, &route.clone(), message, build)),
            _ => {
                let (_, rest) = suspects.split_at(suspects.len() / 2);
                Some(self.let_wait(key, rest.to_vec()))
            }
        }
    }

    /// The routes that were found guilty.
    pub fn culprits(&self) -> impl Iterator<Item = (&ObjectKey, Culprit)> {
        self.held.iter().filter_map(|(route, held)| {
            let (table, message) = held.culprit.clone()?;
            Some((route, Culprit { table, message, served: held.served }))
        })
    }

    /// Whether all routes of a table are at their newest, or found guilty.
    pub fn is_settled(&self, key: &TableKey) -> bool {
        self.tables.get(key).is_none_or(|table| table.waiting.is_empty() && table.suspects.is_empty())
    }

    fn convict(&mut self, key: &TableKey, route: &ObjectKey, message: &str, build: &str) -> Holds {
        let Some(table) = self.tables.get_mut(key) else { return Holds::new() };
        let suspect = table.suspects.remove(route);
        if !table.found.contains(route) {
            table.found.push(route.clone());
        }
        let before = self.held.get(route).map(|held| held.served);
        let good = suspect.and_then(|suspect| suspect.good);
        let served = match (before, &good) {
            (None, Some(_)) => Served::LastGood,
            (None, None) | (Some(Served::LastGood), _) => Served::Errors,
            (Some(Served::Errors | Served::Nothing), _) => Served::Nothing,
        };
        let culprit = Some((key.clone(), message.to_owned()));
        let held = Held { good, served, culprit, builds: BTreeSet::from([build.to_owned()]) };
        let hold = held.hold();
        self.held.insert(route.clone(), held);
        vec![(route.clone(), Some(hold))]
    }

    fn let_wait(&mut self, key: &TableKey, routes: Vec<ObjectKey>) -> Holds {
        let Some(table) = self.tables.get_mut(key) else { return Holds::new() };
        let mut holds = Holds::new();
        for route in &routes {
            let good = table.suspects.remove(route).and_then(|suspect| suspect.good);
            let answers_errors = self.held.get(route).is_some_and(|held| held.served == Served::Errors);
            let served = match &good {
                Some(_) => Served::LastGood,
                // As before its edit; or its errors are refused themselves.
                None if table.is_strict || table.was_accepted || answers_errors => Served::Nothing,
                None => Served::Errors,
            };
            let held = Held { good, served, culprit: None, builds: BTreeSet::new() };
            holds.push((route.clone(), Some(held.hold())));
            self.held.insert(route.clone(), held);
        }
        table.waiting.push(routes);
        holds
    }

    /// Nothing that is tried can be at fault: then it is something that waits, and is served as errors meanwhile.
    /// Those do not even stand in the table from now on, and who was found on that evidence is tried again.
    fn be_strict(&mut self, key: &TableKey) -> Option<Holds> {
        let table = self.tables.get_mut(key)?;
        if table.is_strict || table.waiting.is_empty() {
            return None;
        }
        table.is_strict = true;
        let found = std::mem::take(&mut table.found);
        table.waiting.push(found);
        let mut holds = Holds::new();
        for route in table.waiting.iter().flatten() {
            let Some(held) = self.held.get_mut(route) else { continue };
            held.culprit = None;
            if held.good.is_none() {
                held.served = Served::Nothing;
            }
            holds.push((route.clone(), Some(held.hold())));
        }
        Some(holds)
    }

    /// Serves routes at their newest again. What was good before stays known until the newest is accepted.
    fn release(&mut self, routes: Vec<ObjectKey>) -> Holds {
        let mut holds = Holds::new();
        for route in routes {
            let Some(held) = self.held.remove(&route) else { continue };
            for table in self.tables.values_mut().filter(|_| held.good.is_some()) {
                if let Some(suspect) = table.suspects.get_mut(&route) {
                    suspect.good.clone_from(&held.good);
                }
            }
            holds.push((route, None));
        }
        holds
    }
}

#[cfg(test)]
mod tests {
    use crds::NamespacedName;
    use crds::gateway_api::HttpRoute;

    use super::*;

    /// While no proxy is connected, nothing is accepted, and edits go on.
    #[test]
    fn edits_that_nobody_accepts_are_not_remembered_one_by_one() {
        let gateway = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
        let (key, route) = (
            (gateway, "http/80".to_owned()),
            ObjectKey::of::<HttpRoute>(NamespacedName::new("default", "r")),
        );
        let change = RouteChange { tables: vec![key.clone()], before: None, is_gone: false };
        let routes = BTreeMap::from([(route, change)]);
        let mut isolation = Isolation::default();
        let version = |number: u32| ResourceVersion::of(&number.to_be_bytes());
        for number in 0..10_000 {
            let tables = BTreeMap::from([(key.clone(), Some(version(number)))]);
            assert_eq!(isolation.on_published(&tables, &routes), Holds::new());
        }
        let table = &isolation.tables[&key];
        assert_eq!((table.published.len(), table.suspects.len()), (MAX_PUBLISHED, 1));
        assert_eq!(isolation.on_accepted(&key, version(9_999)), Holds::new());
        assert!(isolation.is_settled(&key));
    }
}
