//! Which GatewayClasses and Gateways are ours.

use std::collections::BTreeSet;

use crds::{ObjectRef, gateway_api};

use super::context::Context;
use super::listener::Rejection;
use super::parameters;
use crate::status::{Condition, ConditionType, Facts, Reason, Report};

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
