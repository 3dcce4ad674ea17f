//! The status of a policy (Gateway API, `PolicyStatus`; GEP-713): an entry for each Gateway that it has to do with, and for
//! each target that does not exist.

use std::collections::{BTreeMap, BTreeSet};

use crds::ai::SpecError;
use crds::gateway_api::part::ParentRef;
use crds::gateway_api::{self, HttpRoute};
use crds::policy::{Target, TargetName, UnusableTarget};
use crds::{Kind, NamespacedName, ObjectKey};

use super::PolicyObject;
use super::chain::exists;
use super::listener::{self, is_of_listeners};
use crate::gateway::attach::Parent;
use crate::gateway::facts::{GatewayKey, PolicyEffect, PolicyFace};
use crate::gateway::view::View;
use crate::status::{Condition, ConditionType, Detail, Facts, ParentFacts, Reason, Report};

/// How many things of a kind a message names.
const MOST_NAMED: usize = 5;

/// What to tell about a policy; `None` if it has nothing to do with a Gateway of ours.
pub(crate) fn report(view: &impl View, key: &ObjectKey) -> Option<Report> {
    let PolicyObject { policy, generation, .. } = super::object(view, key)?;
    let face = view.policy(key)?;
    let mut gateways: BTreeMap<GatewayKey, Vec<PolicyEffect>> = BTreeMap::new();
    for (gateway, effect) in view.policy_facts(key) {
        gateways.entry(gateway).or_default().push(effect);
    }
    // A Gateway is told of also while it has no routes.
    let targets = view.targets_of(key).into_iter().filter(|target| target.kind == Kind::Gateway);
    for gateway in targets.filter(|gateway| view.is_ours(&gateway.name)) {
        let mut policies = view.policies_at(&gateway).into_iter().filter(|at| at.policy == *key);
        if policies.any(|at| exists(view, &gateway.name, &at)) {
            gateways.entry(gateway.name).or_default();
        }
    }
    let mut strays = Vec::new();
    let mut faults: Vec<Detail> =
        face.content.iter().flat_map(|content| &content.ignored).map(|field| no_effect(field)).collect();
    for target in policy.targets() {
        match target {
            Ok(target) => strays.extend(stray(view, key, &target)),
            Err(target) => {
                faults.push(detail(&target.error));
                strays.extend(unusable(view, key, target));
            }
        }
    }
    let ancestors = gateways.iter().map(|(gateway, effects)| ParentFacts {
        parent_ref: reference("Gateway", gateway, None),
        conditions: conditions(view, gateway, &face, effects, &faults),
    });
    let ancestors: Vec<_> = ancestors.chain(strays).collect();
    (!ancestors.is_empty()).then(|| Report {
        object: key.to_ref(),
        generation,
        facts: Facts::Policy(ancestors),
    })
}

fn no_effect(field: &str) -> Detail {
    Detail::at(field, "is not supported yet and has no effect")
}

fn detail(error: &SpecError) -> Detail {
    Detail::at(error.path.clone(), error.message.clone())
}

/// An object of Gateway API, or a section of it, as the ancestor that a status is about.
pub(in crate::gateway) fn reference(kind: &str, name: &NamespacedName, section: Option<&str>) -> ParentRef {
    ParentRef {
        group: Some(gateway_api::GROUP.into()),
        kind: Some(kind.into()),
        namespace: Some((&*name.namespace).into()),
        name: (&*name.name).into(),
        section_name: section.map(Into::into),
        port: None,
    }
}

/// What to tell of a target that does not exist. Nothing where it may be another controller's policy.
fn stray(view: &impl View, policy: &ObjectKey, target: &Target) -> Option<ParentFacts> {
    let TargetName::Name(name) = &target.name else { return None };
    let name = NamespacedName::new(&policy.name.namespace, name);
    let section = target.section.as_deref();
    let missing = match target.kind {
        Kind::Gateway => missing_listener(view, &name, section)?,
        _ => missing_rule(view, &name, section)?,
    };
    let kind = if target.kind == Kind::Gateway { "Gateway" } else { "HTTPRoute" };
    let fault = Detail::at(target.field.clone(), format!("{kind} {name} {missing}"));
    Some(ParentFacts {
        parent_ref: reference(kind, &name, section),
        conditions: vec![Condition::faults(ConditionType::Accepted, Reason::TargetNotFound, vec![fault])],
    })
}

/// What to tell of a target that a policy cannot apply to. Likewise.
fn unusable(view: &impl View, policy: &ObjectKey, target: UnusableTarget) -> Option<ParentFacts> {
    let UnusableTarget { error, object } = target;
    let (group, kind, name) = *object.filter(|_| !view.has_peers())?;
    let name = NamespacedName::new(&policy.name.namespace, name);
    Some(ParentFacts {
        parent_ref: ParentRef { group: Some(group.into()), ..reference(&kind, &name, None) },
        conditions: vec![Condition::faults(ConditionType::Accepted, Reason::Invalid, vec![detail(&error)])],
    })
}

fn missing_listener(view: &impl View, name: &GatewayKey, section: Option<&str>) -> Option<String> {
    if !view.is_ours(name) {
        let exists = view.object::<gateway_api::Gateway>(name).is_some();
        return (!exists && !view.has_peers()).then(|| "does not exist".to_owned());
    }
    let section = section?;
    let has_it = view.placement(name)?.listeners.iter().any(|listener| *listener.name == *section);
    (!has_it).then(|| format!("has no listener named {section}"))
}

fn missing_rule(view: &impl View, name: &NamespacedName, section: Option<&str>) -> Option<String> {
    let Some(route) = view.object::<HttpRoute>(name) else {
        return (!view.has_peers()).then(|| "does not exist".to_owned());
    };
    let section = section?;
    let mut parents = route.parent_refs.iter();
    let is_ours = parents.any(|parent| {
        let parent = Parent::find(parent, &name.namespace, |set| view.object(set));
        parent.is_some_and(|parent| view.is_ours(&parent.gateway))
    });
    let has_it = route.rules.iter().any(|rule| rule.name.as_deref() == Some(section));
    (is_ours && !has_it).then(|| format!("has no rule named {section}"))
}

/// The conditions at a Gateway, from what routes tell and from what is wrong with parts of the policy.
fn conditions(
    view: &impl View,
    gateway: &GatewayKey,
    face: &PolicyFace,
    effects: &[PolicyEffect],
    faults: &[Detail],
) -> Vec<Condition> {
    let mut conditions = match &face.content {
        _ if is_of_listeners(face.key.kind) => listener::conditions(view, gateway, face),
        Err(rejection) => {
            let mut detail = rejection.detail.clone();
            detail.text.push_str("; what the policy applies to is answered with 500");
            vec![Condition::faults(ConditionType::Accepted, Reason::Invalid, vec![detail])]
        }
        Ok(_) => vec![
            Condition::good(ConditionType::Accepted, Reason::Accepted, "the policy is valid")
                .with_notes(&face.notes),
            attached(effects, face),
        ],
    };
    let faults: Vec<_> =
        faults.iter().chain(&face.faults).cloned().chain(listener::faults(view, gateway, face)).collect();
    if !faults.is_empty() {
        let (kind, reason) = (ConditionType::PartiallyInvalid, Reason::UnsupportedValue);
        conditions.push(Condition::faults(kind, reason, faults));
    }
    conditions
}

/// Whether the policy has an effect at a Gateway, and which other policies have a part in it.
fn attached(effects: &[PolicyEffect], face: &PolicyFace) -> Condition {
    // It is a DirectResponse; what it says is left out.
    let (is_answer, is_left_out) = (face.answer.is_some(), !face.faults.is_empty());
    let has = |wanted: PolicyEffect| effects.contains(&wanted);
    let named = |name: fn(&PolicyEffect) -> Option<String>| effects.iter().filter_map(name).collect();
    let merged: BTreeSet<_> = named(|effect| match effect {
        PolicyEffect::MergedWith(other) => Some(other.to_ref().to_string()),
        _ => None,
    });
    let overridden: BTreeSet<_> = named(|effect| match effect {
        PolicyEffect::Overridden { field, by } => Some(format!("{field} is overridden by {}", by.to_ref())),
        _ => None,
    });
    let blocking: BTreeSet<_> = named(|effect| match effect {
        PolicyEffect::BlockedBy(other) => Some(other.to_ref().to_string()),
        _ => None,
    });
    let plain: BTreeSet<_> = named(|effect| match effect {
        PolicyEffect::NoAiBackend(backend) => Some(backend.to_string()),
        _ => None,
    });
    let not_for_ai: BTreeSet<_> = named(|effect| match effect {
        PolicyEffect::NotForAi(field) => Some((*field).to_owned()),
        _ => None,
    });
    let first = match (has(PolicyEffect::InEffect), has(PolicyEffect::Applies)) {
        (true, _) => "the policy is in effect",
        (false, false) => "no route is attached yet",
        (false, true) if has(PolicyEffect::NoEngine) => {
            "it needs the AI engine, which the proxies do not have; what it applies to is answered with 500"
        }
        (false, true) if !overridden.is_empty() => "the policy has no effect",
        (false, true) if is_answer => "no rule that names it can be carried out",
        (false, true) if is_left_out => "what the policy says is left out",
        (false, true) => "no AI backend gets requests by what the policy applies to",
    };
    let parts = [
        ("merged with ", &merged, ", "),
        ("", &overridden, "; "),
        ("no effect on what is not an AI backend: ", &plain, ", "),
        ("no effect on AI backends: ", &not_for_ai, ", "),
        ("rules are answered with 500 because of ", &blocking, ", "),
    ];
    let parts = parts.into_iter().filter(|(_, all, _)| !all.is_empty());
    let parts = parts.map(|(words, all, separator)| format!("{words}{}", list(all, separator)));
    let message = std::iter::once(first.to_owned()).chain(parts).collect::<Vec<_>>().join("; ");
    let is_partial = !merged.is_empty() || !overridden.is_empty();
    let (status, reason) = match (has(PolicyEffect::InEffect), has(PolicyEffect::Applies)) {
        (true, _) if is_partial => (true, Reason::Merged),
        (true, _) | (false, false) => (true, Reason::Attached),
        (false, true) if has(PolicyEffect::NoEngine) => (false, Reason::AiEngineUnavailable),
        (false, true) if !overridden.is_empty() => (false, Reason::Overridden),
        (false, true) if is_answer || is_left_out => (false, Reason::Invalid),
        (false, true) => (false, Reason::NoAffectedBackend),
    };
    Condition { status, ..Condition::good(ConditionType::Attached, reason, message) }
}

/// Some things of a kind, so that a message stays short however many there are.
pub(super) fn list(all: &BTreeSet<String>, separator: &str) -> String {
    let mut named: Vec<_> = all.iter().take(MOST_NAMED).cloned().collect();
    if all.len() > MOST_NAMED {
        named.push(format!("and {} more", all.len() - MOST_NAMED));
    }
    named.join(separator)
}
