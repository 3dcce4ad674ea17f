//! ListenerSets: which of them add listeners to a Gateway, and their status.

use std::sync::Arc;

use crds::gateway_api::gateways::{
    GatewayAllowedListenersNamespaces as AllowedNamespaces, GatewayAllowedListenersNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector as Selector,
    GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions as Expression,
};
use crds::gateway_api::{self, Gateway, ListenerSet, listener_set};
use crds::{NamespacedName, ObjectRef};

use super::attach::selects;
use super::report::{exposure, listener_facts};
use super::route::creation;
use crate::gateway::facts::{GatewayFace, GatewayKey, Placed, gateway_name, gateway_ref};
use crate::gateway::view::View;
use crate::status::{
    Condition, ConditionType, Facts, ListenerFacts, ListenerSetFacts, Reason, Rejection, Report,
};

/// The kind.
pub(crate) const KIND: &str = "ListenerSet";

/// The ListenerSets whose listeners a Gateway takes, in the order of their precedence: the oldest first, then by name
/// (Gateway API, `ListenerSetSpec`).
pub(crate) fn of_gateway(view: &impl View, key: &GatewayKey, gateway: &Gateway) -> Vec<Arc<ListenerSet>> {
    let sets = view.listener_sets_of(key);
    let mut sets: Vec<_> = sets
        .filter(|set| is_allowed(view, key, gateway, &NamespacedName::of(&set.metadata)))
        .cloned()
        .collect();
    sets.sort_by_key(|set| {
        (creation(set.metadata.creation_timestamp.as_ref()), NamespacedName::of(&set.metadata))
    });
    sets
}

/// Whether a Gateway lets a ListenerSet add listeners. It lets none unless it says so.
fn is_allowed(view: &impl View, key: &GatewayKey, gateway: &Gateway, set: &NamespacedName) -> bool {
    let allowed = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let Some(AllowedNamespaces { from, selector }) = allowed else { return false };
    match from.as_ref().unwrap_or(&From::None) {
        From::None => false,
        From::All => true,
        From::Same => set.namespace == key.namespace,
        From::Selector => selector.as_ref().is_some_and(|selector| {
            let expressions = selector.match_expressions.iter().flatten().map(|expression| Expression {
                key: expression.key.clone(),
                operator: expression.operator.clone(),
                values: expression.values.clone(),
            });
            let selector = Selector {
                match_expressions: Some(expressions.collect()),
                match_labels: selector.match_labels.clone(),
            };
            selects(&selector, &view.namespace_labels(&set.namespace))
        }),
    }
}

/// What to tell about a ListenerSet; `None` where its Gateway is somebody else's.
pub(crate) fn report(view: &impl View, key: &NamespacedName) -> Option<Report> {
    let set = view.object::<ListenerSet>(key)?;
    let gateway = listener_set::gateway(set);
    let known = gateway.as_ref().and_then(|gateway| {
        let (face, placed) = (view.gateway(gateway)?, view.placement(gateway)?);
        Some((gateway, face, placed))
    });
    let facts = match known {
        None if !view.settings().sole_controller => return None,
        None => ListenerSetFacts::unserved(vec![nobodys(view, gateway.as_ref())]),
        Some((gateway, face, _)) if !is_allowed(view, gateway, &face.gateway, key) => {
            let text = format!("Gateway {gateway} does not allow it: see its spec.allowedListeners");
            ListenerSetFacts::unserved(refused(&Rejection::at(Reason::NotAllowed, "spec.parentRef", text)))
        }
        Some((gateway, face, placed)) => facts(view, key, gateway, &face, &placed),
    };
    Some(Report {
        object: ObjectRef::namespaced(gateway_api::GROUP, KIND, &key.namespace, &key.name),
        generation: set.metadata.generation.unwrap_or_default(),
        facts: Facts::ListenerSet(facts),
    })
}

/// Where nobody else can be meant, a parent that is no Gateway of ours is a mistake.
fn nobodys(view: &impl View, gateway: Option<&GatewayKey>) -> Condition {
    let rejection = match gateway {
        None => Rejection::at(Reason::Invalid, "spec.parentRef", "only a Gateway can be the parent"),
        Some(gateway) => {
            let object = gateway_ref(gateway);
            match view.object::<Gateway>(gateway) {
                Some(_) => {
                    let text = format!("{object} is not served here: see its status");
                    Rejection::unusable(Reason::Invalid, object, text)
                }
                None => Rejection::missing(Reason::Invalid, object),
            }
            .under("spec.parentRef")
        }
    };
    Condition::rejected(ConditionType::Accepted, &rejection)
}

/// The conditions of a ListenerSet of which nothing is served: one fact, told by both.
fn refused(rejection: &Rejection) -> Vec<Condition> {
    vec![
        Condition::rejected(ConditionType::Accepted, rejection),
        Condition::rejected(ConditionType::Programmed, rejection).following(),
    ]
}

fn facts(
    view: &impl View,
    key: &NamespacedName,
    gateway: &GatewayKey,
    face: &GatewayFace,
    placed: &Placed,
) -> ListenerSetFacts {
    let own = || placed.listeners.iter().filter(|listener| listener.set.as_ref() == Some(key));
    let listeners: Vec<ListenerFacts> =
        own().map(|listener| listener_facts(view, gateway, face, listener)).collect();
    if let Some(rejection) = &face.rejected {
        let text = format!("Gateway {gateway} is not accepted: {}", rejection.message());
        let rejection = Rejection::unusable(Reason::ParentNotAccepted, gateway_ref(gateway), text);
        let conditions = refused(&rejection.under("spec.parentRef"));
        return ListenerSetFacts { gateway: None, conditions, listeners };
    }
    let invalid: Vec<_> = own().filter(|listener| !listener.is_served()).collect();
    let names: Vec<_> = invalid.iter().map(|listener| listener.spec.name.as_str()).collect();
    let message = format!("not every listener is valid: see {}", names.join(", "));
    if invalid.len() == listeners.len() {
        let conditions = refused(&Rejection::new(Reason::ListenersNotValid, message));
        // The listeners say what is wrong.
        let conditions = conditions.into_iter().map(Condition::following).collect();
        return ListenerSetFacts { gateway: None, conditions, listeners };
    }
    let accepted = match invalid.is_empty() {
        true => Condition::good(ConditionType::Accepted, Reason::Accepted, "the ListenerSet is valid"),
        false => Condition::good(ConditionType::Accepted, Reason::ListenersNotValid, message),
    };
    let programmed = match exposure(view, gateway, face, placed) {
        Ok(_) => Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy"),
        Err(rejection) => {
            let message = rejection.message();
            Condition::bad(ConditionType::Programmed, Reason::Pending, message).following()
        }
    };
    let gateway = Some(gateway_name(gateway));
    ListenerSetFacts { gateway, conditions: vec![accepted, programmed], listeners }
}
