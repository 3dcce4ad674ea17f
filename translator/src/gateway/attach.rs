//! Which routes attach to which listeners: parentRef × listener.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::core::LabelSelectorRequirement;
use crds::gateway_api::gateways::{
    GatewayListenersAllowedRoutesNamespacesFrom as From,
    GatewayListenersAllowedRoutesNamespacesSelector as Selector,
};
use crds::gateway_api::listener_set::gateway as gateway_of_set;
use crds::gateway_api::part::ParentRef;
use crds::gateway_api::{self, ListenerSet};
use crds::{NamespacedName, ObjectRef};
use ir::Hostname;

use super::listener::{Listener, ListenerProtocol};
use super::{class, listener_set};
use crate::gateway::facts::{Attachment, Placed, RouteKey, Row, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::{
    Condition, ConditionType, Detail, Facts, ParentFacts, Reason, Rejection, Report, joined,
};

/// Attaches a route to the listeners that it names, and tells how that went; `None` if it is not a route of ours.
pub(crate) fn attach(view: &impl View, key: &RouteKey) -> Option<Attachment> {
    let route = view.route_object(key)?;
    let translated = view.route(key);
    let mut all_rows = BTreeSet::new();
    let mut parents = Vec::new();
    for (index, parent) in route.parent_refs.iter().enumerate() {
        let field = format!("spec.parentRefs[{index}]");
        let place = Parent::find(parent, &key.name.namespace, |set| view.object(set));
        let gateway = place.as_ref().map(|place| &place.gateway);
        let placed = gateway.and_then(|gateway| view.placement(gateway));
        let (Some(placed), Some(translated)) = (placed, &translated) else {
            let rejection = class::nobodys_parent(view, parent, key, gateway);
            parents.extend(rejection.map(|rejection| {
                let rejected = at_parent(&rejection, &field);
                let conditions = match &translated {
                    Some(translated) => conditions(translated, Some(rejected)),
                    None => vec![rejected],
                };
                ParentFacts { parent_ref: parent.clone(), conditions }
            }));
            continue;
        };
        let rows = match translated.is_nowhere() {
            true => Err(Condition::faults(
                ConditionType::Accepted,
                Reason::UnsupportedValue,
                translated.hostname_errors.clone(),
            )),
            false => {
                let set = place.as_ref().and_then(|place| place.set.as_ref());
                rows(view, &placed, (parent, set), key, &translated.hostnames)
                    .map_err(|rejection| at_parent(&rejection, &field))
            }
        };
        let mut conditions = conditions(translated, rows.as_ref().err().cloned());
        conditions.shrink_to_fit();
        parents.push(ParentFacts { parent_ref: parent.clone(), conditions });
        // The same route by another parentRef counts once.
        all_rows.extend(rows.unwrap_or_default());
    }
    parents.shrink_to_fit();
    let report = (!parents.is_empty()).then(|| Report {
        object: key.to_ref(),
        generation: route.metadata.generation.unwrap_or_default(),
        facts: Facts::Route(parents),
    });
    let is_counted = translated.is_some_and(|translated| !translated.all_broken);
    Some(Attachment { rows: all_rows.into_iter().collect(), is_counted, report: report.map(Arc::new) })
}

/// What to tell about a route at a parent, which may have rejected it.
fn conditions(translated: &TranslatedRoute, rejected: Option<Condition>) -> Vec<Condition> {
    let mut conditions = match rejected {
        None => translated.conditions(),
        Some(rejected) => vec![with_broken_rules(rejected, translated), translated.resolved_refs()],
    };
    if !translated.is_nowhere() && !translated.hostname_errors.is_empty() {
        add_dropped_hostnames(&mut conditions, &translated.hostname_errors);
    }
    conditions
}

/// Tells also of what is wrong with the rules, which would show only once the parent is right.
fn with_broken_rules(mut rejected: Condition, translated: &TranslatedRoute) -> Condition {
    if translated.broken.is_empty() {
        return rejected;
    }
    let broken: Vec<_> = translated.broken.iter().map(|rejection| rejection.detail.clone()).collect();
    rejected.message = format!("{}; {}", rejected.message, joined(&broken)).into();
    rejected.details = [&*rejected.details, &broken].concat().into();
    rejected
}

/// Tells of hostnames that are left out, beside the rules that are.
fn add_dropped_hostnames(conditions: &mut Vec<Condition>, errors: &[Detail]) {
    let dropped =
        Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, errors.to_vec());
    let message = format!("Dropped hostname(s): {}", dropped.message);
    let told = conditions.iter_mut().find(|condition| condition.kind == ConditionType::PartiallyInvalid);
    match told {
        Some(condition) => {
            condition.message = format!("{}; {message}", condition.message).into();
            condition.details = [&*condition.details, errors].concat().into();
        }
        None => conditions.push(dropped.in_words(message)),
    }
}

/// A condition of the parent, which the status names already: only whoever reads files needs the field.
fn at_parent(rejection: &Rejection, field: &str) -> Condition {
    let detail = rejection.detail.clone().under(field);
    let text = detail.text.clone();
    Condition::faults(ConditionType::Accepted, rejection.reason, vec![detail]).in_words(text)
}

/// The parents of a route about which nothing is known.
pub(crate) fn parents_without_conditions(parents: &[ParentRef]) -> Vec<ParentFacts> {
    parents.iter().map(|parent| ParentFacts { parent_ref: parent.clone(), conditions: Vec::new() }).collect()
}

/// What a parentRef leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Parent {
    /// The Gateway.
    pub gateway: NamespacedName,
    /// The ListenerSet of whose listeners one is meant; `None` if it is one of the Gateway's own.
    pub set: Option<NamespacedName>,
}

impl Parent {
    /// What a parentRef leads to; `None` if it means something else, or a ListenerSet that `find_set` does not know.
    pub(crate) fn find<'a>(
        parent: &ParentRef,
        route_namespace: &str,
        find_set: impl FnOnce(&NamespacedName) -> Option<&'a Arc<ListenerSet>>,
    ) -> Option<Self> {
        let name =
            || NamespacedName::new(parent.namespace.as_deref().unwrap_or(route_namespace), &parent.name);
        if parent.group.as_deref().unwrap_or(gateway_api::GROUP) != gateway_api::GROUP {
            return None;
        }
        match parent.kind.as_deref().unwrap_or("Gateway") {
            "Gateway" => Some(Self { gateway: name(), set: None }),
            listener_set::KIND => {
                let set = name();
                Some(Self { gateway: gateway_of_set(find_set(&set)?)?, set: Some(set) })
            }
            _ => None,
        }
    }
}

/// Where a route attaches by one parentRef, or why nowhere (Gateway API, `RouteConditionReason`). No hostnames: every
/// host.
fn rows(
    view: &impl View,
    placed: &Placed,
    (parent, set): (&ParentRef, Option<&NamespacedName>),
    route: &RouteKey,
    hostnames: &[Hostname],
) -> Result<Vec<Row>, Rejection> {
    let gateway = &placed.gateway;
    let of_parent = || placed.listeners.iter().filter(|listener| listener.set.as_ref() == set);
    let (owner_kind, owner_name) = match set {
        Some(set) => (listener_set::KIND, set),
        None => ("Gateway", gateway),
    };
    let owner =
        ObjectRef::namespaced(gateway_api::GROUP, owner_kind, &owner_name.namespace, &owner_name.name);
    if set.is_some() && of_parent().next().is_none() {
        let text = format!("{owner} adds no listener to Gateway {gateway}: see its status");
        return Err(Rejection::unusable(Reason::NoMatchingParent, owner, text));
    }
    let meant: Vec<_> = of_parent().filter(|listener| is_meant(listener, parent)).collect();
    if meant.is_empty() {
        let names: Vec<_> = of_parent()
            .map(|listener| format!("{} (port {})", listener.spec.name, listener.spec.port))
            .collect();
        let has = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let text = format!("{owner} has no listener {}; it has {has}", describe(parent));
        let field = if parent.section_name.is_some() { "sectionName" } else { "port" };
        return Err(Rejection::at(Reason::NoMatchingParent, field, text));
    }
    let (kind, namespace) = (route.kind.info().kind, &route.name.namespace);
    let is_allowed = |listener: &&Listener| {
        is_kind_allowed(listener, kind) && is_namespace_allowed(view, gateway, listener, namespace)
    };
    let is_unusable =
        meant.iter().all(|listener| listener.rejected.is_some() && !is_kind_allowed(listener, kind));
    let allowed: Vec<_> = meant.into_iter().filter(is_allowed).collect();
    if allowed.is_empty() && is_unusable {
        let text = format!("{owner} has no valid listener for this route: see its status");
        return Err(Rejection::unusable(Reason::NotAllowedByListeners, owner, text));
    }
    if allowed.is_empty() {
        let text = format!(
            "no listener of {owner} allows {kind} from namespace {namespace}; the {owner_kind}'s \
             spec.listeners[].allowedRoutes decides, and by default allows its own namespace only"
        );
        return Err(Rejection::new(Reason::NotAllowedByListeners, text));
    }
    let hostnames_of: Vec<_> = allowed.iter().map(|listener| &listener.hostname).collect();
    let rows: Vec<_> = allowed
        .iter()
        .flat_map(|listener| {
            let is_served = !placed.is_rejected && listener.is_served();
            common_hostnames(&listener.hostname, hostnames).map(move |(original, effective)| Row {
                gateway: gateway.clone(),
                listener: listener.name.clone(),
                port: listener.port.filter(|_| is_served),
                table: listener.table.clone().filter(|_| is_served),
                effective,
                original,
            })
        })
        .collect();
    if rows.is_empty() {
        let served: BTreeSet<_> = hostnames_of.iter().map(ToString::to_string).collect();
        let text = format!(
            "no listener of {owner} has a hostname in common with this route; they have {}",
            served.into_iter().collect::<Vec<_>>().join(", ")
        );
        return Err(Rejection::new(Reason::NoMatchingListenerHostname, text));
    }
    Ok(rows)
}

/// Whether a route names a listener of a protocol, be it that the listener takes it or not.
pub(super) fn names_listener(
    view: &impl View,
    route: &RouteKey,
    parents: &[ParentRef],
    protocol: ListenerProtocol,
) -> bool {
    parents.iter().any(|parent| {
        let place = Parent::find(parent, &route.name.namespace, |set| view.object(set));
        let Some(place) = place else { return false };
        let Some(placed) = view.placement(&place.gateway) else { return false };
        placed.listeners.iter().any(|listener| {
            listener.protocol == Some(protocol) && listener.set == place.set && is_meant(listener, parent)
        })
    })
}

fn is_meant(listener: &Listener, parent: &ParentRef) -> bool {
    parent.section_name.as_deref().is_none_or(|section| section == listener.spec.name)
        && parent.port.is_none_or(|port| port == listener.spec.port)
}

fn describe(parent: &ParentRef) -> String {
    match (&parent.section_name, parent.port) {
        (Some(section), Some(port)) => format!("named {section} on port {port}"),
        (Some(section), None) => format!("named {section}"),
        (None, Some(port)) => format!("on port {port}"),
        (None, None) => "at all".to_owned(),
    }
}

fn is_kind_allowed(listener: &Listener, route_kind: &str) -> bool {
    listener.kinds.iter().any(|(group, kind)| group == gateway_api::GROUP && kind == route_kind)
}

fn is_namespace_allowed(
    view: &impl View,
    gateway: &NamespacedName,
    listener: &Listener,
    namespace: &str,
) -> bool {
    let namespaces = listener.spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    match namespaces.and_then(|namespaces| namespaces.from.as_ref()).unwrap_or(&From::Same) {
        From::All => true,
        From::Same => *namespace == *listener.namespace(gateway),
        From::Selector => namespaces
            .and_then(|namespaces| namespaces.selector.as_ref())
            .is_some_and(|selector| selects(selector, &view.namespace_labels(namespace))),
    }
}

/// Kubernetes' label selection (`LabelSelector`): all requirements must hold.
pub(super) fn selects(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
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

/// The hostnames that route and listener have in common, each as written by the route and as served; a route without
/// hostnames takes the listener's.
fn common_hostnames<'a>(
    listener: &'a Hostname,
    route: &'a [Hostname],
) -> impl Iterator<Item = (Hostname, Hostname)> + 'a {
    let route = if route.is_empty() { &ANY } else { route };
    route.iter().filter_map(|original| Some((original.clone(), original.intersect(listener)?)))
}

const ANY: [Hostname; 1] = [Hostname::Any];
