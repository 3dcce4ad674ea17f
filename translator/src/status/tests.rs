use crds::ObjectRef;
use crds::gateway_api::part::ParentRef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;

fn time(text: &str) -> Time {
    serde_json::from_value(json!(text)).unwrap()
}

fn route(parents: Vec<ParentFacts>) -> Report {
    let object = ObjectRef {
        group: "gateway.networking.k8s.io".into(),
        kind: "HTTPRoute".into(),
        namespace: Some("default".to_owned()),
        name: "r".to_owned(),
    };
    Report { object, generation: 3, facts: Facts::Route(parents) }
}

fn parent(name: &str, accepted: bool) -> ParentFacts {
    let condition = if accepted {
        Condition::good(ConditionType::Accepted, Reason::Accepted, "")
    } else {
        Condition::bad(ConditionType::Accepted, Reason::NoMatchingParent, "no such listener")
    };
    ParentFacts { parent_ref: ParentRef::named(name), conditions: vec![condition] }
}

const OLD: &str = "2026-01-01T00:00:00Z";
const NEW: &str = "2026-02-02T00:00:00Z";

fn render(report: &Report, previous: Option<&Value>, now: &str) -> Value {
    render_status(report, previous, "ours", &time(now))
}

#[test]
fn rendering_from_its_own_output_changes_nothing() {
    let report = route(vec![parent("a", true), parent("b", false)]);
    let first = render(&report, None, OLD);
    assert_eq!(render(&report, Some(&first), NEW), first);
}

#[test]
fn a_condition_keeps_its_time_until_its_value_changes() {
    let first = render(&route(vec![parent("a", true)]), None, OLD);
    let second = render(&route(vec![parent("a", false)]), Some(&first), NEW);
    assert_eq!(first["parents"][0]["conditions"][0]["lastTransitionTime"], OLD);
    assert_eq!(second["parents"][0]["conditions"][0]["lastTransitionTime"], NEW);
    assert_eq!(second["parents"][0]["conditions"][0]["observedGeneration"], 3);
}

#[test]
fn entries_of_other_controllers_stay_and_our_stale_ones_go() {
    let foreign = json!({"parentRef": {"name": "x"}, "controllerName": "other", "conditions": []});
    let stale = json!({"parentRef": {"name": "gone"}, "controllerName": "ours", "conditions": []});
    let previous = json!({"parents": [foreign, stale]});
    let rendered = render(&route(vec![parent("a", true)]), Some(&previous), NEW);
    let names: Vec<_> =
        rendered["parents"].as_array().unwrap().iter().map(|p| &p["parentRef"]["name"]).collect();
    assert_eq!(names, ["a", "x"]);
    assert_eq!(rendered["parents"][1], previous["parents"][0]);
}

/// `PolicyStatus.ancestors` has room for 16 entries, of all controllers together.
#[test]
fn a_full_list_of_ancestors_gets_no_further_ones() {
    let foreign =
        |name: usize| json!({"ancestorRef": {"name": format!("x{name}")}, "controllerName": "theirs"});
    for others in [0, 3, 16] {
        let mut report = route(Vec::new());
        let ours = (0..15).map(|number| parent(&format!("a{number}"), true));
        report.facts = Facts::Policy(ours.collect());
        let previous: Vec<Value> = (0..others).map(foreign).collect();
        let rendered = render(&report, Some(&json!({"ancestors": previous})), NEW);
        let ancestors = rendered["ancestors"].as_array().unwrap();
        assert_eq!(ancestors.len(), 16.min(15 + others));
        assert_eq!(ancestors[ancestors.len() - others..], previous, "those of others stay");
        assert_eq!(render(&report, Some(&rendered), OLD), rendered, "and nothing changes at rest");
    }
    assert_eq!(
        Report { facts: Facts::Policy(vec![parent("a", false)]), ..route(Vec::new()) }.problems()[0].part,
        "ancestor a"
    );
}

#[test]
fn foreign_condition_types_on_a_gateway_stay() {
    let mut report = route(Vec::new());
    report.facts = Facts::Gateway(GatewayFacts {
        addresses: vec![StatusAddress::Ip("127.0.0.1".to_owned())],
        conditions: vec![Condition::good(ConditionType::Accepted, Reason::Accepted, "")],
        listeners: Vec::new(),
        attached_listener_sets: 0,
    });
    let alien = json!({"type": "AlienReady", "status": "True"});
    let rendered = render(&report, Some(&json!({"conditions": [alien]})), NEW);
    assert_eq!(rendered["conditions"][1], alien);
    assert_eq!(rendered["addresses"][0]["value"], "127.0.0.1");
}

#[test]
fn a_condition_of_ours_that_no_longer_holds_goes() {
    let mut report = route(vec![parent("a", true)]);
    let clean = render(&report, None, OLD);
    if let Facts::Route(parents) = &mut report.facts {
        let partial = Condition::bad(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, "");
        parents[0].conditions.push(partial);
    }
    let partial = render(&report, Some(&clean), OLD);
    assert_eq!(partial["parents"][0]["conditions"].as_array().unwrap().len(), 2);
    assert_eq!(render(&route(vec![parent("a", true)]), Some(&partial), NEW), clean);
}

#[test]
fn a_problem_reads_as_one_line() {
    let problems = route(vec![parent("a", false)]).problems();
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["HTTPRoute default/r: parent a: Accepted=False (NoMatchingParent): no such listener"]
    );
}
