//! Statuses in file mode: kept, told when they change, and served at the admin port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::ObjectRef;
use crds::core::Time;
use crds::gateway_api;
use ir::GatewayName;
use translator::status::{Condition, Report, render_status};

use crate::by_object::{About, ByObject};
use crate::controller_name::ControllerName;
use crate::diagnosis;
use crate::kept_status::KeptStatus;
use crate::pipeline::ReportChanges;
use crate::source::Origins;

/// The status of every object of ours, as a cluster would hold it. Of thousands a few change at a time, and only
/// those are rendered anew.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    controller: ControllerName,
    known: ByObject<Known>,
    problem_count: usize,
}

/// Statuses that one keeps and others look at.
pub type SharedStatuses = Arc<Mutex<Statuses>>;

/// The statuses, locked.
pub fn lock(statuses: &SharedStatuses) -> MutexGuard<'_, Statuses> {
    // Whole after every statement, so that a panic elsewhere cannot have torn it.
    statuses.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is known of one object. What follows from the report is not kept beside it: there are many objects, and few of
/// them change.
#[derive(Clone, Debug)]
struct Known {
    report: Arc<Report>,
    status: KeptStatus,
}

impl About for Known {
    fn object(&self) -> &ObjectRef {
        &self.report.object
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For a terminal: ticks and crosses.
    Unicode,
    /// For everything else.
    Ascii,
}

impl Statuses {
    /// None yet, with entries in the name of `controller`.
    pub fn new(controller: ControllerName) -> Self {
        Self { controller, ..Self::default() }
    }

    /// In whose name the entries are.
    pub fn controller(&self) -> &ControllerName {
        &self.controller
    }

    /// Takes newer reports of some objects; gives, if there is a style for it, a line for each object (or part of one)
    /// whose status is new or other than before, and for each that has none any more.
    pub fn update(
        &mut self,
        reports: &ReportChanges,
        now: &Time,
        style: Option<Style>,
        origins: &Origins,
    ) -> Vec<String> {
        let lines = |report: &Report| style.map(|style| lines(report, style, origins)).unwrap_or_default();
        let mut news = Vec::new();
        for (object, report) in reports {
            let Some(report) = report else {
                let before = self.known.remove(object);
                self.count(before.as_ref(), None);
                if before.is_some_and(|before| !lines(&before.report).is_empty()) {
                    news.push(format!("{object}: gone"));
                }
                continue;
            };
            let before = self.known.get(object);
            // A status keeps its times: rendered again, it would be the same.
            if before.is_some_and(|before| before.report == *report) {
                continue;
            }
            let told = before.map(|before| lines(&before.report)).unwrap_or_default();
            let is_new = |part: &(String, String)| !told.contains(part);
            news.extend(lines(report).into_iter().filter(is_new).map(|(_, line)| line));
            let known = Known::new(report, before, &self.controller, now);
            let count = report.problem_count();
            let before = self.known.insert(known);
            self.count(before.as_ref(), Some(count));
        }
        news
    }

    /// How many things are wrong.
    pub fn problem_count(&self) -> usize {
        self.problem_count
    }

    fn count(&mut self, before: Option<&Known>, after: Option<usize>) {
        let before = before.map_or(0, |before| before.report.problem_count());
        self.problem_count = self.problem_count.saturating_sub(before) + after.unwrap_or_default();
    }

    /// Every status, by object and in order. Costs little: they are rendered when they are asked for.
    pub fn all(&self) -> Vec<(ObjectRef, KeptStatus)> {
        let entry = |known: &Known| (known.report.object.clone(), known.status.clone());
        self.known.values().map(entry).collect()
    }

    /// What is wrong with the objects, one line each.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.known.values().flat_map(|known| known.report.problems()).map(|problem| problem.to_string())
    }
}

impl Known {
    fn new(report: &Arc<Report>, before: Option<&Self>, controller: &str, now: &Time) -> Self {
        let previous = before.map(|before| before.status.value(controller));
        let status = render_status(report, previous.as_ref(), controller, now);
        let status = KeptStatus::new(&status, Some(report), controller);
        Self { report: report.clone(), status }
    }
}

/// The Gateway that an object is, if it is one.
pub fn gateway_of(object: &ObjectRef) -> Option<GatewayName> {
    let is_gateway = object.group == gateway_api::GROUP && object.kind == "Gateway";
    let namespace = object.namespace.clone().filter(|_| is_gateway)?;
    Some(GatewayName { namespace, name: object.name.clone() })
}

/// One line for the object or, of a Gateway and a route, for each listener and parent, and one for each thing that is
/// wrong. Listeners without a problem have none: the table shows them.
fn lines(report: &Report, style: Style, origins: &Origins) -> Vec<(String, String)> {
    let mut parts: Vec<(String, Vec<&Condition>)> = Vec::new();
    for (part, condition) in report.conditions() {
        match parts.last_mut() {
            Some((last, conditions)) if *last == part => conditions.push(condition),
            _ => parts.push((part, vec![condition])),
        }
    }
    let is_told = |(part, conditions): &(String, Vec<&Condition>)| {
        !part.starts_with("listener ") || conditions.iter().any(|condition| condition.is_problem())
    };
    let line = |(part, conditions): (String, Vec<&Condition>)| {
        let subject = match part.as_str() {
            "" => report.object.to_string(),
            part => format!("{}, {part}", report.object),
        };
        let words: Vec<String> = conditions.iter().filter_map(|condition| words(condition, style)).collect();
        (part, format!("{subject}: {}", words.join(" ")))
    };
    let found = diagnosis::findings(report, origins).into_iter();
    let found = found.map(|finding| (String::new(), finding.to_string().replace('\n', " ")));
    parts.into_iter().filter(is_told).map(line).chain(found).collect()
}

/// `Accepted ✓`, `ResolvedRefs ✗ BackendNotFound`. Signs that would be bad are told only when they
/// are there.
fn words(condition: &Condition, style: Style) -> Option<String> {
    let Condition { kind, reason, .. } = condition;
    let (good, bad) = match style {
        Style::Unicode => ("✓", "✗"),
        Style::Ascii => ("ok", "FAILED"),
    };
    match (condition.is_problem(), kind.good()) {
        (true, _) => Some(format!("{kind} {bad} {reason}")),
        (false, true) => Some(format!("{kind} {good}")),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use crds::gateway_api;
    use crds::gateway_api::part::ParentRef;
    use serde_json::json;
    use translator::status::{ConditionType, Facts, GatewayFacts, ListenerFacts, ParentFacts, Reason};

    use super::*;

    fn now() -> Time {
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap()
    }

    fn object(kind: &'static str, name: &str) -> ObjectRef {
        ObjectRef::namespaced(gateway_api::GROUP, kind, "default", name)
    }

    fn route(resolved: bool) -> Report {
        let resolved = match resolved {
            true => Condition::good(ConditionType::ResolvedRefs, Reason::ResolvedRefs, ""),
            false => {
                Condition::bad(ConditionType::ResolvedRefs, Reason::BackendNotFound, "no Backend default/x")
            }
        };
        let accepted = Condition::good(ConditionType::Accepted, Reason::Accepted, "");
        let parent =
            ParentFacts { parent_ref: ParentRef::named("web"), conditions: vec![accepted, resolved] };
        Report { object: object("HTTPRoute", "r"), generation: 1, facts: Facts::Route(vec![parent]) }
    }

    fn gateway() -> Report {
        let good = |kind, reason| Condition::good(kind, reason, "");
        let listener = ListenerFacts {
            name: "http".to_owned(),
            port: Some(80),
            supported_kinds: Vec::new(),
            attached_routes: 0,
            conditions: vec![good(ConditionType::Conflicted, Reason::NoConflicts)],
        };
        let conditions = vec![
            good(ConditionType::Accepted, Reason::Accepted),
            good(ConditionType::Programmed, Reason::Programmed),
        ];
        let facts = GatewayFacts {
            addresses: Vec::new(),
            conditions,
            listeners: vec![listener],
            attached_listener_sets: 0,
        };
        Report { object: object("Gateway", "web"), generation: 1, facts: Facts::Gateway(facts) }
    }

    /// The changes that lead from nothing, or from what is left out, to these reports.
    fn changes(reports: &[Report], gone: &[Report]) -> ReportChanges {
        let gone = gone.iter().map(|report| (report.object.clone(), None));
        let reports = reports.iter().map(|report| (report.object.clone(), Some(Arc::new(report.clone()))));
        gone.chain(reports).collect()
    }

    #[test]
    fn a_status_is_told_once_and_again_when_it_changes() {
        let mut statuses = Statuses::default();
        let mut update = |reports: &[Report]| {
            let gone = if reports.is_empty() { vec![route(true)] } else { Vec::new() };
            statuses.update(&changes(reports, &gone), &now(), Some(Style::Unicode), &Origins::default())
        };
        assert_eq!(update(&[route(true)]), ["HTTPRoute default/r, parent web: Accepted ✓ ResolvedRefs ✓"]);
        assert_eq!(update(&[route(true)]), [""; 0]);
        assert_eq!(
            update(&[route(false)]),
            [
                "HTTPRoute default/r, parent web: Accepted ✓ ResolvedRefs ✗ BackendNotFound",
                "HTTPRoute default/r: no Backend default/x"
            ]
        );
        assert_eq!(update(&[]), ["HTTPRoute default/r: gone"]);
        assert_eq!(update(&[]), [""; 0]);
    }

    #[test]
    fn only_what_changes_is_rendered_anew() {
        let mut statuses = Statuses::default();
        statuses.update(
            &changes(&[gateway(), route(true)], &[]),
            &now(),
            Some(Style::Ascii),
            &Origins::default(),
        );
        let before = statuses.all();
        let later = serde_json::from_value(json!("2026-01-02T00:00:00Z")).unwrap();
        statuses.update(&changes(&[route(false)], &[]), &later, Some(Style::Ascii), &Origins::default());
        let after = statuses.all();
        assert_eq!(before[0], after[0]);
        let times = |statuses: &[(ObjectRef, KeptStatus)]| {
            ["0", "1"].map(|index| {
                statuses[1]
                    .1
                    .value(&ControllerName::default())
                    .pointer(&format!("/parents/0/conditions/{index}/lastTransitionTime"))
                    .cloned()
            })
        };
        assert_eq!(times(&after)[0], times(&before)[0], "what stays keeps its time");
        assert_eq!(times(&after)[1], Some(json!(later)));
        assert_eq!((statuses.problems().count(), statuses.problem_count()), (1, 1));
        statuses.update(&changes(&[], &[route(true)]), &later, Some(Style::Ascii), &Origins::default());
        assert_eq!((statuses.all().len(), statuses.problems().count(), statuses.problem_count()), (1, 0, 0));
    }

    #[test]
    fn a_pipe_gets_ascii() {
        let (changes, origins) = (changes(&[route(false)], &[]), Origins::default());
        let lines = Statuses::default().update(&changes, &now(), Some(Style::Ascii), &origins);
        assert!(lines[0].is_ascii() && lines[0].contains("Accepted ok ResolvedRefs FAILED"), "{lines:?}");
    }
}
