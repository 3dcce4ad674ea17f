//! Whether a status has to be written, and what. Pure.

use crds::ObjectRef;
use crds::core::Time;
use serde_json::Value;
use translator::status::{ConditionType, Facts, Report, render_status};

use crate::source::kubernetes::{Observed, OwnedStatus};

/// The status to write; `None` if the object says already what it shall, or if nothing is known about it
/// as it is now.
pub(super) fn plan(
    object: &ObjectRef,
    report: Option<&Report>,
    observed: &Observed,
    controller: &str,
    now: &Time,
) -> Option<Value> {
    let previous = observed.status.as_ref().map(|status| status.value(controller));
    let farewell = |facts| {
        let report = Report { object: object.clone(), generation: observed.generation, facts };
        render_status(&report, previous.as_ref(), controller, now)
    };
    let status = match report {
        // What was translated is not what is there now; the next translation is on its way.
        Some(report) if report.generation < observed.generation => return None,
        Some(report) => render_status(report, previous.as_ref(), controller, now),
        // What has left us, or lost its Gateway: our words about it are no longer true.
        None if speaks_for_us(previous.as_ref(), "parents", controller) => farewell(Facts::Route(Vec::new())),
        None if speaks_for_us(previous.as_ref(), "ancestors", controller) => {
            farewell(Facts::Policy(Vec::new()))
        }
        None => without_ours(previous.clone()?, observed.owned.as_deref()?),
    };
    (!is_same(previous.as_ref(), &status)).then_some(status)
}

/// Whether a list of a status, to which each controller adds entries of its own, has one of ours.
fn speaks_for_us(status: Option<&Value>, list: &str, controller: &str) -> bool {
    let parents = status.and_then(|status| status.get(list)).and_then(Value::as_array);
    let is_ours = |parent: &Value| parent.get("controllerName").and_then(Value::as_str) == Some(controller);
    parents.is_some_and(|parents| parents.iter().any(is_ours))
}

/// The status without what of it is ours.
fn without_ours(mut status: Value, owned: &OwnedStatus) -> Value {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        let is_ours = |condition: &Value| {
            let name = condition.get("type").and_then(Value::as_str).unwrap_or_default();
            ConditionType::ALL.iter().any(|kind| kind.as_str() == name)
                && owned.conditions.iter().any(|owned| **owned == *name)
        };
        conditions.retain(|condition| !is_ours(condition));
    }
    for list in &owned.lists {
        if let Some(list) = status.get_mut(*list) {
            *list = Value::Array(Vec::new());
        }
    }
    status
}

/// Equal whatever the order of lists: two controllers that each put their own entries first would
/// otherwise never come to rest. A new status keeps the times of what has not changed, so times need no
/// exception.
fn is_same(previous: Option<&Value>, status: &Value) -> bool {
    previous.is_some_and(|previous| previous == status || sorted(previous) == sorted(status))
}

/// With every list in an order of its own making.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_cached_key(Value::to_string);
            Value::Array(items)
        }
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
        }
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kept_status::KeptStatus;

    fn conditions(names: &[&str]) -> Value {
        names.iter().map(|name| json!({"type": name, "status": "True"})).collect()
    }

    /// Of an object about which there is nothing to tell any more, what is ours goes and what is not stays.
    #[test]
    fn what_has_left_us_loses_our_words_and_keeps_those_of_others() {
        let now: Time = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let rows = [
            // Ours, another controller's of another type, and one that another has written since.
            (
                &["Accepted", "Valid", "Programmed"][..],
                &["Accepted"][..],
                &[][..],
                Some(&["Valid", "Programmed"][..]),
            ),
            (&["Accepted"], &["Accepted", "Programmed"], &["listeners"], Some(&[])),
            // Recorded as ours by mistake: not a type that we write.
            (&["Valid"], &["Valid"], &[], None),
            (&["Accepted"], &[], &[], None),
        ];
        for (there, ours, lists, expected) in rows {
            let status = json!({"conditions": conditions(there), "listeners": [{"name": "http"}]});
            let observed = Observed {
                version: "v1".into(),
                uid: "1".into(),
                resource_version: "1".into(),
                generation: 1,
                status: Some(KeptStatus::new(&status, None, "us")),
                owned: Some(Box::new(OwnedStatus {
                    conditions: ours.iter().map(|name| (*name).into()).collect(),
                    lists: lists.into(),
                })),
            };
            let object = ObjectRef::namespaced("gateway.networking.k8s.io", "Gateway", "default", "web");
            let planned = plan(&object, None, &observed, "us", &now);
            let listeners = if lists.is_empty() { json!([{"name": "http"}]) } else { json!([]) };
            let expected =
                expected.map(|names| json!({"conditions": conditions(names), "listeners": listeners}));
            assert_eq!(planned, expected, "{there:?} {ours:?}");
        }
    }
}
