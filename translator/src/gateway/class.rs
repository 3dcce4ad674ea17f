//! Which GatewayClasses and Gateways are ours.

use std::collections::BTreeSet;

use crds::gateway_api::httproutes::HttpRouteParentRefs;
use crds::{NamespacedName, ObjectRef, gateway_api};

use super::context::Context;
use super::listener::Rejection;
use super::parameters;
use crate::status::{Condition, ConditionType, Facts, GatewayFacts, Reason, Report};

/// The names of the classes whose Gateways we serve.
pub(crate) fn our_classes(context: &Context<'_>) -> BTreeSet<String> {
    let classes = &context.resources.gateway_classes;
    let ours = classes
        .iter()
        .filter(|(_, class)| class.spec.controller_name == context.settings.controller_name)
        .map(|(name, _)| name.clone());
    let implied =
        context.settings.implied_classes.iter().filter(|name| !classes.contains_key(*name)).cloned();
    ours.chain(implied).collect()
}

/// The status of every class of ours.
pub(crate) fn report_classes(context: &Context<'_>) -> Vec<Report> {
    let ours = context
        .resources
        .gateway_classes
        .iter()
        .filter(|(_, class)| class.spec.controller_name == context.settings.controller_name);
    ours.map(|(name, class)| {
        let is_own_network = context.settings.addressing.is_own_network();
        let parameters = if is_own_network { parameters::of_class(context, class) } else { Ok(None) };
        let condition = match parameters {
            Err(Rejection { reason, message }) => Condition::bad(ConditionType::Accepted, reason, message),
            Ok(_) => Condition::good(ConditionType::Accepted, Reason::Accepted, "served by Chancery"),
        };
        Report {
            object: ObjectRef::cluster(gateway_api::GROUP, "GatewayClass", name),
            generation: class.metadata.generation.unwrap_or_default(),
            facts: Facts::Conditions(vec![condition]),
        }
    })
    .collect()
}

/// Where nobody else can be meant, a Gateway of a class that is not ours is a mistake.
pub(crate) fn report_classless_gateways(context: &Context<'_>) -> Vec<Report> {
    if !context.settings.sole_controller {
        return Vec::new();
    }
    let ours = our_classes(context);
    let lost = context.resources.gateways.iter();
    let lost = lost.filter(|(_, gateway)| !ours.contains(&gateway.spec.gateway_class_name));
    lost.map(|(key, gateway)| {
        let known: Vec<_> = ours.iter().map(String::as_str).collect();
        let class = &gateway.spec.gateway_class_name;
        let message = format!("spec.gatewayClassName: {class:?} is not served here; {} is", known.join(", "));
        let facts = GatewayFacts {
            addresses: Vec::new(),
            conditions: vec![Condition::bad(ConditionType::Accepted, Reason::Invalid, message)],
            listeners: Vec::new(),
        };
        Report {
            object: ObjectRef::namespaced(gateway_api::GROUP, "Gateway", &key.namespace, &key.name),
            generation: gateway.metadata.generation.unwrap_or_default(),
            facts: Facts::Gateway(facts),
        }
    })
    .collect()
}

/// What to tell of a parent that is no Gateway of ours. Nothing where it may be somebody else's.
pub(crate) fn nobodys_parent(
    context: &Context<'_>,
    parent: &HttpRouteParentRefs,
    gateway: Option<&NamespacedName>,
) -> Option<Condition> {
    if !context.settings.sole_controller {
        return None;
    }
    let (reason, message) = match gateway {
        None => {
            let kind = parent.kind.as_deref().unwrap_or_default();
            (Reason::InvalidKind, format!("a parent of kind {kind:?} is not supported yet"))
        }
        Some(gateway) if context.resources.gateways.contains_key(gateway) => {
            (Reason::NoMatchingParent, format!("Gateway {gateway} is not served here: see its status"))
        }
        Some(gateway) => (Reason::NoMatchingParent, format!("Gateway {gateway} does not exist")),
    };
    Some(Condition::bad(ConditionType::Accepted, reason, message))
}
