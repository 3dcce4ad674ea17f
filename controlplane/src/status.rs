//! Statuses in file mode: kept, told when they change, and served at the admin port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::ObjectRef;
use crds::core::Time;
use crds::gateway_api;
use ir::GatewayName;
use serde_json::Value;
use translator::CONTROLLER_NAME;
use translator::status::{Condition, ConditionType, Facts, GatewayFacts, Reason, Report, render_status};

/// The status of every object of ours, as a cluster would hold it. Of thousands a few change at a time, and only
/// those are rendered anew.
#[derive(Clone, Debug, Default)]
pub struct Statuses {
    known: BTreeMap<Arc<ObjectRef>, Known>,
}

/// Every status, by object and in order; cheap to clone.
pub type RenderedStatuses = Vec<(Arc<ObjectRef>, Arc<Value>)>;

/// What is known of one object.
#[derive(Clone, Debug)]
struct Known {
    report: Report,
    status: Arc<Value>,
    /// By part of the object.
    lines: BTreeMap<String, String>,
    /// What is wrong with it.
    problems: Vec<String>,
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
    /// Takes the newest reports; gives a line for each object (or part of one) whose status is new or
    /// other than before, and for each that has none any more.
    pub fn update(&mut self, reports: &[Report], now: &Time, style: Style) -> Vec<String> {
        let mut news = self.forget_all_but(reports);
        for report in reports {
            let before = self.known.get(&report.object);
            // A status keeps its times: rendered again, it would be the same.
            if before.is_some_and(|before| before.report == *report) {
                continue;
            }
            let known = Known::new(report, before, now, style);
            let is_new =
                |part: &String, line: &String| before.and_then(|before| before.lines.get(part)) != Some(line);
            news.extend(known.lines.iter().filter(|(part, line)| is_new(part, line)).map(|(_, l)| l.clone()));
            self.known.insert(Arc::new(report.object.clone()), known);
        }
        news
    }

    /// Forgets what has no report any more; gives a line for each that had one.
    fn forget_all_but(&mut self, reports: &[Report]) -> Vec<String> {
        let reported: BTreeSet<&ObjectRef> = reports.iter().map(|report| &report.object).collect();
        let mut lines = Vec::new();
        self.known.retain(|object, known| {
            let stays = reported.contains(&**object);
            if !stays && !known.lines.is_empty() {
                lines.push(format!("{object}: gone"));
            }
            stays
        });
        lines
    }

    /// Every status.
    pub fn rendered(&self) -> RenderedStatuses {
        self.known.iter().map(|(object, known)| (object.clone(), known.status.clone())).collect()
    }

    /// What is wrong with the objects, one line each.
    pub fn problems(&self) -> impl Iterator<Item = &String> {
        self.known.values().flat_map(|known| &known.problems)
    }
}

impl Known {
    fn new(report: &Report, before: Option<&Self>, now: &Time, style: Style) -> Self {
        let previous = before.map(|before| &*before.status);
        Self {
            status: Arc::new(render_status(report, previous, CONTROLLER_NAME, now)),
            lines: lines(report, style).into_iter().collect(),
            problems: report.problems().iter().map(ToString::to_string).collect(),
            report: report.clone(),
        }
    }
}

/// The reports as they are once Envoys have been heard: a Gateway whose proxy refuses what it is sent
/// is not programmed.
pub fn with_rejections(reports: &[Report], rejections: &BTreeMap<GatewayName, Vec<String>>) -> Vec<Report> {
    let overlay = |report: &Report| {
        let mut report = report.clone();
        let refused = gateway_of(&report.object).and_then(|gateway| rejections.get(&gateway));
        if let (Facts::Gateway(facts), Some(refused)) = (&mut report.facts, refused)
            && !refused.is_empty()
        {
            let message = format!("the proxy keeps what it had; it refused {}", refused.join("; "));
            set_not_programmed(facts, Reason::RejectedByProxy, message);
        }
        report
    };
    reports.iter().map(overlay).collect()
}

/// The reports as they are once it was tried to make the proxies: a Gateway whose proxies cannot be made as
/// they should is not programmed.
pub fn with_deploy_failures(
    mut reports: Vec<Report>,
    failures: &BTreeMap<GatewayName, String>,
) -> Vec<Report> {
    for report in &mut reports {
        let failure = gateway_of(&report.object).and_then(|gateway| failures.get(&gateway));
        if let (Facts::Gateway(facts), Some(failure)) = (&mut report.facts, failure) {
            set_not_programmed(facts, Reason::Invalid, format!("the proxies cannot be made: {failure}"));
        }
    }
    reports
}

/// The reports as they are once it is known which proxies are ready: a Gateway of which none is, is not programmed,
/// nor are its listeners. What is wrong already stays the reason; to a missing address it is added, since what keeps
/// the proxies from being ready may be what the address waits for.
pub fn with_unready(mut reports: Vec<Report>, unready: &BTreeMap<GatewayName, String>) -> Vec<Report> {
    const AT_LISTENER: &str = "no proxy is ready: see the condition Programmed of the Gateway";
    for report in &mut reports {
        let why = gateway_of(&report.object).and_then(|gateway| unready.get(&gateway));
        let (Facts::Gateway(facts), Some(why)) = (&mut report.facts, why) else { continue };
        for condition in facts.listeners.iter_mut().flat_map(|listener| &mut listener.conditions) {
            if condition.kind == ConditionType::Programmed && !condition.is_problem() {
                *condition = Condition::bad(ConditionType::Programmed, Reason::Pending, AT_LISTENER);
            }
        }
        let message = format!("no proxy is ready: {why}");
        for condition in &mut facts.conditions {
            match condition.kind {
                ConditionType::Programmed if !condition.is_problem() => {
                    *condition = Condition::bad(ConditionType::Programmed, Reason::NoResources, &message);
                }
                ConditionType::Programmed if condition.reason == Reason::AddressNotAssigned => {
                    condition.message = format!("{}; {message}", condition.message);
                }
                _ => {}
            }
        }
    }
    reports
}

fn set_not_programmed(facts: &mut GatewayFacts, reason: Reason, message: String) {
    facts.conditions.retain(|condition| condition.kind != ConditionType::Programmed);
    facts.conditions.push(Condition::bad(ConditionType::Programmed, reason, message));
}

/// The Gateway that an object is, if it is one.
pub fn gateway_of(object: &ObjectRef) -> Option<GatewayName> {
    let is_gateway = object.group == gateway_api::GROUP && object.kind == "Gateway";
    let namespace = object.namespace.clone().filter(|_| is_gateway)?;
    Some(GatewayName { namespace, name: object.name.clone() })
}

/// One line for the object or, of a Gateway and a route, for each listener and parent. Listeners
/// without a problem have none: the table shows them.
fn lines(report: &Report, style: Style) -> Vec<(String, String)> {
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
    parts.into_iter().filter(is_told).map(line).collect()
}

/// `Accepted ✓`, `ResolvedRefs ✗ BackendNotFound: …`. Signs that would be bad are told only when they
/// are there.
fn words(condition: &Condition, style: Style) -> Option<String> {
    let Condition { kind, reason, message, .. } = condition;
    let (good, bad) = match style {
        Style::Unicode => ("✓", "✗"),
        Style::Ascii => ("ok", "FAILED"),
    };
    match (condition.is_problem(), kind.good()) {
        (true, _) => Some(format!("{kind} {bad} {reason}: {message}")),
        (false, true) => Some(format!("{kind} {good}")),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use translator::status::{ListenerFacts, ParentFacts};

    use super::*;

    fn now() -> Time {
        serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap()
    }

    fn object(kind: &str, name: &str) -> ObjectRef {
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
        let parent = ParentFacts { parent_ref: json!({"name": "web"}), conditions: vec![accepted, resolved] };
        Report { object: object("HTTPRoute", "r"), generation: 1, facts: Facts::Route(vec![parent]) }
    }

    fn gateway() -> Report {
        let good = |kind, reason| Condition::good(kind, reason, "");
        let listener = ListenerFacts {
            name: "http".to_owned(),
            supported_kinds: Vec::new(),
            attached_routes: 0,
            conditions: vec![good(ConditionType::Conflicted, Reason::NoConflicts)],
        };
        let conditions = vec![
            good(ConditionType::Accepted, Reason::Accepted),
            good(ConditionType::Programmed, Reason::Programmed),
        ];
        let facts = GatewayFacts { addresses: Vec::new(), conditions, listeners: vec![listener] };
        Report { object: object("Gateway", "web"), generation: 1, facts: Facts::Gateway(facts) }
    }

    #[test]
    fn a_status_is_told_once_and_again_when_it_changes() {
        let mut statuses = Statuses::default();
        let mut update = |reports: &[Report]| statuses.update(reports, &now(), Style::Unicode);
        assert_eq!(update(&[route(true)]), ["HTTPRoute default/r, parent web: Accepted ✓ ResolvedRefs ✓"]);
        assert_eq!(update(&[route(true)]), [""; 0]);
        assert_eq!(
            update(&[route(false)]),
            [
                "HTTPRoute default/r, parent web: Accepted ✓ ResolvedRefs ✗ BackendNotFound: no Backend default/x"
            ]
        );
        assert_eq!(update(&[]), ["HTTPRoute default/r: gone"]);
        assert_eq!(update(&[]), [""; 0]);
    }

    #[test]
    fn only_what_changes_is_rendered_anew() {
        let mut statuses = Statuses::default();
        statuses.update(&[gateway(), route(true)], &now(), Style::Ascii);
        let before = statuses.rendered();
        let later = serde_json::from_value(json!("2026-01-02T00:00:00Z")).unwrap();
        statuses.update(&[gateway(), route(false)], &later, Style::Ascii);
        let after = statuses.rendered();
        assert!(Arc::ptr_eq(&before[0].1, &after[0].1));
        let times = |rendered: &RenderedStatuses| {
            ["0", "1"].map(|index| {
                rendered[1].1.pointer(&format!("/parents/0/conditions/{index}/lastTransitionTime")).cloned()
            })
        };
        assert_eq!(times(&after)[0], times(&before)[0], "what stays keeps its time");
        assert_eq!(times(&after)[1], Some(json!(later)));
        assert_eq!(statuses.problems().count(), 1);
        statuses.update(&[gateway()], &later, Style::Ascii);
        assert_eq!((statuses.rendered().len(), statuses.problems().count()), (1, 0));
    }

    #[test]
    fn a_pipe_gets_ascii() {
        let lines = Statuses::default().update(&[route(false)], &now(), Style::Ascii);
        assert!(lines[0].is_ascii() && lines[0].contains("Accepted ok ResolvedRefs FAILED"), "{lines:?}");
    }

    #[test]
    fn what_a_proxy_refuses_stands_in_the_status_of_its_gateway_alone() {
        let web = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
        let refused = BTreeMap::from([(web, vec!["route http/80: bad regex".to_owned()])]);
        let mut other = gateway();
        other.object.name = "other".to_owned();
        let reports = with_rejections(&[gateway(), other.clone(), route(true)], &refused);
        let programmed = reports[0].condition(ConditionType::Programmed).unwrap();
        assert!(
            programmed.is_problem() && programmed.message.ends_with("it refused route http/80: bad regex")
        );
        assert_eq!(reports[0].conditions().count(), gateway().conditions().count());
        assert_eq!(reports[1..], [other, route(true)]);
        assert_eq!(with_rejections(&[gateway()], &BTreeMap::new()), [gateway()]);
    }

    #[test]
    fn a_gateway_without_a_ready_proxy_is_not_programmed_and_what_was_wrong_already_stays_the_reason() {
        let web = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
        let why = BTreeMap::from([(web, "pod web-1 is Pending: no node".to_owned())]);
        let programmed = |report: &Report| {
            let condition = report.condition(ConditionType::Programmed).unwrap().clone();
            (condition.status, condition.reason, condition.message)
        };
        let mut ready = gateway();
        let Facts::Gateway(facts) = &mut ready.facts else { unreachable!() };
        let sent = Condition::good(ConditionType::Programmed, Reason::Programmed, "sent to the proxy");
        facts.listeners[0].conditions.push(sent);
        let reports = with_unready(vec![ready.clone(), route(true)], &why);
        let message = "no proxy is ready: pod web-1 is Pending: no node";
        assert_eq!(programmed(&reports[0]), (false, Reason::NoResources, message.to_owned()));
        let Facts::Gateway(facts) = &reports[0].facts else { unreachable!() };
        let at_listener = facts.listeners[0].conditions.last().unwrap();
        assert_eq!((at_listener.status, at_listener.reason), (false, Reason::Pending));
        assert_eq!(reports[1], route(true));
        assert_eq!(with_unready(vec![ready.clone()], &BTreeMap::new()), [ready]);

        for (reason, is_added) in [(Reason::AddressNotAssigned, true), (Reason::RejectedByProxy, false)] {
            let mut wrong = gateway();
            let Facts::Gateway(facts) = &mut wrong.facts else { unreachable!() };
            set_not_programmed(facts, reason, "before".to_owned());
            let (status, found, told) = programmed(&with_unready(vec![wrong], &why)[0]);
            let expected = if is_added { format!("before; {message}") } else { "before".to_owned() };
            assert_eq!((status, found, told), (false, reason, expected));
        }
    }
}
