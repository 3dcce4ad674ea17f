//! Whether a policy of backends is accepted.

use std::collections::BTreeSet;

use crate::status::{Condition, ConditionType, Reason, Rejection, joined};

/// The condition of a policy that cannot be carried out because of `fault`, if there is one; `aside` is why it has no effect at
/// some of its targets, and `has_effect` whether it has one at others.
pub(super) fn accepted(fault: Option<&Rejection>, aside: &[&Rejection], has_effect: bool) -> Condition {
    let details: BTreeSet<_> = aside.iter().map(|rejection| &rejection.detail).collect();
    let details: Vec<_> = details.into_iter().cloned().collect();
    match (fault, aside.first()) {
        (_, Some(first)) if !has_effect => Condition::faults(ConditionType::Accepted, first.reason, details),
        (Some(fault), _) => {
            let mut detail = fault.detail.clone();
            detail.text.push_str("; what it applies to is answered with 500");
            Condition::faults(ConditionType::Accepted, fault.reason, vec![detail])
        }
        (None, None) => Condition::good(ConditionType::Accepted, Reason::Accepted, "the policy is valid"),
        (None, Some(_)) => {
            let message = format!("the policy is valid, but for some of its targets: {}", joined(&details));
            Condition::good(ConditionType::Accepted, Reason::Accepted, message)
        }
    }
}
