//! Which policies apply to a rule, the most specific first.

use std::collections::BTreeSet;
use std::sync::Arc;

use ai_config::Translation;
use crds::{Kind, NamespacedName, ObjectKey, RouteParts};

use super::ai;
use super::listener::is_of_listeners;
use crate::gateway::attach::Parent;
use crate::gateway::facts::{GatewayKey, Place, PolicyFace, RouteKey};
use crate::gateway::view::View;
use crate::resources::PolicyAt;
use crate::status::{Reason, Rejection};

/// How specific a policy is where it applies. What sorts first wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::gateway) enum Level {
    /// A filter of a backend reference.
    BackendRef,
    /// A filter of a rule.
    RuleFilter,
    /// A target that is a rule.
    Rule,
    /// A target that is a route.
    Route,
    /// A target that is a listener.
    Listener,
    /// A target that is a Gateway.
    Gateway,
}

/// A policy where it applies.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Applied {
    pub level: Level,
    pub face: Arc<PolicyFace>,
}

impl Applied {
    /// Of the same level the older wins, then the name decides.
    fn order(&self) -> (Level, Option<i64>, &NamespacedName, Kind) {
        (self.level, self.face.created, &self.face.key.name, self.face.key.kind)
    }
}

/// Policies in their order, each once: where it is most specific.
pub(in crate::gateway) fn sorted(mut chain: Vec<Applied>) -> Vec<Applied> {
    chain.sort_by(|left, right| left.order().cmp(&right.order()));
    let mut seen = BTreeSet::new();
    chain.retain(|applied| seen.insert(applied.face.key.clone()));
    chain
}

/// Refuses what a policy applies to that cannot be carried out: without it, requests would pass that it is there to
/// refuse or to change.
pub(in crate::gateway) fn blocked(chain: &[Applied]) -> Result<(), (&ObjectKey, Rejection)> {
    let fault = chain.iter().find_map(|Applied { face, .. }| {
        let rejection = face.content.as_ref().err()?;
        let policy = face.key.to_ref();
        let text = format!("{policy}: {}", rejection.message());
        Some((&face.key, Rejection::unusable(rejection.reason, policy, text)))
    });
    fault.map_or(Ok(()), Err)
}

/// The policies of a route.
pub(in crate::gateway) struct RoutePolicies {
    /// Those that have the route, or one of its rules by name, as their target.
    own: Vec<(Option<String>, Arc<PolicyFace>)>,
    /// Where the route may have different policies. Never empty; nearly always one.
    pub variants: Vec<Variant>,
    /// What the route's annotation says.
    pub translation: Result<Option<Translation>, Rejection>,
}

/// Gateways, or a listener, where the same policies apply to a route.
#[derive(Default)]
pub(in crate::gateway) struct Variant {
    /// Where; everywhere else if absent.
    pub place: Option<Place>,
    /// The Gateways, which need not be ours.
    pub gateways: Vec<GatewayKey>,
    /// The policies of the Gateways and listeners.
    policies: Vec<Applied>,
}

impl RoutePolicies {
    /// Looks up the policies of a route and of its Gateways.
    pub(in crate::gateway) fn of(view: &impl View, key: &RouteKey, route: RouteParts<'_>) -> Self {
        let own = policies_at(view, key).into_iter();
        let own = own.map(|at| (at.section, known(view, &at.policy))).collect();
        Self { own, variants: variants(view, key, route), translation: ai::translation(route.metadata) }
    }

    /// The policies of a rule, other than by filters.
    pub(in crate::gateway) fn of_rule<'a>(
        &'a self,
        variant: &'a Variant,
        rule: Option<&'a str>,
    ) -> impl Iterator<Item = Applied> + 'a {
        let own = self.own.iter().filter_map(move |(section, face)| {
            let level = match section {
                None => Level::Route,
                Some(section) if Some(section.as_str()) == rule => Level::Rule,
                Some(_) => return None,
            };
            Some(Applied { level, face: face.clone() })
        });
        own.chain(variant.policies.iter().cloned())
    }
}

/// The policies of an object that say what is done with requests of routes.
fn policies_at(view: &impl View, target: &ObjectKey) -> BTreeSet<PolicyAt> {
    let mut policies = view.policies_at(target);
    policies.retain(|at| !is_of_listeners(at.policy.kind));
    policies
}

pub(super) fn known(view: &impl View, key: &ObjectKey) -> Arc<PolicyFace> {
    view.policy(key).unwrap_or_else(|| {
        // It could not be evaluated. Nothing passes without it.
        Arc::new(PolicyFace::unusable(
            key.clone(),
            None,
            Rejection::new(Reason::InternalError, "is not known"),
        ))
    })
}

/// Stands for a listener of a ListenerSet, which no section of a policy means: no listener has this name.
const OF_A_SET: &str = "/";

fn variants(view: &impl View, key: &RouteKey, route: RouteParts<'_>) -> Vec<Variant> {
    let parents = route.parent_refs.iter();
    let parents = parents.filter_map(|parent| {
        let Parent { gateway, set } = Parent::find(parent, &key.name.namespace, |set| view.object(set))?;
        Some((gateway, if set.is_some() { Some(OF_A_SET) } else { parent.section_name.as_deref() }))
    });
    let parents: BTreeSet<(GatewayKey, Option<&str>)> = parents.collect();
    let gateways: BTreeSet<&GatewayKey> = parents.iter().map(|(gateway, _)| gateway).collect();
    let mut variants = Vec::new();
    let mut elsewhere = Variant::default();
    for gateway in gateways {
        let policies = policies_at(view, &ObjectKey { kind: Kind::Gateway, name: gateway.clone() });
        if policies.is_empty() || !view.is_ours(gateway) {
            elsewhere.gateways.push(gateway.clone());
            continue;
        }
        let sections: BTreeSet<_> =
            parents.iter().filter(|(of, _)| of == gateway).map(|(_, at)| *at).collect();
        variants.extend(variants_of_gateway(view, gateway, &sections, &policies));
    }
    if variants.is_empty() || !elsewhere.gateways.is_empty() {
        variants.push(elsewhere);
    }
    variants
}

/// Whether the part of a Gateway exists to which a policy applies.
pub(super) fn exists(view: &impl View, gateway: &GatewayKey, at: &PolicyAt) -> bool {
    let Some(section) = &at.section else { return true };
    let placed = view.placement(gateway);
    placed.is_some_and(|placed| placed.listeners.iter().any(|listener| *listener.name == **section))
}

/// The listeners of a Gateway that have policies, and the rest of it, as far as a route attaches there by the listeners
/// that it names (`None`: all).
fn variants_of_gateway(
    view: &impl View,
    gateway: &GatewayKey,
    named: &BTreeSet<Option<&str>>,
    policies: &BTreeSet<PolicyAt>,
) -> Vec<Variant> {
    let at = |level, wanted: Option<&str>| -> Vec<Applied> {
        let here = policies.iter().filter(|at| at.section.as_deref() == wanted);
        here.map(|at| Applied { level, face: known(view, &at.policy) }).collect()
    };
    let variant = |listener: Option<&str>| Variant {
        place: Some(Place { gateway: gateway.clone(), listener: listener.map(Into::into) }),
        gateways: vec![gateway.clone()],
        policies: at(Level::Gateway, None)
            .into_iter()
            .chain(listener.into_iter().flat_map(|listener| at(Level::Listener, Some(listener))))
            .collect(),
    };
    let special = policies.iter().filter(|at| exists(view, gateway, at));
    let special: BTreeSet<_> = special.filter_map(|at| at.section.as_deref()).collect();
    let is_rest_reached = named.iter().any(|name| name.is_none_or(|name| !special.contains(name)));
    let reached = special.iter().filter(|name| named.contains(&None) || named.contains(&Some(**name)));
    reached.map(|name| variant(Some(name))).chain(is_rest_reached.then(|| variant(None))).collect()
}
