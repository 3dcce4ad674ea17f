//! Incremental translation: after a change, the units that read what changed are evaluated, and only what comes out
//! different travels on.
//!
//! ```text
//! Change ──► Resources ──► units that read it ──► their values ──► units that read those ──► … ──► Delta
//! ```
//!
//! A unit ([`Key`]) is a pure function of what it looks up in a [`View`](crate::gateway::view::View), which notes what was looked at, there or not
//! ([`Graph`]). What changes is evaluated in a fixed order of stages, so that everything is evaluated once. What is
//! known across units (which routes stand under a hostname, how many routes a listener has) is kept up as values
//! change ([`effects`]). One owner, no threads, no locks: an update is atomic.

mod ai_summary;
mod delta;
mod effects;
mod failure;
mod graph;
mod index;
mod key;
mod output;
mod policies;
mod stage;
mod summary;
mod value;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crds::price_list::PriceList;
use crds::{Kind, NamespacedName, Object, ObjectKey};

pub use ai_summary::{AiProvider, AiRoute};
pub use delta::{Change, Delta, GatewayChange, RouteChange};
pub use summary::{ServedHost, ServedListener};

use crate::gateway::backend::Selection;
use crate::gateway::class::is_of_a_peer;
use crate::gateway::facts::{BackendKey, GatewayKey, OrderKey, RouteKey, RouteVersion};
use crate::resources::{Group, groups};
use crate::status::Report;
use crate::xds::Table;
use crate::{Resources, Settings};
use failure::Failures;
use graph::Graph;
use index::{Index, TableKey};
use key::Key;
use output::{Outputs, Touched};
use view::Reading;

/// What is served of a route instead of its newest version, because proxies refuse that.
#[derive(Clone, Debug, PartialEq)]
pub enum Hold {
    /// An earlier version.
    Version(Arc<RouteVersion>),
    /// Its matches as they are, each answered with an error.
    Errors,
    /// Nothing.
    Nothing,
}

/// Translates, and remembers what it needs to translate the next change.
#[derive(Debug)]
pub struct Translator {
    resources: Resources,
    settings: Settings,
    holds: BTreeMap<RouteKey, Hold>,
    graph: Graph,
    index: Index,
    tables: BTreeMap<TableKey, Table<OrderKey>>,
    outputs: Outputs,
    failures: Failures,
}

/// What an update has changed so far.
#[derive(Debug, Default)]
struct Update {
    touched: Touched,
    /// Objects whose status may be another.
    reported: BTreeSet<ObjectKey>,
    /// XBackends whose pods are others.
    selections: BTreeMap<NamespacedName, Option<Arc<Selection>>>,
    /// Routes that are held and have another newest version.
    edited: BTreeSet<RouteKey>,
    evaluations: BTreeMap<&'static str, usize>,
    panics: usize,
}

impl Translator {
    /// A translator without objects.
    pub fn new(settings: Settings) -> Self {
        let mut translator = Self {
            resources: Resources::default(),
            settings,
            holds: BTreeMap::new(),
            graph: Graph::default(),
            index: Index::default(),
            tables: BTreeMap::new(),
            outputs: Outputs::default(),
            failures: Failures::default(),
        };
        translator.schedule_implied_classes();
        translator
    }

    /// Takes changes in, all at once, and says what comes of them.
    pub fn update(&mut self, changes: impl IntoIterator<Item = Change>) -> Delta {
        for change in changes {
            match change {
                Change::Apply(object) => self.apply(object),
                Change::Delete(object) => {
                    if let Some(key) = ObjectKey::find(&object) {
                        self.delete(&key);
                    }
                }
            }
        }
        self.run(Update::default())
    }

    /// Takes new settings in.
    pub fn set_settings(&mut self, settings: Settings) -> Delta {
        let before = std::mem::replace(&mut self.settings, settings);
        let mut update = Update::default();
        let with_new_trust = Settings { trust: self.settings.trust.clone(), ..before.clone() };
        if with_new_trust == self.settings {
            if before.trust != self.settings.trust {
                self.graph.schedule_readers(&Key::Trust);
            }
        } else {
            let implied = before.implied_classes.into_iter().map(Key::Class);
            implied.for_each(|class| self.graph.schedule(class));
            self.schedule_implied_classes();
            self.graph.schedule_all();
            // What does not come from units depends on settings, too.
            self.outputs.send_again(&mut update.touched);
        }
        self.run(update)
    }

    /// Has other versions of some routes served than the newest; `None` ends that.
    pub fn hold(&mut self, holds: impl IntoIterator<Item = (RouteKey, Option<Hold>)>) -> Delta {
        for (route, hold) in holds {
            let before = match &hold {
                Some(hold) => self.holds.insert(route.clone(), hold.clone()),
                None => self.holds.remove(&route),
            };
            if before != hold {
                self.graph.schedule(Key::Served(route));
            }
        }
        self.run(Update::default())
    }

    /// The objects. For whoever starts over, when an update has failed.
    pub fn into_resources(self) -> Resources {
        self.resources
    }

    /// How many units and inputs are remembered; none once all objects are gone.
    pub fn remembered(&self) -> usize {
        let implied = self.settings.implied_classes.len();
        self.graph.len() + usize::from(!self.index.is_empty()) + self.tables.len() + self.outputs.len()
            - implied.min(self.graph.len())
    }

    fn schedule_implied_classes(&mut self) {
        let implied = self.settings.implied_classes.iter().cloned().map(Key::Class);
        implied.for_each(|class| self.graph.schedule(class));
    }

    // --- Inputs ---

    fn apply(&mut self, object: Object) {
        let key = object.key();
        let before = self.resources.object(&key);
        if before == Some(&object) {
            return;
        }
        let is_new = before.is_none();
        let after = groups(&object);
        let before = self.resources.put(&key, object);
        self.schedule_readers_of(&key, before.as_ref(), self.resources.object(&key).cloned().as_ref());
        let before_object = before;
        let before = before_object.as_ref().map(groups).unwrap_or_default();
        for group in before.into_iter().chain(after) {
            self.graph.schedule_readers(&Key::Group(group));
        }
        self.schedule_policies(&key, before_object.as_ref(), self.resources.object(&key).cloned().as_ref());
        if is_new {
            Key::rooted_in(&key).into_iter().for_each(|unit| self.graph.schedule(unit));
        }
    }

    fn delete(&mut self, key: &ObjectKey) {
        let Some(before) = self.resources.take(key) else { return };
        self.schedule_readers_of(key, Some(&before), None);
        for group in groups(&before) {
            self.graph.schedule_readers(&Key::Group(group));
        }
        self.schedule_policies(key, Some(&before), None);
        Key::rooted_in(key).into_iter().for_each(|unit| self.graph.schedule(unit));
    }

    fn schedule_readers_of(&mut self, key: &ObjectKey, before: Option<&Object>, after: Option<&Object>) {
        self.graph.schedule_readers(&Key::Object(key.clone()));
        let is_of_a_peer =
            |object: &Object| matches!(object, Object::GatewayClass(class) if is_of_a_peer(class));
        if before.is_some_and(is_of_a_peer) != after.is_some_and(is_of_a_peer) {
            self.graph.schedule_readers(&Key::Peers);
        }
        let labels = |object: &Object| object.metadata().labels().cloned();
        if key.kind == Kind::Namespace && before.and_then(labels) != after.and_then(labels) {
            self.graph.schedule_readers(&Key::Labels(key.name.name.to_string()));
        }
    }

    // --- Work ---

    fn run(&mut self, mut update: Update) -> Delta {
        loop {
            while let Some(key) = self.graph.next_dirty() {
                self.evaluate(&key, &mut update);
            }
            let (resources, index) = (&self.resources, &self.index);
            let gone = self.graph.collect_garbage(|key| is_possible(key, resources, index));
            if gone.is_empty() {
                break;
            }
            for (key, before) in gone {
                self.take_effect(&key, Some(&before), None, &mut update);
            }
        }
        self.finish(update)
    }

    fn evaluate(&mut self, key: &Arc<Key>, update: &mut Update) {
        let view = Reading {
            resources: &self.resources,
            settings: &self.settings,
            graph: &self.graph,
            index: &self.index,
            holds: &self.holds,
            reads: Default::default(),
            missing: Default::default(),
        };
        let result = catch_unwind(AssertUnwindSafe(|| stage::evaluate(&view, key)));
        let Reading { reads, missing, .. } = view;
        let (reads, missing) = (reads.into_inner(), missing.into_inner());
        *update.evaluations.entry(key.name()).or_default() += 1;
        if !missing.is_empty() {
            // Once what is missing is known, this unit comes again.
            missing.into_iter().for_each(|unit| self.graph.schedule(unit));
            self.graph.schedule(Key::clone(key));
            return;
        }
        let Ok(value) = result else {
            update.panics += 1;
            update.reported.extend(self.failures.note(key));
            self.graph.keep(key, reads);
            return;
        };
        update.reported.extend(self.failures.clear(key));
        let before = self.graph.replace(key, value.clone(), reads);
        if before != value {
            self.graph.schedule_readers(key);
            self.take_effect(key, before.as_ref(), value.as_ref(), update);
        }
    }

    fn finish(&mut self, update: Update) -> Delta {
        let Update { mut touched, reported, selections, edited, evaluations, panics } = update;
        let reports = reported.into_iter().map(|object| {
            let report = self.failures.overlay(&object, self.report(&object), self.resources.object(&object));
            (object.to_ref(), report)
        });
        let reports = reports.collect();
        let mut routes = std::mem::take(&mut touched.routes);
        for (route, change) in &mut routes {
            change.is_gone = self.graph.value(&Key::Route(route.clone())).is_none();
        }
        let gateways = self.outputs.take(touched, &self.graph, &self.index, &mut self.tables, &self.settings);
        Delta { gateways, reports, selections, routes, edited, evaluations, panics }
    }

    /// What there is to tell about an object.
    fn report(&self, object: &ObjectKey) -> Option<&Arc<Report>> {
        self.graph.value(&Key::reporting(object)?)?.report()
    }
}

/// Whether a unit without a value may get one without being scheduled by name: by a change of what it reads.
fn is_possible(key: &Key, resources: &Resources, index: &Index) -> bool {
    let exists =
        |kind, name: &GatewayKey| resources.object(&ObjectKey { kind, name: name.clone() }).is_some();
    match key {
        Key::Class(name) => exists(Kind::GatewayClass, &GatewayKey::new("", name)),
        Key::ListenerSetReport(set) => exists(Kind::ListenerSet, set),
        Key::Gateway(gateway) | Key::GatewayReport(gateway) => exists(Kind::Gateway, gateway),
        Key::Placement(gateway) | Key::Proxy(gateway) | Key::Secrets(gateway) => {
            index.gateways.contains(gateway)
        }
        Key::ParametersReport(object) => index.parameters.get(object) > 0,
        Key::Selection(backend) => exists(Kind::XBackend, backend),
        Key::Backend(BackendKey::Object(object)) | Key::BackendReport(object) => {
            resources.object(object).is_some()
        }
        Key::Route(route) | Key::Attachment(route) | Key::Served(route) => resources.object(route).is_some(),
        Key::PolicyReport(object) => resources.object(object).is_some(),
        Key::Prices(namespace) => {
            let group = Group::InNamespace(Kind::PriceList, namespace.as_str().into());
            resources.members::<PriceList>(&group).next().is_some()
        }
        Key::Host(host) => {
            index.routes_at(&(host.gateway.clone(), host.table.clone()), &host.hostname).next().is_some()
        }
        Key::Entry(host, route) => {
            let table = (host.gateway.clone(), host.table.clone());
            index.has_host(&table, &host.hostname) && index.is_over(&table, &host.hostname, route)
        }
        _ => false,
    }
}
