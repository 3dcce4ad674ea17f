//! Facts and the previous status become the new status.
//!
//! Only our own entries change: conditions of other types on the same object, and other
//! controllers' parents of a route, stay as they are. A condition keeps its transition time while
//! its value stays; so the status of unchanged facts is equal to the previous one, and writing it
//! can be skipped.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

use super::{
    Condition, ConditionType, Facts, GatewayFacts, ListenerFacts, ParentFacts, Report, StatusAddress,
    XBackendForm,
};

/// The status of an object: `.status` as it shall be, given what it was.
///
/// `now` stamps the conditions whose value changes. The result equals `previous` when nothing
/// changes.
pub fn render_status(report: &Report, previous: Option<&Value>, controller: &str, now: &Time) -> Value {
    let stamp = Stamp { generation: report.generation, now };
    let mut status = previous.and_then(Value::as_object).cloned().unwrap_or_default();
    match &report.facts {
        Facts::Conditions(conditions) => {
            let before = status.remove("conditions");
            status.insert("conditions".to_owned(), stamp.merge(before.as_ref(), conditions));
        }
        Facts::Budget(budget) => {
            let before = status.remove("conditions");
            let Value::Array(mut conditions) = stamp.merge(before.as_ref(), &budget.conditions) else {
                return Value::Object(status);
            };
            let kind = |condition: &Value| {
                condition.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let kept = list(before.as_ref()).iter().filter(|condition| budget.keeps(&kind(condition)));
            conditions.extend(kept.cloned());
            status.insert("conditions".to_owned(), Value::Array(conditions));
            status.insert("observedGeneration".to_owned(), report.generation.into());
            budget.render(&mut status);
        }
        Facts::Class(class) => {
            let before = status.remove("conditions");
            status.insert("conditions".to_owned(), stamp.merge(before.as_ref(), &class.conditions));
            let features = class.supported_features.iter().map(|name| json!({"name": name}));
            status.insert("supportedFeatures".to_owned(), Value::Array(features.collect()));
        }
        Facts::Gateway(gateway) => render_gateway(&mut status, gateway, &stamp),
        Facts::ListenerSet(set) => render_listeners(&mut status, &set.conditions, &set.listeners, &stamp),
        Facts::Route(parents) => {
            PARENTS.of(controller, &stamp).put(&mut status, parents);
        }
        Facts::Policy(ancestors) => {
            ANCESTORS.of(controller, &stamp).put(&mut status, ancestors);
        }
        Facts::XBackend(form, ancestors) => {
            let list = match form {
                XBackendForm::V1_6 => PARENTS,
                XBackendForm::V1_7 => ANCESTORS,
            };
            let list = List { most: MAX_BACKEND_ANCESTORS, ..list };
            list.of(controller, &stamp).put(&mut status, ancestors);
        }
    }
    Value::Object(status)
}

/// What every condition that is written carries.
struct Stamp<'a> {
    generation: i64,
    now: &'a Time,
}

impl Stamp<'_> {
    /// The previous list with our conditions put in place; those of types that are not ours stay, and
    /// ours that no longer holds goes.
    fn merge(&self, previous: Option<&Value>, conditions: &[Condition]) -> Value {
        let previous = list(previous);
        let ours = |condition: &Value| {
            let name = condition.get("type").and_then(Value::as_str);
            ConditionType::ALL.iter().any(|kind| name == Some(kind.as_str()))
        };
        let foreign = previous.iter().filter(|condition| !ours(condition)).cloned();
        let own = conditions.iter().map(|condition| {
            let before = previous
                .iter()
                .find(|old| old.get("type").and_then(Value::as_str) == Some(condition.kind.as_str()));
            self.render(before, condition)
        });
        Value::Array(own.chain(foreign).collect())
    }

    fn render(&self, previous: Option<&Value>, condition: &Condition) -> Value {
        let status = if condition.status { "True" } else { "False" };
        let since = previous
            .filter(|old| old.get("status").and_then(Value::as_str) == Some(status))
            .and_then(|old| old.get("lastTransitionTime"))
            .cloned()
            .unwrap_or_else(|| json!(self.now));
        json!({
            "type": condition.kind.as_str(),
            "status": status,
            "reason": condition.reason.as_str(),
            "message": condition.message,
            "observedGeneration": self.generation,
            "lastTransitionTime": since,
        })
    }
}

fn render_gateway(status: &mut Map<String, Value>, gateway: &GatewayFacts, stamp: &Stamp<'_>) {
    let addresses = gateway.addresses.iter().map(|address| match address {
        StatusAddress::Ip(value) => json!({"type": "IPAddress", "value": value}),
        StatusAddress::Hostname(value) => json!({"type": "Hostname", "value": value}),
    });
    status.insert("addresses".to_owned(), Value::Array(addresses.collect()));
    // Not where there is none: a definition of an older version does not have it.
    const SETS: &str = "attachedListenerSets";
    if gateway.attached_listener_sets > 0 || status.contains_key(SETS) {
        status.insert(SETS.to_owned(), gateway.attached_listener_sets.into());
    }
    render_listeners(status, &gateway.conditions, &gateway.listeners, stamp);
}

/// The conditions of an object, and those of its listeners.
fn render_listeners(
    status: &mut Map<String, Value>,
    conditions: &[Condition],
    listeners: &[ListenerFacts],
    stamp: &Stamp<'_>,
) {
    let before = status.remove("conditions");
    status.insert("conditions".to_owned(), stamp.merge(before.as_ref(), conditions));
    let before = status.remove("listeners");
    let mut before: Vec<&Value> = list(before.as_ref()).iter().collect();
    let listeners = listeners.iter().map(|listener| {
        let is_same = |old: &&Value| old.get("name").and_then(Value::as_str) == Some(&listener.name);
        // Each entry is one listener's: in a file, two may have the same name.
        let old = before.iter().position(is_same).map(|position| before.remove(position));
        render_listener(old, listener, stamp)
    });
    status.insert("listeners".to_owned(), Value::Array(listeners.collect()));
}

fn render_listener(previous: Option<&Value>, listener: &ListenerFacts, stamp: &Stamp<'_>) -> Value {
    let kinds: Vec<_> =
        listener.supported_kinds.iter().map(|(group, kind)| json!({"group": group, "kind": kind})).collect();
    json!({
        "name": listener.name,
        "supportedKinds": kinds,
        "attachedRoutes": listener.attached_routes,
        "conditions": stamp.merge(previous.and_then(|old| old.get("conditions")), &listener.conditions),
    })
}

/// The most ancestors that a status may have; a list that is full gets no further ones (Gateway API,
/// `PolicyStatus.ancestors`).
const MAX_ANCESTORS: usize = 16;

/// The same of an XBackend (GEP-4894, `BackendStatus.ancestors`).
const MAX_BACKEND_ANCESTORS: usize = 32;

/// A list of a status in which each controller has entries of its own.
struct List {
    name: &'static str,
    /// The member of an entry that says what it is about.
    key: &'static str,
    /// How many there may be.
    most: usize,
}

const PARENTS: List = List { name: "parents", key: "parentRef", most: usize::MAX };
const ANCESTORS: List = List { name: "ancestors", key: "ancestorRef", most: MAX_ANCESTORS };

impl List {
    fn of<'a>(self, controller: &'a str, stamp: &'a Stamp<'a>) -> Entries<'a> {
        Entries { list: self, controller, stamp }
    }
}

/// The entries of such a list.
struct Entries<'a> {
    list: List,
    controller: &'a str,
    stamp: &'a Stamp<'a>,
}

impl Entries<'_> {
    /// Puts the list into a status, in place of what it was.
    fn put(&self, status: &mut Map<String, Value>, facts: &[ParentFacts]) {
        let before = status.remove(self.list.name);
        status.insert(self.list.name.to_owned(), self.render(before.as_ref(), facts));
    }

    /// Ours as they are now, then those of others as they were.
    fn render(&self, previous: Option<&Value>, facts: &[ParentFacts]) -> Value {
        let previous = list(previous);
        let is_ours =
            |entry: &Value| entry.get("controllerName").and_then(Value::as_str) == Some(self.controller);
        let foreign: Vec<Value> = previous.iter().filter(|entry| !is_ours(entry)).cloned().collect();
        let List { key, most, .. } = self.list;
        let own = facts.iter().take(most.saturating_sub(foreign.len())).map(|parent| {
            let reference = json!(parent.parent_ref);
            let before = previous
                .iter()
                .find(|entry| is_ours(entry) && entry.get(key) == Some(&reference))
                .and_then(|entry| entry.get("conditions"));
            json!({
                key: reference,
                "controllerName": self.controller,
                "conditions": self.stamp.merge(before, &parent.conditions),
            })
        });
        Value::Array(own.chain(foreign).collect())
    }
}

/// The elements of an array, or none.
fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
