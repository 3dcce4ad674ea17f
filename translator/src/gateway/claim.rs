//! Budgets over the claims of tokens: those of a namespace, and what a route needs to have its requests counted in them.

use std::collections::BTreeMap;

use ai_config::MOST_CLAIM_BUDGETS;
use crds::budget::{Budget, ClaimMatch, ClaimSelector};
use crds::{Kind, NamespacedName, ObjectKey};
use ir::{ClaimBudget, ClaimDemand, ClaimSet, ClaimSetName};
use limit_rule::Counted;

use super::budget;
use super::view::View;
use crate::status::{Reason, Rejection};

/// The budgets over claims of a namespace; `None` if there are none.
pub(crate) fn set(view: &impl View, namespace: &str) -> Option<ClaimSet> {
    let budgets = view.objects_in::<Budget>(namespace).filter_map(|budget| {
        let claims = budget.spec.claims.as_ref()?;
        let ClaimSelector { matches, each } = claims;
        let rule = budget::read(budget, "").ok();
        // One of which nobody knows whom it is about is about all.
        let matches = if check(claims, false).is_ok() { matches.as_slice() } else { &[] };
        Some(ClaimBudget {
            name: NamespacedName::of(&budget.metadata).to_string(),
            claims: matches.iter().map(|ClaimMatch { name, value }| (name.clone(), value.clone())).collect(),
            each: each.clone(),
            refuses_unpriced: rule.as_ref().is_some_and(|rule| budget::refuses_unpriced(budget, rule)),
            rule,
        })
    });
    let budgets: Vec<_> = budgets.collect();
    let name = ClaimSetName::of_namespace(namespace);
    (!budgets.is_empty()).then_some(ClaimSet { name, budgets })
}

/// What a route asks whose tokens leave their claims under this key.
pub(super) fn demand(set: &ClaimSet, payload_key: &str) -> ClaimDemand {
    let mut budgets: BTreeMap<Counted, usize> = BTreeMap::new();
    let rules = || set.budgets.iter().filter_map(|budget| budget.rule.as_ref());
    for rule in rules() {
        let most = budgets.entry(rule.counted).or_default();
        *most = MOST_CLAIM_BUDGETS.min(*most + 1);
    }
    ClaimDemand {
        set: set.name.clone(),
        payload_key: payload_key.to_owned(),
        budgets,
        falls_back: rules().any(|rule| !rule.fallback.is_empty()),
    }
}

/// Under this key routes tell that they count requests in the budgets over claims of a namespace. No object has the name.
pub(super) fn counted_in(namespace: &str) -> ObjectKey {
    ObjectKey { kind: Kind::Budget, name: NamespacedName::new(namespace, "") }
}

/// Whether a route does so.
pub(super) fn are_counted(view: &impl View, namespace: &str) -> bool {
    !view.policy_facts(&counted_in(namespace)).is_empty()
}

/// Checks what the claims are.
///
/// # Errors
/// A name is empty, or the budget is about keys as well.
pub(super) fn check(claims: &ClaimSelector, has_keys: bool) -> Result<(), Rejection> {
    let ClaimSelector { matches, each } = claims;
    let invalid = |field: String, text: &str| Err(Rejection::at(Reason::Invalid, field, text));
    if has_keys {
        return invalid("spec.claims".to_owned(), "is not possible beside keys");
    }
    for (index, ClaimMatch { name, value }) in matches.iter().enumerate() {
        for (field, text) in [("name", name), ("value", value)] {
            if text.is_empty() {
                return invalid(format!("spec.claims.match[{index}].{field}"), "must not be empty");
            }
        }
    }
    match each.as_deref() {
        Some("") => invalid("spec.claims.each".to_owned(), "must not be empty"),
        _ => Ok(()),
    }
}
