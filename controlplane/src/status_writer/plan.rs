//! Whether a status has to be written, and what. Pure.

use crds::ObjectRef;
use crds::core::Time;
use serde_json::Value;
use translator::status::{Facts, Report, render_status};

use crate::json_text::JsonText;
use crate::source::kubernetes::Observed;

/// The status to write; `None` if the object says already what it shall, or if nothing is known about it
/// as it is now.
pub(super) fn plan(
    object: &ObjectRef,
    report: Option<&Report>,
    observed: &Observed,
    controller: &str,
    now: &Time,
) -> Option<Value> {
    let previous = observed.status.as_ref().map(JsonText::value);
    let farewell;
    let report = match report {
        // What was translated is not what is there now; the next translation is on its way.
        Some(report) if report.generation < observed.generation => return None,
        Some(report) => report,
        None if speaks_for_us(previous.as_ref(), controller) => {
            // A route that has left us, or lost its Gateway: our words about it are no longer true.
            let facts = Facts::Route(Vec::new());
            farewell = Report { object: object.clone(), generation: observed.generation, facts };
            &farewell
        }
        None => return None,
    };
    let status = render_status(report, previous.as_ref(), controller, now);
    (!is_same(previous.as_ref(), &status)).then_some(status)
}

/// Whether a route's status has an entry of ours.
fn speaks_for_us(status: Option<&Value>, controller: &str) -> bool {
    let parents = status.and_then(|status| status.get("parents")).and_then(Value::as_array);
    let is_ours = |parent: &Value| parent.get("controllerName").and_then(Value::as_str) == Some(controller);
    parents.is_some_and(|parents| parents.iter().any(is_ours))
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
