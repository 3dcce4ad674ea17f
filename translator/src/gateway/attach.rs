//! Which routes attach to which listeners: parentRef × listener.

use std::collections::BTreeMap;

use crds::core::LabelSelectorRequirement;
use crds::gateway_api::gateways::{
    GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector as Selector,
};
use crds::gateway_api::httproutes::HttpRouteParentRefs;
use crds::{NamespacedName, gateway_api};
use ir::Hostname;

use super::context::Context;
use super::listener::{Listener, Rejection};
use crate::status::Reason;

/// A hostname of a route at a listener: as the route writes it, and what of it the listener serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttachedHostname {
    /// As written; decides precedence.
    pub original: Hostname,
    /// Narrowed to the listener's.
    pub effective: Hostname,
}

/// A route at one listener of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The listener's index in its Gateway.
    pub listener: usize,
    /// Never empty.
    pub hostnames: Vec<AttachedHostname>,
}

/// The Gateway that a parentRef means; `None` if it means something else.
pub(crate) fn parent_gateway(parent: &HttpRouteParentRefs, route_namespace: &str) -> Option<NamespacedName> {
    let group = parent.group.as_deref().unwrap_or(gateway_api::GROUP);
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    (group == gateway_api::GROUP && kind == "Gateway").then(|| NamespacedName {
        namespace: parent.namespace.clone().unwrap_or_else(|| route_namespace.to_owned()),
        name: parent.name.clone(),
    })
}

/// The listeners of a Gateway that a route attaches to by one parentRef, or why there are none
/// (Gateway API, `RouteConditionReason`).
pub(crate) fn attach(
    context: &Context<'_>,
    gateway: &NamespacedName,
    listeners: &[Listener<'_>],
    parent: &HttpRouteParentRefs,
    route: &RouteKey<'_>,
) -> Result<Vec<Attachment>, Rejection> {
    let meant: Vec<_> =
        listeners.iter().enumerate().filter(|(_, listener)| is_meant(listener, parent)).collect();
    if meant.is_empty() {
        let message = format!("Gateway {gateway} has no listener {}", describe(parent));
        return Err(Rejection::new(Reason::NoMatchingParent, message));
    }
    let allowed: Vec<_> = meant
        .into_iter()
        .filter(|(_, listener)| {
            is_kind_allowed(listener, route.kind)
                && is_namespace_allowed(context, gateway, listener, route.namespace)
        })
        .collect();
    if allowed.is_empty() {
        let message = format!(
            "no listener of Gateway {gateway} allows {} from namespace {}",
            route.kind, route.namespace
        );
        return Err(Rejection::new(Reason::NotAllowedByListeners, message));
    }
    let attachments: Vec<_> = allowed
        .into_iter()
        .filter_map(|(index, listener)| {
            let hostnames = common_hostnames(&listener.hostname, route.hostnames);
            (!hostnames.is_empty()).then_some(Attachment { listener: index, hostnames })
        })
        .collect();
    if attachments.is_empty() {
        let message = format!("no listener of Gateway {gateway} has a hostname in common with this route");
        return Err(Rejection::new(Reason::NoMatchingListenerHostname, message));
    }
    Ok(attachments)
}

/// What attachment needs to know of a route.
pub(crate) struct RouteKey<'a> {
    pub kind: &'a str,
    pub namespace: &'a str,
    /// Empty: every host.
    pub hostnames: &'a [Hostname],
}

fn is_meant(listener: &Listener<'_>, parent: &HttpRouteParentRefs) -> bool {
    parent.section_name.as_ref().is_none_or(|section| *section == listener.spec.name)
        && parent.port.is_none_or(|port| port == listener.spec.port)
}

fn describe(parent: &HttpRouteParentRefs) -> String {
    match (&parent.section_name, parent.port) {
        (Some(section), Some(port)) => format!("named {section} on port {port}"),
        (Some(section), None) => format!("named {section}"),
        (None, Some(port)) => format!("on port {port}"),
        (None, None) => "at all".to_owned(),
    }
}

fn is_kind_allowed(listener: &Listener<'_>, route_kind: &str) -> bool {
    listener.kinds.iter().any(|(group, kind)| group == gateway_api::GROUP && kind == route_kind)
}

fn is_namespace_allowed(
    context: &Context<'_>,
    gateway: &NamespacedName,
    listener: &Listener<'_>,
    namespace: &str,
) -> bool {
    let namespaces = listener.spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match namespaces.and_then(|namespaces| namespaces.from.as_ref()).unwrap_or(&From::Same) {
        From::All => true,
        From::Same => namespace == gateway.namespace,
        From::Selector => namespaces
            .and_then(|namespaces| namespaces.selector.as_ref())
            .is_some_and(|selector| selects(selector, &context.namespace_labels(namespace))),
    }
}

/// Kubernetes' label selection (`LabelSelector`): all requirements must hold.
fn selects(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal
        && selector.match_expressions.iter().flatten().all(|expression| {
            let requirement = LabelSelectorRequirement {
                key: expression.key.clone(),
                operator: expression.operator.clone(),
                values: expression.values.clone(),
            };
            holds(&requirement, labels)
        })
}

fn holds(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|listed| listed == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        // Not an operator of Kubernetes: nothing is selected, rather than everything.
        _ => false,
    }
}

/// What route and listener have in common; a route without hostnames takes the listener's.
fn common_hostnames(listener: &Hostname, route: &[Hostname]) -> Vec<AttachedHostname> {
    let any = [Hostname::Any];
    let route = if route.is_empty() { any.as_slice() } else { route };
    let common = route.iter().filter_map(|original| {
        let effective = original.intersect(listener)?;
        Some(AttachedHostname { original: original.clone(), effective })
    });
    common.collect()
}
