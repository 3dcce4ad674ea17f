//! The protocol model: random walks of both protocols against a naive client.
//!
//! The client behaves like Envoy: it wants all clusters and listeners, the endpoints and secrets of the
//! clusters it has, and the routes of the listeners it has. It answers in order, but when the walk says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use xds::ResourceType::{Cluster, Endpoint, Listener, Route, Secret};
use xds::{
    DeltaConnection, NodeGroup, Observation, Resource, ResourceChange, ResourceType, ResourceVersion,
    Response, Snapshot, SnapshotWriter, SotwConnection,
};

use crate::support::{SETTINGS, delta_request, error, not_ready, sotw_request};

// --- The walk ---

#[derive(Clone, Debug)]
enum Step {
    /// The worlds follow one another so fast that the stream sees the last one only.
    Publish(Vec<(World, How)>),
    /// The client answers the oldest response.
    Answer(Verdict),
    Wait(u64),
    Reconnect,
    /// Beyond what it needs, the client starts or stops to want this.
    Want(ResourceType, usize, bool),
    /// Delta only: asks for something that it has.
    AskAgain(ResourceType, usize),
}

/// How a world is published.
#[derive(Clone, Copy, Debug)]
enum How {
    /// As changes of the one before, among them some that change nothing.
    Update,
    /// As a whole, which the writer compares with the one before.
    Publish,
    /// Beside the writer: nothing is known of how it came about, and it shares nothing.
    Anew,
}

/// Shown with a line for each step.
#[derive(Clone)]
struct Walk(Vec<Step>);

impl fmt::Debug for Walk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|step| f.write_str(&format!("\n  {step:?}")))
    }
}

#[derive(Clone, Copy, Debug)]
enum Verdict {
    Accept,
    RejectAll,
    RejectFirst,
    /// Of clusters: the first cannot be used yet. Others are accepted.
    NotReady,
}

/// What exists: bodies by index, where 0 is "does not exist".
#[derive(Clone, Debug, Default)]
struct World {
    clusters: [u8; 4],
    endpoints: [u8; 4],
    listeners: [u8; 2],
    /// A body, and a bit for each cluster that the table points to (if it exists).
    routes: [(u8, u8); 2],
}

impl World {
    fn snapshot(&self) -> Snapshot {
        let mut all = Vec::new();
        let new = |kind, name: String, body: String, needs| Resource::new(name, kind, body.as_bytes(), needs);
        for (i, body) in self.clusters.iter().enumerate().filter(|(_, body)| **body > 0) {
            let mut needs = vec![(Endpoint, format!("c{i}"))];
            if i == 0 {
                needs.push((Secret, "s".to_owned()));
                all.push(new(Secret, "s".to_owned(), "key".to_owned(), vec![]));
            }
            all.push(new(Cluster, format!("c{i}"), body.to_string(), needs));
            all.push(new(Endpoint, format!("c{i}"), self.endpoints[i].to_string(), vec![]));
        }
        for (i, body) in self.listeners.iter().enumerate().filter(|(_, body)| **body > 0) {
            let needs = vec![(Route, format!("r{i}"))];
            all.push(new(Listener, format!("l{i}"), body.to_string(), needs));
            let (body, bits) = self.routes[i];
            let needs: Vec<_> = (0..4)
                .filter(|c| bits & (1 << c) != 0 && self.clusters[*c] > 0)
                .map(|c| (Cluster, format!("c{c}")))
                .collect();
            all.push(new(Route, format!("r{i}"), format!("{body} {needs:?}"), needs));
        }
        all.into_iter().collect()
    }
}

fn worlds() -> impl Strategy<Value = World> {
    let clusters = prop::array::uniform4(0..3u8);
    let routes = prop::array::uniform2((0..3u8, 0..16u8));
    (clusters, prop::array::uniform4(0..3u8), prop::array::uniform2(0..3u8), routes)
        .prop_map(|(clusters, endpoints, listeners, routes)| World { clusters, endpoints, listeners, routes })
}

fn publications() -> impl Strategy<Value = Step> {
    let how = prop_oneof![6 => Just(How::Update), 2 => Just(How::Publish), 1 => Just(How::Anew)];
    let count = prop_oneof![3 => Just(1..2usize), 1 => Just(2..5)];
    count.prop_flat_map(move |count| {
        prop::collection::vec((worlds(), how.clone()), count).prop_map(Step::Publish)
    })
}

fn walks() -> impl Strategy<Value = Walk> {
    let verdict = prop_oneof![
        8 => Just(Verdict::Accept),
        1 => Just(Verdict::RejectAll),
        1 => Just(Verdict::RejectFirst),
        2 => Just(Verdict::NotReady)
    ];
    let extra = || prop_oneof![(Just(Endpoint), 0..4usize), (Just(Route), 0..2usize)];
    let step = prop_oneof![
        4 => publications(),
        16 => verdict.prop_map(Step::Answer),
        2 => (1..3000u64).prop_map(Step::Wait),
        1 => Just(Step::Reconnect),
        2 => (extra(), any::<bool>()).prop_map(|((kind, i), on)| Step::Want(kind, i, on)),
        1 => prop_oneof![extra(), (Just(Cluster), 0..4usize)].prop_map(|(kind, i)| Step::AskAgain(kind, i)),
    ];
    prop::collection::vec(step, 1..60).prop_map(Walk)
}

fn name(kind: ResourceType, i: usize) -> String {
    let letter = if kind == Route { 'r' } else { 'c' };
    format!("{letter}{i}")
}

// --- The client ---

enum Connection {
    Delta(DeltaConnection),
    Sotw(SotwConnection),
}

impl Connection {
    fn new(is_delta: bool) -> Self {
        match is_delta {
            true => Self::Delta(DeltaConnection::new(SETTINGS)),
            false => Self::Sotw(SotwConnection::new(SETTINGS)),
        }
    }
}

macro_rules! either {
    ($connection:expr, $it:ident => $call:expr) => {
        match $connection {
            Connection::Delta($it) => $call,
            Connection::Sotw($it) => $call,
        }
    };
}

type Key = (ResourceType, String);

struct Client {
    /// What was said, for the case that a rule is broken.
    log: Vec<String>,
    is_delta: bool,
    connection: Connection,
    now: Instant,
    writer: SnapshotWriter,
    snapshot: Option<Arc<Snapshot>>,
    /// Responses to answer, each with the resources that the server deems new in it.
    inbox: VecDeque<(Response, Vec<Arc<Resource>>)>,
    holds: BTreeMap<Key, Arc<Resource>>,
    /// What it wants beyond what it needs.
    extra: BTreeSet<Key>,
    /// The names it told the server that it wants.
    told: BTreeMap<ResourceType, BTreeSet<String>>,
    opened: BTreeSet<ResourceType>,
    /// State of the world: the last accepted version.
    accepted: BTreeMap<ResourceType, ResourceVersion>,
    /// Since when it cannot use a cluster.
    not_ready: BTreeMap<String, Instant>,
    /// Versions it refused and that are still published.
    refused: BTreeSet<(Key, ResourceVersion)>,

    // What the stream has seen, to judge the next response.
    sent: BTreeMap<Key, ResourceVersion>,
    may_repeat: BTreeSet<Key>,
    /// State of the world: what the lists of this stream have brought.
    listed: BTreeMap<Key, ResourceVersion>,
    /// State of the world: routes that it has although they were gone for a while; the server knows nothing
    /// of them.
    forgotten: BTreeSet<String>,
    /// What it accepted on this stream.
    good: BTreeMap<Key, ResourceVersion>,
    /// Clusters that routes may name although they are not known to work: it was not said in time that they
    /// do, or they or their endpoints were refused. Until endpoints are accepted.
    excused: BTreeSet<String>,
}

impl Client {
    fn new(is_delta: bool) -> Self {
        let mut client = Self {
            log: Vec::new(),
            is_delta,
            connection: Connection::new(is_delta),
            now: Instant::now(),
            writer: SnapshotWriter::new(),
            snapshot: None,
            inbox: VecDeque::new(),
            holds: BTreeMap::new(),
            extra: BTreeSet::new(),
            told: BTreeMap::new(),
            opened: BTreeSet::new(),
            accepted: BTreeMap::new(),
            not_ready: BTreeMap::new(),
            refused: BTreeSet::new(),
            sent: BTreeMap::new(),
            may_repeat: BTreeSet::new(),
            listed: BTreeMap::new(),
            good: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            excused: BTreeSet::new(),
        };
        client.open();
        client
    }

    fn walk(&mut self, step: &Step) {
        self.log.push(format!("{step:?}"));
        match step {
            Step::Publish(worlds) => {
                let snapshots = worlds.iter().map(|(world, how)| self.write(world.snapshot(), *how));
                let last = snapshots.last().unwrap();
                self.publish(last);
            }
            Step::Answer(verdict) => self.answer(*verdict),
            Step::Wait(milliseconds) => self.tick(self.now + Duration::from_millis(*milliseconds)),
            Step::Reconnect => self.reconnect(),
            Step::Want(kind, i, true) => {
                self.extra.insert((*kind, name(*kind, *i)));
                self.state_wants();
            }
            Step::Want(kind, i, false) => {
                self.extra.remove(&(*kind, name(*kind, *i)));
                self.state_wants();
            }
            Step::AskAgain(kind, i) => self.ask_again(*kind, &name(*kind, *i)),
        }
    }

    /// The snapshot that streams would get.
    fn write(&mut self, snapshot: Snapshot, how: How) -> Arc<Snapshot> {
        let (group, cache) = (NodeGroup::new("g"), self.writer.cache());
        let before = cache.snapshot_of(&group);
        let differs = match how {
            How::Update => {
                let is_gone = |r: &&Arc<Resource>| snapshot.get(r.resource_type(), r.name()).is_none();
                let gone = before.iter().flat_map(|before| before.iter()).filter(is_gone);
                let removed = gone.map(|r| ResourceChange::Remove(r.resource_type(), r.name().clone()));
                self.writer.update(&group, removed.chain(snapshot.iter().cloned().map(ResourceChange::Set)))
            }
            How::Publish => self.writer.publish(&group, snapshot.clone()),
            How::Anew => return Arc::new(snapshot),
        };
        let written = cache.snapshot_of(&group).unwrap();
        assert!(written.same_versions(&snapshot), "versions depend on content only");
        assert_eq!(differs, before.is_none_or(|before| !Arc::ptr_eq(&before, &written)));
        for (i, kind) in (0..4).flat_map(|i| [Cluster, Endpoint, Route].map(|kind| (i, kind))) {
            let name = name(kind, i);
            assert_eq!(written.is_needed(kind, &name), snapshot.is_needed(kind, &name));
        }
        written
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>) {
        let version = |(kind, name): &Key| snapshot.get(*kind, name).map(|resource| resource.version());
        self.refused.retain(|(key, refused)| version(key) == Some(*refused));
        // A version may come back after another was published.
        self.sent.retain(|key, sent| version(key) == Some(*sent));
        if !self.is_delta {
            let routes = self.holds.keys().filter(|(kind, _)| *kind == Route);
            let gone = routes.filter(|(_, name)| snapshot.get(Route, name).is_none());
            self.forgotten.extend(gone.map(|(_, name)| name.clone()));
        }
        self.snapshot = Some(snapshot.clone());
        either!(&mut self.connection, it => it.on_snapshot(snapshot, self.now));
        self.receive();
    }

    fn tick(&mut self, now: Instant) {
        self.now = now;
        either!(&mut self.connection, it => it.on_tick(now));
        self.receive();
        let deadline = either!(&self.connection, it => it.next_deadline());
        assert!(deadline.is_none_or(|at| at > now), "a deadline that has passed was acted on");
    }

    fn reconnect(&mut self) {
        self.connection = Connection::new(self.is_delta);
        self.inbox.clear();
        self.told.clear();
        self.opened.clear();
        self.refused.clear();
        self.not_ready.clear();
        self.sent.clear();
        self.may_repeat.clear();
        self.listed.clear();
        self.good.clear();
        self.excused.clear();
        if let Some(snapshot) = self.snapshot.clone() {
            for kind in [Cluster, Listener] {
                if self.accepted.get(&kind) == Some(&snapshot.version(kind)) {
                    let all = snapshot.resources(kind).iter();
                    self.listed.extend(all.map(|r| ((kind, r.name().to_string()), r.version())));
                    self.good = self.listed.clone();
                }
            }
            either!(&mut self.connection, it => it.on_snapshot(snapshot, self.now));
        }
        self.open();
    }

    /// The first requests of a stream.
    fn open(&mut self) {
        for kind in [Cluster, Listener] {
            self.request(kind, &[], &[], None);
        }
        self.state_wants();
    }

    fn ask_again(&mut self, kind: ResourceType, name: &str) {
        let told = self.told.entry(kind).or_default();
        if !self.is_delta || (kind != Cluster && !told.contains(name)) {
            return;
        }
        told.insert(name.to_owned());
        self.may_ask((kind, name.to_owned()));
        self.request(kind, &[name.to_owned()], &[], None);
    }

    fn may_ask(&mut self, key: Key) {
        self.refused.retain(|(refused, _)| *refused != key);
        self.may_repeat.insert(key);
    }

    /// Tells the server about names that it now wants or no longer wants.
    fn state_wants(&mut self) {
        for kind in [Endpoint, Secret, Route] {
            let mut wants: BTreeSet<String> =
                self.extra.iter().filter(|(k, _)| *k == kind).map(|(_, name)| name.clone()).collect();
            let needs = self.holds.values().filter(|r| [Cluster, Listener].contains(&r.resource_type()));
            wants.extend(needs.flat_map(|r| r.needs()).filter(|(k, _)| *k == kind).map(|(_, n)| n.clone()));
            let told = self.told.insert(kind, wants.clone()).unwrap_or_default();
            if told == wants {
                continue;
            }
            let asked: Vec<String> = wants.difference(&told).cloned().collect();
            let dropped: Vec<String> = told.difference(&wants).cloned().collect();
            for name in &dropped {
                let key = (kind, name.clone());
                self.holds.remove(&key);
                self.sent.remove(&key);
                self.refused.retain(|(refused, _)| *refused != key);
            }
            // What a reconnecting delta client has need not be repeated.
            let resumes = self.is_delta && !self.opened.contains(&kind);
            for key in asked.iter().map(|name| (kind, name.clone())) {
                if !resumes || !self.holds.contains_key(&key) {
                    self.may_ask(key);
                }
            }
            self.request(kind, &asked, &dropped, None);
        }
    }

    /// Answers the oldest response, and acts on it.
    fn answer(&mut self, verdict: Verdict) {
        let Some((response, news)) = self.inbox.pop_front() else { return };
        let kind = response.resource_type;
        let (refused, message) = match (verdict, news.first()) {
            (Verdict::Accept, _) | (_, None) => (vec![], None),
            (Verdict::NotReady, Some(first)) => match kind == Cluster {
                true => (vec![first.clone()], Some(not_ready(&[&**first.name()]))),
                false => (vec![], None),
            },
            (Verdict::RejectAll, _) => (news.clone(), Some("no".to_owned())),
            (Verdict::RejectFirst, Some(first)) => {
                (vec![first.clone()], Some(format!("bad: {}", first.name())))
            }
        };

        // They come again one by one.
        let is_split = kind == Endpoint && matches!(verdict, Verdict::RejectAll) && refused.len() > 1;
        if self.lists_in_full(kind) {
            let listed = |name: &str| response.resources.iter().any(|r| &**r.name() == name);
            self.holds.retain(|(k, name), _| *k != kind || listed(name));
        }
        for name in &response.removed {
            self.holds.remove(&(kind, name.to_string()));
        }
        for resource in response.resources {
            let key = (kind, resource.name().to_string());
            if refused.iter().any(|r| r.name() == resource.name()) {
                match verdict {
                    _ if is_split => self.may_repeat.extend([key]),
                    Verdict::NotReady => self.cannot_use(key),
                    _ => self.refuse(key, &resource),
                }
                continue;
            }
            if matches!(verdict, Verdict::RejectAll) && message.is_some() {
                continue;
            }
            self.refused.remove(&(key.clone(), resource.version()));
            if kind == Cluster {
                self.not_ready.remove(&key.1);
            }
            self.good.insert(key.clone(), resource.version());
            let exists = self.snapshot.as_ref().unwrap().get(kind, &key.1).is_some();
            if kind == Route && (exists || self.is_delta) {
                self.forgotten.remove(&key.1);
            } else if kind == Route {
                self.forgotten.insert(key.1.clone());
            }
            let is_changing = |(response, _): &(Response, Vec<Arc<Resource>>)| {
                let is_it = |r: &Arc<Resource>| r.resource_type() == Cluster && **r.name() == *key.1;
                response.resources.iter().any(is_it)
            };
            if kind == Endpoint && !self.inbox.iter().any(is_changing) {
                self.excused.remove(&key.1);
            }
            if kind == Cluster || kind == Listener || self.told[&kind].contains(&key.1) {
                self.holds.insert(key, resource);
            }
        }
        match message {
            None => self.accepted.insert(kind, response.version),
            // It may have applied a part, so that the version it states says too little. See `sotw.rs`.
            Some(_) => self.accepted.insert(kind, ResourceVersion::of(b"not quite")),
        };
        self.request(kind, &[], &[], Some((response.nonce, message)));
        self.state_wants();
    }

    /// It comes again.
    fn cannot_use(&mut self, key: Key) {
        self.fall_back(&key);
        let since = *self.not_ready.entry(key.1.clone()).or_insert(self.now);
        if self.now >= since + SETTINGS.gate_timeout {
            self.excused.insert(key.1.clone());
        }
        let is_refused = self.refused.iter().any(|(refused, _)| *refused == key);
        if is_refused && !self.is_delta {
            // It was listed all the same, lest it be taken for deleted.
            return;
        }
        // It was sent twice, and refused the first time: the last word counts.
        self.refused.retain(|(refused, _)| *refused != key);
        self.may_repeat.insert(key);
    }

    fn fall_back(&mut self, key: &Key) {
        match self.good.get(key) {
            Some(good) => self.listed.insert(key.clone(), *good),
            None => self.listed.remove(key),
        };
    }

    fn refuse(&mut self, key: Key, resource: &Resource) {
        self.fall_back(&key);
        if matches!(key.0, Cluster | Endpoint) {
            self.excused.insert(key.1.clone());
        }
        let snapshot = self.snapshot.as_ref().unwrap();
        let is_wanted = !matches!(key.0, Endpoint | Secret | Route) || self.told[&key.0].contains(&key.1);
        if is_wanted && snapshot.get(key.0, &key.1).is_some_and(|r| r.version() == resource.version()) {
            self.refused.insert((key, resource.version()));
        }
    }

    fn request(
        &mut self,
        kind: ResourceType,
        subscribe: &[String],
        unsubscribe: &[String],
        answer: Option<(u64, Option<String>)>,
    ) {
        let first = self.opened.insert(kind);
        self.log.push(format!("  -> {kind} +{subscribe:?} -{unsubscribe:?} {answer:?}"));
        let nonce = answer.as_ref().map(|(nonce, _)| nonce.to_string()).unwrap_or_default();
        let error_detail = answer.and_then(|(_, message)| message).and_then(|message| error(&message));
        match &mut self.connection {
            Connection::Delta(connection) => {
                let mut request = DeltaDiscoveryRequest {
                    resource_names_subscribe: subscribe.to_vec(),
                    resource_names_unsubscribe: unsubscribe.to_vec(),
                    response_nonce: nonce,
                    error_detail,
                    ..delta_request(kind, &[], &[])
                };
                if first {
                    let held = self.holds.iter().filter(|((k, _), _)| *k == kind);
                    request.initial_resource_versions =
                        held.map(|((_, name), r)| (name.clone(), r.version().to_string())).collect();
                }
                connection.on_request(&request, self.now);
            }
            Connection::Sotw(connection) => {
                let names = self.told.get(&kind).into_iter().flatten();
                let request = DiscoveryRequest {
                    resource_names: names.cloned().collect(),
                    version_info: self.accepted.get(&kind).map(|v| v.to_string()).unwrap_or_default(),
                    response_nonce: nonce,
                    error_detail,
                    ..sotw_request(kind, &[], "", "")
                };
                connection.on_request(&request, self.now);
            }
        }
        self.receive();
    }

    fn lists_in_full(&self, kind: ResourceType) -> bool {
        !self.is_delta && [Cluster, Listener].contains(&kind)
    }

    // --- What must hold of every response ---

    fn receive(&mut self) {
        let mut timed_out = Vec::new();
        for observation in either!(&mut self.connection, it => it.take_observations()) {
            if let Observation::GateTimeout { clusters } = observation {
                timed_out.extend(clusters);
            }
        }
        self.excused.extend(timed_out.iter().cloned());
        for response in either!(&mut self.connection, it => it.take_responses()) {
            let names =
                response.resources.iter().map(|r| format!("{} {:.4}", r.name(), r.version().to_string()));
            let names: Vec<String> = names.collect();
            let line = format!(
                "  <- {} {} {names:?} -{:?}",
                response.nonce, response.resource_type, response.removed
            );
            self.log.push(line + &timed_out.join(","));
            let good = self.good.clone();
            let news = match self.lists_in_full(response.resource_type) {
                true => self.note_listing(&response),
                false => {
                    self.check_repetition(&response);
                    response.resources.clone()
                }
            };
            // They may be among what was just sent.
            self.excused.extend(timed_out.iter().cloned());
            self.check_removals(&response, &good);
            if response.resource_type == Route {
                response.resources.iter().for_each(|route| self.check_reach(route));
            }
            self.inbox.push_back((response, news));
        }
    }

    /// Returns what is new in a list in full.
    fn note_listing(&mut self, response: &Response) -> Vec<Arc<Resource>> {
        let before = self.listed.clone();
        self.listed.retain(|(kind, _), _| *kind != response.resource_type);
        let mut news = Vec::new();
        for resource in &response.resources {
            let key = (response.resource_type, resource.name().to_string());
            let version = resource.version();
            if self.refused.contains(&(key.clone(), version)) {
                // Listed all the same, lest it be taken for deleted; but nobody waits for it.
                self.excused.insert(key.1.clone());
            }
            if before.get(&key) != Some(&version) {
                news.push(resource.clone());
            }
            if before.get(&key) != Some(&version) || self.good.get(&key) != Some(&version) {
                self.note_cluster(resource);
            }
            self.listed.insert(key, version);
        }
        // What is listed no more is forgotten.
        let listed = &self.listed;
        self.good.retain(|key, _| key.0 != response.resource_type || listed.contains_key(key));
        news
    }

    /// After a cluster its endpoints are sent again, whatever is held.
    fn note_cluster(&mut self, resource: &Resource) {
        if resource.resource_type() == Cluster {
            self.may_repeat.extend(resource.needs().iter().cloned());
        }
    }

    /// Nothing is sent twice with one version, unless asked for again or because its cluster was sent.
    fn check_repetition(&mut self, response: &Response) {
        for resource in &response.resources {
            let key = (response.resource_type, resource.name().to_string());
            let repeated = self.sent.insert(key.clone(), resource.version()) == Some(resource.version());
            let was_refused = self.refused.contains(&(key.clone(), resource.version()));
            assert!(self.may_repeat.remove(&key) || !repeated, "{key:?} was sent twice");
            assert!(!was_refused, "{key:?} was refused and sent again");
            self.note_cluster(resource);
        }
        for name in &response.removed {
            self.sent.remove(&(response.resource_type, name.to_string()));
        }
    }

    /// A cluster goes only after all routes that point to it.
    fn check_removals(&self, response: &Response, good: &BTreeMap<Key, ResourceVersion>) {
        if response.resource_type != Cluster {
            return;
        }
        let snapshot = self.snapshot.as_ref().unwrap();
        let listed = |name: &str| response.resources.iter().any(|r| &**r.name() == name);
        let is_gone = |name: &str| match self.is_delta {
            true => response.removed.iter().any(|removed| &**removed == name),
            // A cluster of which this stream brought nothing good cannot be kept.
            false => !listed(name) && good.contains_key(&(Cluster, name.to_owned())),
        };
        let is_known = |r: &&Arc<Resource>| !self.forgotten.contains(&**r.name());
        let routes = self.holds.values().filter(|r| r.resource_type() == Route).filter(is_known);
        for route in routes.filter(|route| snapshot.get(Route, route.name()).is_some()) {
            for (_, cluster) in route.needs() {
                let held = self.holds.contains_key(&(Cluster, cluster.clone()));
                assert!(!(held && is_gone(cluster)), "{cluster} removed, but {} points to it", route.name());
            }
        }
    }

    /// A route points only to clusters that are acknowledged, with their endpoints.
    fn check_reach(&self, route: &Resource) {
        let refused = |cluster: &String| {
            self.refused.iter().any(|((kind, name), _)| matches!(kind, Cluster | Endpoint) && name == cluster)
        };
        let is_excused = |cluster: &String| self.excused.contains(cluster) || refused(cluster);
        for (_, cluster) in route.needs().iter().filter(|(_, cluster)| !is_excused(cluster)) {
            let held = self.holds.get(&(Cluster, cluster.clone()));
            assert!(held.is_some(), "{} points to {cluster}, which is not acknowledged", route.name());
            let endpoints = self.holds.contains_key(&(Endpoint, cluster.clone()));
            assert!(endpoints, "{} points to {cluster}, which has no endpoints", route.name());
            let in_flight = self.is_delta
                && self.inbox.iter().any(|(response, _)| {
                    let resources = &response.resources;
                    response.resource_type == Cluster && resources.iter().any(|r| **r.name() == **cluster)
                });
            assert!(!in_flight, "{} points to {cluster}, which is being changed", route.name());
        }
    }

    // --- What must hold in the end ---

    /// Accepts everything and lets time pass until nothing more happens.
    fn quiesce(&mut self) {
        for _ in 0..1000 {
            if !self.inbox.is_empty() {
                self.answer(Verdict::Accept);
            } else if let Some(deadline) = either!(&self.connection, it => it.next_deadline()) {
                self.tick(deadline);
            } else {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// The client holds exactly what it wants of the newest snapshot, but for what it refused.
    fn check_holdings(&self) {
        let Some(snapshot) = &self.snapshot else { return };
        for resource in snapshot.iter() {
            let key = (resource.resource_type(), resource.name().to_string());
            let wants = [Cluster, Listener].contains(&key.0) || self.told[&key.0].contains(&key.1);
            let refused = self.refused.contains(&(key.clone(), resource.version()));
            let held = self.holds.get(&key).map(|resource| resource.version());
            if !refused {
                assert_eq!(held, wants.then(|| resource.version()), "{key:?}");
            }
        }
        let refuses_traffic = self.refused.iter().any(|((kind, _), _)| [Listener, Route].contains(kind));
        for (kind, name) in self.holds.keys().filter(|(kind, name)| snapshot.get(*kind, name).is_none()) {
            // Refused routes may need it; and state of the world cannot take a part away.
            let stays = refuses_traffic || !(self.is_delta || self.lists_in_full(*kind));
            assert!(stays, "{kind} {name} is left over");
        }
    }

    /// A client that has everything is sent nothing (state of the world: no list in full) after a reconnect.
    fn check_reconnect(&mut self) {
        if self.snapshot.is_none() || !self.refused.is_empty() {
            return;
        }
        self.reconnect();
        let repeated = |r: &&Response| self.is_delta || [Cluster, Listener].contains(&r.resource_type);
        // A client without anything cannot say that it has been answered.
        let has = |kind| self.holds.keys().any(|(k, _)| *k == kind);
        let sent: Vec<&Response> = self
            .inbox
            .iter()
            .map(|(response, _)| response)
            .filter(repeated)
            .filter(|r| !r.resources.is_empty() && (!self.is_delta || has(r.resource_type)))
            .collect();
        assert!(sent.is_empty(), "sent again: {sent:?}");
    }

    /// What it holds of what exists.
    fn result(&self) -> Vec<(Key, ResourceVersion)> {
        let exists =
            |(kind, name): &Key| self.snapshot.as_ref().is_some_and(|s| s.get(*kind, name).is_some());
        let all = self.holds.iter().filter(|(key, _)| exists(key));
        all.map(|(key, resource)| (key.clone(), resource.version())).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The last one printed belongs to the shortest walk.
            eprintln!("--- delta: {}\n{}", self.is_delta, self.log.join("\n"));
        }
    }
}

fn run(is_delta: bool, steps: &[Step]) -> Client {
    let mut client = Client::new(is_delta);
    steps.iter().for_each(|step| client.walk(step));
    client.quiesce();
    client.check_holdings();
    client.check_reconnect();
    client.quiesce();
    client.check_holdings();
    client
}

/// Always the same walks, so that a failure is not a matter of luck; or as many new ones as
/// `XDS_MODEL_CASES` says.
fn config() -> ProptestConfig {
    let hunt = std::env::var("XDS_MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    match hunt {
        Some(cases) => ProptestConfig { cases, ..config },
        None => ProptestConfig { cases: 600, rng_seed: RngSeed::Fixed(1), ..config },
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_protocols_keep_the_rules_and_end_in_the_same_state(walk in walks()) {
        let delta = run(true, &walk.0);
        let sotw = run(false, &walk.0);
        if delta.refused.is_empty() && sotw.refused.is_empty() {
            prop_assert_eq!(delta.result(), sotw.result());
        }
    }
}
