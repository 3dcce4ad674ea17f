//! What reports say once it is known how the proxies are: what they refuse, whether they can be made, whether one is
//! ready. Only objects that something is known of are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_api::part::ParentRef;
use crds::{ObjectRef, gateway_api};
use ir::GatewayName;
use translator::status::{Condition, ConditionType, Facts, GatewayFacts, ParentFacts, Reason, Report};

use crate::refusal::{Refusal, Refusals};
use crate::status::gateway_of;

/// What is known of the proxies.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overlays {
    /// What they refuse.
    pub(crate) refused: Refusals,
    /// Why they cannot be made as they should.
    pub(crate) failures: BTreeMap<GatewayName, String>,
    /// Why none is ready.
    pub(crate) unready: BTreeMap<GatewayName, String>,
    /// Gateways of which nothing is told yet: that one is programmed is said once its proxy says so.
    pub(crate) silent: BTreeSet<GatewayName>,
}

impl Overlays {
    /// The objects about which these say something, or say something else than `other`.
    pub(crate) fn differing(&self, other: &Self) -> BTreeSet<ObjectRef> {
        let mut objects = BTreeSet::new();
        let gateways = |overlays: &Self| -> BTreeSet<GatewayName> {
            let Self { refused, failures, unready, silent } = overlays;
            let named = refused.keys().chain(failures.keys()).chain(unready.keys()).chain(silent);
            named.cloned().collect()
        };
        for gateway in gateways(self).union(&gateways(other)) {
            let (ours, theirs) = (self.refused.get(gateway), other.refused.get(gateway));
            let is_same = ours == theirs
                && self.failures.get(gateway) == other.failures.get(gateway)
                && self.unready.get(gateway) == other.unready.get(gateway)
                && self.silent.contains(gateway) == other.silent.contains(gateway);
            if is_same {
                continue;
            }
            objects.insert(object_of(gateway));
            let refusals = ours.into_iter().chain(theirs).flatten();
            objects.extend(refusals.flat_map(|refusal| refusal.objects.iter().cloned()));
        }
        objects
    }

    /// The report with what is known; `None` if nothing is told yet.
    pub(crate) fn apply(&self, report: &Arc<Report>) -> Option<Arc<Report>> {
        if let Some(gateway) = gateway_of(&report.object) {
            return (!self.silent.contains(&gateway)).then(|| self.apply_to_gateway(&gateway, report));
        }
        let mut told = None;
        for (gateway, refusals) in &self.refused {
            for refusal in refusals.iter().filter(|refusal| refusal.objects.contains(&report.object)) {
                let told: &mut Report = told.get_or_insert_with(|| Report::clone(report));
                refuse_object(told, gateway, refusal);
            }
        }
        Some(told.map_or_else(|| report.clone(), Arc::new))
    }

    fn apply_to_gateway(&self, gateway: &GatewayName, report: &Arc<Report>) -> Arc<Report> {
        let refused = self.refused.get(gateway).into_iter().flatten();
        // What comes from an object of its own is told there.
        let refused: Vec<&Refusal> = refused.filter(|refusal| refusal.objects.is_empty()).collect();
        let (failure, unready) = (self.failures.get(gateway), self.unready.get(gateway));
        let Facts::Gateway(facts) = &report.facts else { return report.clone() };
        if refused.is_empty() && failure.is_none() && unready.is_none() {
            return report.clone();
        }
        let mut facts = facts.clone();
        if !refused.is_empty() {
            refuse_gateway(&mut facts, &refused);
        }
        if let Some(failure) = failure {
            set_not_programmed(&mut facts, Reason::Invalid, format!("the proxies cannot be made: {failure}"));
        }
        if let Some(why) = unready {
            set_unready(&mut facts, why);
        }
        Arc::new(Report { facts: Facts::Gateway(facts), ..Report::clone(report) })
    }
}

fn object_of(gateway: &GatewayName) -> ObjectRef {
    ObjectRef::namespaced(gateway_api::GROUP, "Gateway", &gateway.namespace, &gateway.name)
}

/// A Gateway whose proxy refuses what it is sent is not programmed; nor is a listener that it refuses.
fn refuse_gateway(facts: &mut GatewayFacts, refused: &[&Refusal]) {
    let messages: Vec<&str> = refused.iter().map(|refusal| refusal.message.as_str()).collect();
    set_not_programmed(facts, Reason::RejectedByProxy, messages.join("; "));
    for listener in &mut facts.listeners {
        let is_its = |refusal: &&&Refusal| {
            let port = refusal.name.rsplit_once('/').and_then(|(_, port)| port.parse::<u16>().ok());
            port.is_some() && port == listener.port
        };
        let Some(refusal) = refused.iter().find(is_its) else { continue };
        for condition in &mut listener.conditions {
            if condition.kind == ConditionType::Programmed && !condition.is_problem() {
                let (kind, reason) = (ConditionType::Programmed, Reason::RejectedByProxy);
                *condition = Condition::bad(kind, reason, refusal.message.clone());
            }
        }
    }
}

/// Tells an object that the proxies of a Gateway refuse what comes from it: a route at this parent alone.
fn refuse_object(report: &mut Report, gateway: &GatewayName, refusal: &Refusal) {
    let condition = Condition::bad(ConditionType::Accepted, Reason::RejectedByProxy, refusal.message.clone());
    let namespace = report.object.namespace.clone().unwrap_or_default();
    match &mut report.facts {
        Facts::Conditions(conditions) => put(conditions, condition),
        Facts::Route(parents) | Facts::Policy(parents) => {
            let parents = parents.iter_mut().filter(|parent| is_parent(parent, gateway, &namespace));
            parents.for_each(|parent| put(&mut parent.conditions, condition.clone()));
        }
        Facts::Gateway(_) | Facts::ListenerSet(_) | Facts::Class(_) => {}
    }
}

/// Puts a condition in place of the one of its type; what is wrong already stays.
fn put(conditions: &mut Vec<Condition>, condition: Condition) {
    match conditions.iter_mut().find(|known| known.kind == condition.kind) {
        Some(known) if known.is_problem() && known.reason != Reason::RejectedByProxy => {
            known.message = format!("{}; {}", known.message, condition.message).into();
        }
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
}

fn is_parent(parent: &ParentFacts, gateway: &GatewayName, route_namespace: &str) -> bool {
    let ParentRef { name, namespace, .. } = &parent.parent_ref;
    **name == *gateway.name && namespace.as_deref().unwrap_or(route_namespace) == gateway.namespace
}

/// A Gateway of which no proxy is ready is not programmed, nor are its listeners. What is wrong already stays the
/// reason; to a missing address it is added, since what keeps the proxies from being ready may be what the address
/// waits for.
fn set_unready(facts: &mut GatewayFacts, why: &str) {
    const AT_LISTENER: &str = "no proxy is ready: see the condition Programmed of the Gateway";
    for condition in facts.listeners.iter_mut().flat_map(|listener| &mut listener.conditions) {
        if condition.kind == ConditionType::Programmed && !condition.is_problem() {
            *condition = Condition::bad(ConditionType::Programmed, Reason::Pending, AT_LISTENER);
        }
    }
    let message = format!("no proxy is ready: {why}");
    for condition in &mut facts.conditions {
        match condition.kind {
            ConditionType::Programmed if !condition.is_problem() => {
                *condition = Condition::bad(ConditionType::Programmed, Reason::NoResources, message.clone());
            }
            ConditionType::Programmed if condition.reason == Reason::AddressNotAssigned => {
                condition.message = format!("{}; {message}", condition.message).into();
            }
            _ => {}
        }
    }
}

fn set_not_programmed(facts: &mut GatewayFacts, reason: Reason, message: String) {
    facts.conditions.retain(|condition| condition.kind != ConditionType::Programmed);
    facts.conditions.push(Condition::bad(ConditionType::Programmed, reason, message));
}

#[cfg(test)]
mod tests {
    use translator::status::ListenerFacts;

    use super::*;

    fn good(kind: ConditionType, reason: Reason) -> Condition {
        Condition::good(kind, reason, "")
    }

    fn web() -> GatewayName {
        GatewayName { namespace: "default".to_owned(), name: "web".to_owned() }
    }

    fn gateway(name: &str) -> Arc<Report> {
        let listener = |port: u16| ListenerFacts {
            name: format!("l{port}"),
            port: Some(port),
            supported_kinds: Vec::new(),
            attached_routes: 0,
            conditions: vec![good(ConditionType::Programmed, Reason::Programmed)],
        };
        let conditions = vec![
            good(ConditionType::Accepted, Reason::Accepted),
            good(ConditionType::Programmed, Reason::Programmed),
        ];
        let listeners = vec![listener(80), listener(81)];
        let facts = Facts::Gateway(GatewayFacts {
            addresses: Vec::new(),
            conditions,
            listeners,
            attached_listener_sets: 0,
        });
        let object = ObjectRef::namespaced(gateway_api::GROUP, "Gateway", "default", name);
        Arc::new(Report { object, generation: 1, facts })
    }

    fn route() -> Arc<Report> {
        let parent = |name: &str| ParentFacts {
            parent_ref: ParentRef::named(name),
            conditions: vec![good(ConditionType::Accepted, Reason::Accepted)],
        };
        let object = ObjectRef::namespaced(gateway_api::GROUP, "HTTPRoute", "default", "r");
        Arc::new(Report { object, generation: 1, facts: Facts::Route(vec![parent("web"), parent("other")]) })
    }

    fn refused(kind: &str, name: &str, objects: &[&Arc<Report>]) -> Overlays {
        let refusal = Refusal {
            kind: kind.to_owned(),
            name: name.to_owned(),
            objects: objects.iter().map(|report| report.object.clone()).collect(),
            message: "it refused this: bad regex".to_owned(),
            is_retried: false,
        };
        Overlays { refused: BTreeMap::from([(web(), BTreeSet::from([refusal]))]), ..Overlays::default() }
    }

    fn problems(overlays: &Overlays, report: &Arc<Report>) -> Vec<String> {
        overlays.apply(report).unwrap().problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_a_proxy_refuses_stands_in_the_status_of_its_gateway_and_of_its_listener() {
        let overlays = refused("listener", "http/80", &[]);
        let told = problems(&overlays, &gateway("web"));
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("Gateway default/web: Programmed=False (RejectedByProxy)"), "{told:?}");
        assert!(told[1].starts_with("Gateway default/web: listener l80: Programmed=False"), "{told:?}");
        assert_eq!(problems(&overlays, &gateway("other")), [""; 0]);
        assert_eq!(problems(&overlays, &route()), [""; 0]);
        assert_eq!(overlays.differing(&Overlays::default()), BTreeSet::from([gateway("web").object.clone()]));
        assert_eq!(overlays.differing(&overlays), BTreeSet::new());
    }

    #[test]
    fn what_comes_from_an_object_is_told_there_at_the_parent_that_it_is_about() {
        let overlays = refused("route", "http/80", &[&route()]);
        let told = problems(&overlays, &route());
        let line =
            "HTTPRoute default/r: parent web: Accepted=False (RejectedByProxy): it refused this: bad regex";
        assert_eq!(told, [line]);
        assert_eq!(problems(&overlays, &gateway("web")), [""; 0], "the Gateway serves everything else");
        let differing = overlays.differing(&Overlays::default());
        assert!(differing.contains(&route().object));
    }

    #[test]
    fn a_gateway_without_a_ready_proxy_is_not_programmed_and_what_was_wrong_already_stays_the_reason() {
        let unready = BTreeMap::from([(web(), "pod web-1 is Pending: no node".to_owned())]);
        let overlays = Overlays { unready, ..Overlays::default() };
        let told = problems(&overlays, &gateway("web"));
        assert!(
            told[0].ends_with("(NoResources): no proxy is ready: pod web-1 is Pending: no node"),
            "{told:?}"
        );
        assert_eq!(told.len(), 3, "and at each listener: {told:?}");
        for (reason, is_added) in [(Reason::AddressNotAssigned, true), (Reason::RejectedByProxy, false)] {
            let mut wrong = Report::clone(&gateway("web"));
            let Facts::Gateway(facts) = &mut wrong.facts else { unreachable!() };
            set_not_programmed(facts, reason, "before".to_owned());
            let told = problems(&overlays, &Arc::new(wrong));
            assert_eq!(told[0].contains("before; no proxy is ready"), is_added, "{told:?}");
            assert!(told[0].contains("before"), "{told:?}");
        }
    }

    #[test]
    fn a_gateway_is_told_of_when_its_proxy_was_heard() {
        let silent = Overlays { silent: BTreeSet::from([web()]), ..Overlays::default() };
        assert_eq!(silent.apply(&gateway("web")), None);
        assert_eq!(silent.apply(&gateway("other")), Some(gateway("other")));
        assert!(silent.differing(&Overlays::default()).contains(&gateway("web").object));
    }
}
