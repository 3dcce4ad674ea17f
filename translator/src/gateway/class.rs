//! Which GatewayClasses and Gateways are ours.

use std::sync::Arc;

use crds::gateway_api::part::ParentRef;
use crds::gateway_api::{self, Gateway, GatewayClass, ListenerSet};
use crds::{NamespacedName, ObjectRef};

use super::{listener, listener_set, parameters};
use crate::features;
use crate::gateway::facts::{ClassFace, RouteKey, gateway_ref};
use crate::gateway::view::View;
use crate::status::{
    ClassFacts, Condition, ConditionType, Detail, Facts, GatewayFacts, ListenerFacts, Reason, Rejection,
    Report,
};

/// The controllers that serve the kinds of both dialects, too, and tell about them in the same conditions.
const PEERS: [&str; 4] = [
    "kgateway.dev/kgateway",
    "kgateway.dev/agentgateway",
    "solo.io/gloo-gateway",
    "agentgateway.dev/agentgateway",
];

/// Whether a class belongs to a controller that also serves Backends or Upstreams.
pub(crate) fn is_of_a_peer(class: &GatewayClass) -> bool {
    PEERS.contains(&class.spec.controller_name.as_str())
}

/// Reads a class; `None` if it is not ours.
pub(crate) fn read(view: &impl View, name: &str) -> Option<ClassFace> {
    let settings = view.settings();
    let Some(class) = view.object::<GatewayClass>(&NamespacedName::new("", name)) else {
        let is_implied = settings.implied_classes.iter().any(|implied| implied == name);
        return is_implied.then_some(ClassFace {
            parameters: Ok(None),
            has_idle_parameters: false,
            named_parameters: None,
            report: None,
        });
    };
    if class.spec.controller_name != settings.controller_name {
        return None;
    }
    let is_own_network = settings.addressing.is_own_network();
    let parameters = if is_own_network { parameters::of_class(view, class) } else { Ok(None) };
    let condition = match &parameters {
        Err(rejection) => Condition::rejected(ConditionType::Accepted, rejection),
        Ok(_) => Condition::good(ConditionType::Accepted, Reason::Accepted, "served by Chancery"),
    };
    let (release, version) = features::installed(view);
    let report = Report {
        object: ObjectRef::cluster(gateway_api::GROUP, "GatewayClass", name),
        generation: class.metadata.generation.unwrap_or_default(),
        facts: Facts::Class(ClassFacts {
            conditions: vec![condition, version],
            supported_features: release.features().collect(),
        }),
    };
    Some(ClassFace {
        parameters,
        has_idle_parameters: !is_own_network && class.spec.parameters_ref.is_some(),
        named_parameters: parameters::named_by_class(view, class),
        report: Some(Arc::new(report)),
    })
}

/// Where nobody else can be meant, a Gateway of a class that is not ours is a mistake.
pub(crate) fn report_of_classless(view: &impl View, key: &NamespacedName) -> Option<Report> {
    if !view.settings().sole_controller {
        return None;
    }
    let gateway = view.object::<Gateway>(key)?;
    let (kind, reason) = (ConditionType::Accepted, Reason::Invalid);
    let fault = unserved_class(view, &gateway.spec.gateway_class_name);
    // What else is wrong is told as well.
    let listeners = listener::listeners(gateway, &[]).into_iter().map(|listener| ListenerFacts {
        conditions: listener.conditions(&[]).into_iter().filter(|condition| condition.is_problem()).collect(),
        name: listener.spec.name,
        port: listener.port,
        supported_kinds: listener.kinds,
        attached_routes: 0,
    });
    let facts = GatewayFacts {
        addresses: Vec::new(),
        attached_listener_sets: 0,
        conditions: vec![Condition::faults(kind, reason, vec![fault])],
        listeners: listeners.collect(),
    };
    Some(Report {
        object: gateway_ref(key),
        generation: gateway.metadata.generation.unwrap_or_default(),
        facts: Facts::Gateway(facts),
    })
}

/// Says which classes are served, and how this one can be.
fn unserved_class(view: &impl View, class: &str) -> Detail {
    let own = &view.settings().controller_name;
    let remedy = match view.object::<GatewayClass>(&NamespacedName::new("", class)) {
        Some(object) => format!(
            "its GatewayClass belongs to the controller {}; the spec.controllerName there would have to be {own}",
            object.spec.controller_name
        ),
        None => format!(
            "to serve {class} as well, add a GatewayClass of this name with spec.controllerName: {own}"
        ),
    };
    let known = view.classes().join(", ");
    let text = format!("the class {class:?} is not served here, which these are: {known}; {remedy}");
    Detail::at("spec.gatewayClassName", text)
}

/// What to tell of a parent that is no Gateway of ours. Nothing where it may be somebody else's.
pub(crate) fn nobodys_parent(
    view: &impl View,
    parent: &ParentRef,
    route: &RouteKey,
    gateway: Option<&NamespacedName>,
) -> Option<Rejection> {
    if !view.settings().sole_controller {
        return None;
    }
    Some(match gateway {
        None if parent.kind.as_deref() == Some(listener_set::KIND) => {
            let namespace = parent.namespace.as_deref().unwrap_or(&route.name.namespace);
            let name = NamespacedName::new(namespace, &parent.name);
            let object =
                ObjectRef::namespaced(gateway_api::GROUP, listener_set::KIND, namespace, &parent.name);
            match view.object::<ListenerSet>(&name) {
                Some(_) => {
                    let text = format!("{object} has no Gateway as its parent: see its status");
                    Rejection::unusable(Reason::NoMatchingParent, object, text)
                }
                None => Rejection::missing(Reason::NoMatchingParent, object),
            }
        }
        None => {
            let kind = parent.kind.as_deref().unwrap_or_default();
            Rejection::new(Reason::InvalidKind, format!("a parent of kind {kind:?} is not supported yet"))
        }
        Some(gateway) => {
            let object = gateway_ref(gateway);
            match view.object::<Gateway>(gateway) {
                Some(_) => {
                    let text = format!("{object} is not served here: see its status");
                    Rejection::unusable(Reason::NoMatchingParent, object, text)
                }
                None => Rejection::missing(Reason::NoMatchingParent, object),
            }
        }
    })
}
