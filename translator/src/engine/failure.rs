//! Units whose evaluation panicked: a fault of ours, which costs nobody but the object that it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{Object, ObjectKey};

use super::key::Key;
use crate::gateway::{attach, backend};
use crate::status::{
    ClassFacts, Condition, ConditionType, Facts, GatewayFacts, ListenerSetFacts, Reason, Report,
};

const MESSAGE: &str = "an internal error of the control plane: what was served before stays, and the log has the \
                       details; please report it";

/// The units that failed when they were evaluated last.
#[derive(Debug, Default)]
pub(super) struct Failures {
    failed: BTreeMap<Arc<Key>, Option<ObjectKey>>,
}

impl Failures {
    /// Notes a failure; gives the object whose status is another by that, if it has one of ours.
    pub(super) fn note(&mut self, key: &Arc<Key>) -> Option<ObjectKey> {
        let object = key.object().filter(|object| Key::reporting(object).is_some());
        let is_new = self.failed.insert(key.clone(), object.clone()).is_none();
        object.filter(|_| is_new)
    }

    /// Notes a success; gives the object whose status is another by that.
    pub(super) fn clear(&mut self, key: &Arc<Key>) -> Option<ObjectKey> {
        self.failed.remove(key)?
    }

    /// The report about an object with what failed.
    pub(super) fn overlay(
        &self,
        key: &ObjectKey,
        report: Option<&Arc<Report>>,
        object: Option<&Object>,
    ) -> Option<Arc<Report>> {
        let has_failed = self.failed.values().flatten().any(|failed| failed == key);
        if !has_failed {
            return report.cloned();
        }
        let object = object?;
        let condition = Condition::bad(ConditionType::Accepted, Reason::InternalError, MESSAGE);
        let facts = report.map_or_else(|| facts_of(object), |report| report.facts.clone());
        let generation = object.metadata().generation().unwrap_or_default();
        let facts = facts.with_condition(&condition);
        Some(Arc::new(Report { object: key.to_ref(), generation, facts }))
    }
}

/// The facts of an object about which nothing is known.
fn facts_of(object: &Object) -> Facts {
    if let Some(route) = object.route() {
        return Facts::Route(attach::parents_without_conditions(route.parent_refs));
    }
    match object {
        Object::Gateway(_) => Facts::Gateway(GatewayFacts {
            addresses: Vec::new(),
            conditions: Vec::new(),
            listeners: Vec::new(),
            attached_listener_sets: 0,
        }),
        Object::ListenerSet(_) => Facts::ListenerSet(ListenerSetFacts::unserved(Vec::new())),
        Object::GatewayClass(_) => Facts::Class(ClassFacts::default()),
        Object::BackendTlsPolicy(_)
        | Object::BackendConfigPolicy(_)
        | Object::HttpListenerOption(_)
        | Object::HttpListenerPolicy(_)
        | Object::ListenerOption(_)
        | Object::RouteOption(_)
        | Object::TrafficPolicy(_)
        | Object::VirtualHostOption(_) => Facts::Policy(Vec::new()),
        Object::XBackend(backend) => Facts::XBackend(backend::x_backend_form(backend), Vec::new()),
        _ => Facts::Conditions(Vec::new()),
    }
}
