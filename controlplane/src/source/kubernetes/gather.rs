//! Joins the events of all kinds to updates. Pure: no clock, no network.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::sync::Arc;

use crds::{Kind, KindInfo, NamespacedName, Object, ObjectKey};
use serde_json::Value;

use super::inventory::HeldObject;
use super::object::{self, Content, Incoming};
use super::watch::KindEvent;
use super::{Observation, by_kind};
use crate::controller_name::ControllerName;
use crate::source::{Change, Finding, Place, Severity, Update, rule};

/// What is known of every kind, and what of it is not yet passed on.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// As whom statuses are written.
    controller: ControllerName,
    kinds: BTreeMap<(&'static str, &'static str), KindState>,
    /// By object: only its newest change counts.
    changes: BTreeMap<ObjectKey, Change>,
    findings_changed: bool,
    observations: Vec<Observation>,
    /// Whether the first update was taken.
    is_open: bool,
}

#[derive(Debug, Default)]
struct KindState {
    /// Whether it was listed, or is known not to exist.
    is_known: bool,
    /// Why it cannot be read at this time.
    failing: Option<String>,
    /// Every object with a name, also those that cannot be read.
    objects: BTreeMap<NamespacedName, Entry>,
    /// Those about which there is something to say.
    noted: BTreeSet<NamespacedName>,
}

#[derive(Debug, Default, PartialEq)]
struct Entry {
    resource_version: Arc<str>,
    /// `None` for one that cannot be read or is none of our business.
    object: Option<Object>,
    findings: Box<[Finding]>,
}

impl Gatherer {
    pub(super) fn new(kinds: &'static [KindInfo], controller: ControllerName) -> Self {
        Self {
            controller,
            kinds: by_kind(kinds, KindState::default),
            changes: BTreeMap::new(),
            findings_changed: false,
            observations: Vec::new(),
            is_open: false,
        }
    }

    pub(super) fn take_in(&mut self, kind: &KindInfo, event: KindEvent) {
        match event {
            KindEvent::Listed(values) => self.replace(kind, values),
            KindEvent::Handed(values) => self.take_over(kind, values),
            KindEvent::Absent => self.replace(kind, Vec::new()),
            KindEvent::Applied(value) => self.apply(kind, value),
            KindEvent::Deleted(value) => {
                if let Some(key) = object::key(kind, &value) {
                    self.delete(kind, &key);
                }
            }
            KindEvent::Failing(message) => self.set_failing(kind, Some(message)),
            KindEvent::Recovered => self.set_failing(kind, None),
        }
    }

    /// Whether there is an update to take. The first one needs every kind.
    pub(super) fn has_news(&self) -> bool {
        match self.is_open {
            true => self.findings_changed || !self.changes.is_empty(),
            false => self.kinds.values().all(|kind| kind.is_known),
        }
    }

    /// Everything since the last update.
    pub(super) fn take_update(&mut self) -> Update {
        let is_first = !mem::replace(&mut self.is_open, true);
        let have_changed = mem::take(&mut self.findings_changed) || is_first;
        Update {
            changes: mem::take(&mut self.changes).into_values().collect(),
            findings: have_changed.then(|| self.findings()),
        }
    }

    /// News of objects that carry a status of ours.
    pub(super) fn take_observations(&mut self) -> Vec<Observation> {
        mem::take(&mut self.observations)
    }

    /// Every object that is some business of ours.
    pub(super) fn held_objects(&self) -> Vec<HeldObject> {
        let of_kind = |(&(group, kind), state): (&(&'static str, &'static str), &KindState)| {
            let kind = Kind::find(group, kind);
            let entries = state.objects.iter();
            let ours = entries.filter(|(_, entry)| entry.object.is_some() || !entry.findings.is_empty());
            let held = ours.filter_map(|(name, entry)| {
                Some(HeldObject {
                    object: ObjectKey { kind: kind?, name: name.clone() }.to_ref(),
                    resource_version: entry.resource_version.clone(),
                    is_readable: entry.object.is_some(),
                })
            });
            held.collect::<Vec<_>>()
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }

    /// The kinds that are not known yet, each with what is in the way.
    pub(super) fn waiting_for(&self) -> Vec<String> {
        let unknown = self.kinds.iter().filter(|(_, state)| !state.is_known);
        let words = unknown.map(|((_, kind), state)| match &state.failing {
            Some(message) => format!("the list of {kind} objects ({message})"),
            None => format!("the list of {kind} objects"),
        });
        words.collect()
    }

    /// All objects of a kind as documents, if they are known and the kind is one that is handed on.
    pub(super) fn documents(&self, kind: &KindInfo) -> Option<Vec<Value>> {
        let state = self.kinds.get(&(kind.group, kind.kind)).filter(|_| kind.id.is_handed_on());
        let state = state.filter(|state| state.is_known)?;
        let objects = state.objects.values().filter_map(|entry| entry.object.as_ref());
        objects.map(Object::to_document).collect()
    }

    /// What another replica has read stands for what cannot be read. Nothing is known of the objects' statuses, which
    /// therefore stay as they are.
    fn take_over(&mut self, kind: &KindInfo, values: Vec<Value>) {
        let observed = self.observations.len();
        self.replace_objects(kind, values);
        self.observations.truncate(observed);
    }

    fn replace(&mut self, kind: &KindInfo, values: Vec<Value>) {
        self.set_failing(kind, None);
        self.replace_objects(kind, values);
    }

    fn replace_objects(&mut self, kind: &KindInfo, values: Vec<Value>) {
        let Some(state) = self.kinds.get_mut(&(kind.group, kind.kind)) else { return };
        state.is_known = true;
        let listed: BTreeSet<NamespacedName> =
            values.iter().filter_map(|value| Some(object::key(kind, value)?.name)).collect();
        let gone: Vec<_> = state.objects.keys().filter(|name| !listed.contains(name)).cloned().collect();
        gone.into_iter()
            .map(|name| ObjectKey { kind: kind.id, name })
            .for_each(|key| self.delete(kind, &key));
        values.into_iter().for_each(|value| self.apply(kind, value));
    }

    fn apply(&mut self, kind: &KindInfo, value: Value) {
        let Some(incoming) = object::read(kind, value, &self.controller) else { return };
        let Incoming { key, resource_version, observed, content } = incoming;
        if observed.is_some() {
            self.observations.push((key.clone(), observed));
        }
        let entry = match content {
            Content::Stored(object, findings) => Entry { resource_version, object: Some(object), findings },
            Content::Invalid(finding) => {
                Entry { resource_version, object: None, findings: Box::new([finding]) }
            }
            Content::Foreign => Entry::default(),
        };
        let Some(state) = self.kinds.get_mut(&(kind.group, kind.kind)) else { return };
        let before = state.objects.insert(key.name.clone(), entry).unwrap_or_default();
        let Some(entry) = state.objects.get(&key.name) else { return };
        if before.findings != entry.findings {
            self.findings_changed = true;
            match entry.findings.is_empty() {
                true => drop(state.noted.remove(&key.name)),
                false => drop(state.noted.insert(key.name.clone())),
            }
        }
        let change = match (before.object, &entry.object) {
            (Some(before), Some(object)) if before == *object => return,
            (_, Some(object)) => Change::Apply(object.clone()),
            (Some(_), None) => Change::Delete(key.to_ref()),
            (None, None) => return,
        };
        self.changes.insert(key, change);
    }

    fn delete(&mut self, kind: &KindInfo, key: &ObjectKey) {
        let Some(state) = self.kinds.get_mut(&(kind.group, kind.kind)) else { return };
        let Some(removed) = state.objects.remove(&key.name) else { return };
        state.noted.remove(&key.name);
        let Entry { object, findings, .. } = removed;
        if !findings.is_empty() {
            self.findings_changed = true;
        }
        if object::has_status_of_ours(kind) {
            self.observations.push((key.clone(), None));
        }
        if object.is_some() {
            self.changes.insert(key.clone(), Change::Delete(key.to_ref()));
        }
    }

    fn set_failing(&mut self, kind: &KindInfo, message: Option<String>) {
        let Some(state) = self.kinds.get_mut(&(kind.group, kind.kind)) else { return };
        if state.failing != message {
            state.failing = message;
            self.findings_changed = true;
        }
    }

    /// In the order of kinds and objects; what is wrong with the watching of a kind first.
    fn findings(&self) -> Vec<Finding> {
        let of_kind = |((_, kind), state): (&(&str, &str), &KindState)| {
            let failing = state.failing.as_ref().map(|message| {
                let message = format!("what was read before stays in use: {message}");
                Finding::new(Place::watch(kind), Severity::Problem, rule::WATCH_FAILS, message)
            });
            let noted = state.noted.iter().filter_map(|name| state.objects.get(name));
            let findings = noted.flat_map(|entry| entry.findings.iter().cloned());
            failing.into_iter().chain(findings).collect::<Vec<_>>()
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }
}
