//! What reports say once it is known how the proxies are: what they refuse, whether they can be made, whether one is
//! ready. Only objects that something is known of are looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::gateway_api::part::ParentRef;
use crds::{ObjectRef, gateway_api};
use ir::GatewayName;
use translator::status::{
    BudgetFacts, Condition, ConditionType, Facts, GatewayFacts, ListenerFacts, ListenerSetFacts, ParentFacts,
    Reason, Report, Spend,
};

use crate::refusal::{Refusal, Refusals};
use crate::spending::Spends;
use crate::status::gateway_of;

/// The Gateways to which ListenerSets add listeners.
pub(crate) type Sets = BTreeMap<ObjectRef, GatewayName>;

/// Takes in a newer report: `None` if the object has none any more.
pub(crate) fn note_set(sets: &mut Sets, object: &ObjectRef, report: Option<&Report>) {
    match report.map(|report| &report.facts) {
        Some(Facts::ListenerSet(ListenerSetFacts { gateway: Some(gateway), .. })) => {
            sets.insert(object.clone(), gateway.clone());
        }
        _ => drop(sets.remove(object)),
    }
}

/// What is known of the proxies, and of what is spent.
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
    /// What is spent of Budgets.
    pub(crate) spends: Arc<Spends>,
}

impl Overlays {
    /// The objects about which these say something, or say something else than `other`.
    pub(crate) fn differing(&self, other: &Self, sets: &Sets) -> BTreeSet<ObjectRef> {
        let mut objects = BTreeSet::new();
        let gateways = |overlays: &Self| -> BTreeSet<GatewayName> {
            let Self { refused, failures, unready, silent, spends: _ } = overlays;
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
            objects.extend(sets.iter().filter(|(_, of)| *of == gateway).map(|(set, _)| set.clone()));
            let refusals = ours.into_iter().chain(theirs).flatten();
            objects.extend(refusals.flat_map(|refusal| refusal.objects.iter().cloned()));
        }
        let budgets = self.spends.keys().chain(other.spends.keys());
        let differing = budgets.filter(|budget| self.spends.get(*budget) != other.spends.get(*budget));
        objects.extend(differing.cloned());
        objects
    }

    /// The report with what is known; `None` if nothing is told yet.
    pub(crate) fn apply(&self, report: &Arc<Report>, sets: &Sets) -> Option<Arc<Report>> {
        if let Some(gateway) = gateway_of(&report.object).or_else(|| sets.get(&report.object).cloned()) {
            return (!self.silent.contains(&gateway)).then(|| self.apply_to_gateway(&gateway, report));
        }
        let mut told = None;
        for (gateway, refusals) in &self.refused {
            for refusal in refusals.iter().filter(|refusal| refusal.objects.contains(&report.object)) {
                let told: &mut Report = told.get_or_insert_with(|| Report::clone(report));
                refuse_object(told, gateway, refusal, sets);
            }
        }
        if let Facts::Budget(BudgetFacts { accounts: Some(accounts), .. }) = &report.facts
            && let Some(spend) = self.spends.get(&report.object).filter(|spend| spend.accounts == *accounts)
        {
            tell_spend(told.get_or_insert_with(|| Report::clone(report)), spend);
        }
        Some(told.map_or_else(|| report.clone(), Arc::new))
    }

    fn apply_to_gateway(&self, gateway: &GatewayName, report: &Arc<Report>) -> Arc<Report> {
        let refused = self.refused.get(gateway).into_iter().flatten();
        // What comes from an object of its own is told there.
        let refused: Vec<&Refusal> = refused.filter(|refusal| refusal.objects.is_empty()).collect();
        let (failure, unready) = (self.failures.get(gateway), self.unready.get(gateway));
        if refused.is_empty() && failure.is_none() && unready.is_none() {
            return report.clone();
        }
        let mut told = Report::clone(report);
        let Some(mut listening) = Listening::of(&mut told.facts) else { return report.clone() };
        if !refused.is_empty() {
            listening.refuse(&refused);
        }
        if let Some(failure) = failure {
            listening.set_not_programmed(Reason::Invalid, format!("the proxies cannot be made: {failure}"));
        }
        if let Some(why) = unready {
            listening.set_unready(why);
        }
        Arc::new(told)
    }
}

fn object_of(gateway: &GatewayName) -> ObjectRef {
    ObjectRef::namespaced(gateway_api::GROUP, "Gateway", &gateway.namespace, &gateway.name)
}

/// What has listeners: a Gateway, or a ListenerSet that adds some to one.
struct Listening<'a> {
    conditions: &'a mut Vec<Condition>,
    listeners: &'a mut [ListenerFacts],
    /// Whether the listeners are all that the proxy has.
    is_gateway: bool,
}

impl<'a> Listening<'a> {
    fn of(facts: &'a mut Facts) -> Option<Self> {
        match facts {
            Facts::Gateway(GatewayFacts { conditions, listeners, .. }) => {
                Some(Self { conditions, listeners, is_gateway: true })
            }
            Facts::ListenerSet(ListenerSetFacts { conditions, listeners, .. }) => {
                Some(Self { conditions, listeners, is_gateway: false })
            }
            Facts::Conditions(_)
            | Facts::Budget(_)
            | Facts::Class(_)
            | Facts::Route(_)
            | Facts::Policy(_)
            | Facts::XBackend(..) => None,
        }
    }

    /// A Gateway whose proxy refuses what it is sent is not programmed; nor is a listener that it refuses, or a ListenerSet
    /// with such a one.
    fn refuse(&mut self, refused: &[&Refusal]) {
        let mut own = BTreeSet::new();
        for listener in self.listeners.iter_mut() {
            let is_its = |refusal: &&&Refusal| {
                let port = refusal.name.rsplit_once('/').and_then(|(_, port)| port.parse::<u16>().ok());
                port.is_some() && port == listener.port
            };
            let Some(refusal) = refused.iter().find(is_its) else { continue };
            own.insert(refusal.message.as_str());
            for condition in &mut listener.conditions {
                if condition.kind == ConditionType::Programmed && !condition.is_problem() {
                    let (kind, reason) = (ConditionType::Programmed, Reason::RejectedByProxy);
                    *condition = Condition::bad(kind, reason, refusal.message.clone());
                }
            }
        }
        let messages: Vec<&str> = match self.is_gateway {
            true => refused.iter().map(|refusal| refusal.message.as_str()).collect(),
            false => own.into_iter().collect(),
        };
        if !messages.is_empty() {
            self.set_not_programmed(Reason::RejectedByProxy, messages.join("; "));
        }
    }

    /// Without a ready proxy neither a Gateway nor its listeners are programmed. What is wrong already stays the reason; to a
    /// missing address it is added, since what keeps the proxies from being ready may be what the address waits for.
    fn set_unready(&mut self, why: &str) {
        const AT_LISTENER: &str = "no proxy is ready: see the condition Programmed of the Gateway";
        for condition in self.listeners.iter_mut().flat_map(|listener| &mut listener.conditions) {
            if condition.kind == ConditionType::Programmed && !condition.is_problem() {
                *condition = Condition::bad(ConditionType::Programmed, Reason::Pending, AT_LISTENER);
            }
        }
        let message = format!("no proxy is ready: {why}");
        // Of a ListenerSet, Gateway API knows this one alone.
        let reason = if self.is_gateway { Reason::NoResources } else { Reason::Pending };
        for condition in self.conditions.iter_mut() {
            match condition.kind {
                ConditionType::Programmed if !condition.is_problem() => {
                    *condition = Condition::bad(ConditionType::Programmed, reason, message.clone());
                }
                ConditionType::Programmed if condition.reason == Reason::AddressNotAssigned => {
                    condition.message = format!("{}; {message}", condition.message).into();
                }
                _ => {}
            }
        }
    }

    fn set_not_programmed(&mut self, reason: Reason, message: String) {
        self.conditions.retain(|condition| condition.kind != ConditionType::Programmed);
        self.conditions.push(Condition::bad(ConditionType::Programmed, reason, message));
    }
}

/// Tells an object that the proxies of a Gateway refuse what comes from it: a route at this parent alone.
fn refuse_object(report: &mut Report, gateway: &GatewayName, refusal: &Refusal, sets: &Sets) {
    let condition = Condition::bad(ConditionType::Accepted, Reason::RejectedByProxy, refusal.message.clone());
    let namespace = report.object.namespace.clone().unwrap_or_default();
    match &mut report.facts {
        Facts::Conditions(conditions) | Facts::Budget(BudgetFacts { conditions, .. }) => {
            put(conditions, condition)
        }
        Facts::Route(parents) | Facts::Policy(parents) | Facts::XBackend(_, parents) => {
            let parents = parents.iter_mut().filter(|parent| is_parent(parent, gateway, &namespace, sets));
            parents.for_each(|parent| put(&mut parent.conditions, condition.clone()));
        }
        Facts::Gateway(_) | Facts::ListenerSet(_) | Facts::Class(_) => {}
    }
}

/// Has a Budget say what is spent of it.
fn tell_spend(report: &mut Report, spend: &Arc<Spend>) {
    if let Facts::Budget(budget) = &mut report.facts {
        budget.conditions.push(spend.condition());
        budget.spend = Some(spend.clone());
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

fn is_parent(parent: &ParentFacts, gateway: &GatewayName, route_namespace: &str, sets: &Sets) -> bool {
    let ParentRef { name, namespace, kind, .. } = &parent.parent_ref;
    let namespace = namespace.as_deref().unwrap_or(route_namespace);
    if kind.as_deref() == Some("ListenerSet") {
        let set = ObjectRef::namespaced(gateway_api::GROUP, "ListenerSet", namespace, name);
        return sets.get(&set) == Some(gateway);
    }
    **name == *gateway.name && namespace == gateway.namespace
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(kind: ConditionType, reason: Reason) -> Condition {
        Condition::good(kind, reason, "")
    }

    fn web() -> GatewayName {
        GatewayName { namespace: "default".to_owned(), name: "web".to_owned() }
    }

    fn listener(port: u16) -> ListenerFacts {
        ListenerFacts {
            name: format!("l{port}"),
            port: Some(port),
            supported_kinds: Vec::new(),
            attached_routes: 0,
            conditions: vec![good(ConditionType::Programmed, Reason::Programmed)],
        }
    }

    fn well() -> Vec<Condition> {
        vec![
            good(ConditionType::Accepted, Reason::Accepted),
            good(ConditionType::Programmed, Reason::Programmed),
        ]
    }

    /// A ListenerSet that adds port 82 to the Gateway `web`.
    fn set() -> Arc<Report> {
        let gateway = Some(web());
        let facts = ListenerSetFacts { gateway, conditions: well(), listeners: vec![listener(82)] };
        let object = ObjectRef::namespaced(gateway_api::GROUP, "ListenerSet", "team", "more");
        Arc::new(Report { object, generation: 1, facts: Facts::ListenerSet(facts) })
    }

    fn sets() -> Sets {
        let mut sets = Sets::new();
        note_set(&mut sets, &set().object, Some(&set()));
        sets
    }

    fn gateway(name: &str) -> Arc<Report> {
        let conditions = well();
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
        overlays.apply(report, &sets()).unwrap().problems().iter().map(ToString::to_string).collect()
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
        assert_eq!(
            overlays.differing(&Overlays::default(), &Sets::new()),
            BTreeSet::from([gateway("web").object.clone()])
        );
        assert_eq!(overlays.differing(&overlays, &Sets::new()), BTreeSet::new());
    }

    #[test]
    fn what_comes_from_an_object_is_told_there_at_the_parent_that_it_is_about() {
        let overlays = refused("route", "http/80", &[&route()]);
        let told = problems(&overlays, &route());
        let line =
            "HTTPRoute default/r: parent web: Accepted=False (RejectedByProxy): it refused this: bad regex";
        assert_eq!(told, [line]);
        assert_eq!(problems(&overlays, &gateway("web")), [""; 0], "the Gateway serves everything else");
        let differing = overlays.differing(&Overlays::default(), &Sets::new());
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
            let mut listening = Listening::of(&mut wrong.facts).unwrap();
            listening.set_not_programmed(reason, "before".to_owned());
            let told = problems(&overlays, &Arc::new(wrong));
            assert_eq!(told[0].contains("before; no proxy is ready"), is_added, "{told:?}");
            assert!(told[0].contains("before"), "{told:?}");
        }
    }

    #[test]
    fn a_gateway_is_told_of_when_its_proxy_was_heard() {
        let silent = Overlays { silent: BTreeSet::from([web()]), ..Overlays::default() };
        assert_eq!(silent.apply(&gateway("web"), &sets()), None);
        assert_eq!(silent.apply(&gateway("other"), &sets()), Some(gateway("other")));
        assert!(silent.differing(&Overlays::default(), &Sets::new()).contains(&gateway("web").object));
    }

    #[test]
    fn a_listener_set_is_programmed_as_its_gateway_is() {
        let (set, unset) = (set(), Sets::new());
        let unready =
            Overlays { unready: BTreeMap::from([(web(), "no node".to_owned())]), ..Overlays::default() };
        let told = problems(&unready, &set);
        let start = "ListenerSet team/more: Programmed=False (Pending): no proxy is ready: no node";
        assert_eq!(told.first().map(String::as_str), Some(start), "{told:?}");
        assert_eq!(told.len(), 2, "and at its listener: {told:?}");
        assert!(unready.differing(&Overlays::default(), &sets()).contains(&set.object));
        assert!(!unready.differing(&Overlays::default(), &unset).contains(&set.object));
        // What the proxy refuses of the Gateway's own listeners does not concern it, what it refuses of this one does.
        assert_eq!(problems(&refused("listener", "http/80", &[]), &set), [""; 0]);
        assert_eq!(problems(&refused("listener", "http/82", &[]), &set).len(), 2);
        // A set that is gone, or that adds nothing any more, is told of no proxy.
        let mut left = sets();
        note_set(&mut left, &set.object, None);
        assert_eq!(left, unset);
    }

    #[test]
    fn what_comes_from_a_route_is_told_at_the_listener_set_of_the_gateway() {
        let parent_ref = ParentRef {
            kind: Some("ListenerSet".into()),
            namespace: Some("team".into()),
            ..ParentRef::named("more")
        };
        let parent = ParentFacts { parent_ref, conditions: well() };
        let object = ObjectRef::namespaced(gateway_api::GROUP, "HTTPRoute", "default", "r");
        let route = Arc::new(Report { object, generation: 1, facts: Facts::Route(vec![parent]) });
        let overlays = refused("route", "http/82", &[&route]);
        assert_eq!(problems(&overlays, &route).len(), 1);
        assert_eq!(overlays.apply(&route, &Sets::new()), Some(route));
    }
}
