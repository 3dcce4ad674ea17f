//! A status that is kept for long, in as little memory as it can be had from again.

use std::sync::Arc;

use crds::core::Time;
use serde_json::Value;
use translator::status::{Report, render_status};

use crate::json_text::JsonText;

/// The `.status` of one object. Nearly every status is what its report says, with one time in all of its conditions;
/// then the report, which is kept anyway, and the time are enough.
#[derive(Clone, Debug, PartialEq)]
pub enum KeptStatus {
    /// What a report says, with every condition as it is since one time.
    Rendered {
        /// The report.
        report: Arc<Report>,
        /// `lastTransitionTime` of every condition.
        since: Time,
    },
    /// Any other.
    Text(JsonText),
}

impl KeptStatus {
    /// Keeps a status that may be the one of this report, in entries with the name `controller`.
    pub fn new(status: &Value, report: Option<&Arc<Report>>, controller: &str) -> Self {
        let rendered = report.and_then(|report| {
            let since: Time = serde_json::from_value(transition_time(status)?.clone()).ok()?;
            let is_same = render_status(report, None, controller, &since) == *status;
            is_same.then(|| Self::Rendered { report: report.clone(), since })
        });
        rendered.unwrap_or_else(|| Self::Text(JsonText::from(status)))
    }

    /// The status. Costs rendering or parsing it.
    pub fn value(&self, controller: &str) -> Value {
        match self {
            Self::Rendered { report, since } => render_status(report, None, controller, since),
            Self::Text(text) => text.value(),
        }
    }

    /// The same status, in less memory if it is the one of this report.
    pub fn compact(&mut self, report: Option<&Arc<Report>>, controller: &str) {
        if let (Self::Text(text), Some(_)) = (&*self, report) {
            *self = Self::new(&text.value(), report, controller);
        }
    }
}

/// The first time of a condition that the status has.
fn transition_time(status: &Value) -> Option<&Value> {
    match status {
        Value::Object(fields) => {
            fields.get("lastTransitionTime").or_else(|| fields.values().find_map(transition_time))
        }
        Value::Array(items) => items.iter().find_map(transition_time),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crds::ObjectRef;
    use crds::gateway_api::part::ParentRef;
    use serde_json::json;
    use translator::status::{Condition, ConditionType, Facts, ParentFacts, Reason};

    use super::*;

    fn report() -> Arc<Report> {
        let conditions = [
            (ConditionType::Accepted, Reason::Accepted),
            (ConditionType::ResolvedRefs, Reason::ResolvedRefs),
        ]
        .map(|(kind, reason)| Condition::good(kind, reason, ""));
        let parent = ParentFacts { parent_ref: ParentRef::named("web"), conditions: conditions.into() };
        let object = ObjectRef::namespaced("gateway.networking.k8s.io", "HTTPRoute", "default", "r");
        Arc::new(Report { object, generation: 3, facts: Facts::Route(vec![parent]) })
    }

    #[test]
    fn a_status_comes_back_as_it_was_and_only_one_of_the_report_is_kept_without_its_text() {
        let report = report();
        let since = serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let rendered = render_status(&report, None, "us", &since);
        let with = |pointer: &str, value: Value| {
            let mut status = rendered.clone();
            *status.pointer_mut(pointer).unwrap() = value;
            status
        };
        let mut of_two = rendered.clone();
        of_two["parents"].as_array_mut().unwrap().push(json!({"controllerName": "them", "conditions": []}));
        let rows = [
            (rendered.clone(), true),
            (with("/parents/0/conditions/1/lastTransitionTime", json!("2026-01-02T00:00:00Z")), false),
            (with("/parents/0/conditions/0/lastTransitionTime", json!("soon")), false),
            (with("/parents/0/conditions/0/observedGeneration", json!(2)), false),
            (with("/parents/0/controllerName", json!("them")), false),
            (with("/parents", json!([])), false),
            (of_two, false),
            (json!(null), false),
        ];
        for (status, is_rendered) in rows {
            let mut kept = KeptStatus::new(&status, None, "us");
            assert!(matches!(kept, KeptStatus::Text(_)), "{status}");
            kept.compact(Some(&report), "us");
            assert_eq!(matches!(kept, KeptStatus::Rendered { .. }), is_rendered, "{status}");
            assert_eq!(kept.value("us"), status);
            kept.compact(None, "us");
            assert_eq!(kept.value("us"), status);
        }
    }
}
