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

fn budget(spenders: Option<usize>, spent: Option<u64>) -> Report {
    let accounts = std::sync::Arc::new(BudgetAccounts {
        budget: limit_rule::Budget {
            name: "default/b".to_owned(),
            counted: limit_rule::Counted::Tokens,
            limit: 100,
            per: limit_rule::Unit::Month,
            time_zone: "Europe/Berlin".to_owned(),
            spender: String::new(),
            is_audit: false,
            is_listed: false,
            fallback: String::new(),
        },
        spenders: spenders.map_or(BudgetSpenders::Together, |count| {
            BudgetSpenders::Keys((0..count).map(|number| format!("default/k{number}")).collect())
        }),
    });
    let most = |spent| {
        let all = accounts.budgets().filter(|budget| !budget.spender.is_empty());
        all.map(|budget| SpenderSpend { spender: budget.spender, spent, reserved: 5 }).collect()
    };
    let spend = spent.map(|spent| Spend {
        accounts: accounts.clone(),
        start: time(OLD),
        end: time(NEW),
        spent,
        reserved: 5,
        exhausted: spenders.map_or(0, |count| count / 2),
        count: spenders.unwrap_or_default(),
        most: most(spent),
    });
    let mut conditions = vec![Condition::good(ConditionType::Accepted, Reason::Accepted, "")];
    conditions.extend(spend.as_ref().map(Spend::condition));
    let facts = BudgetFacts { conditions, accounts: Some(accounts), spend: spend.map(std::sync::Arc::new) };
    let object = ObjectRef::namespaced("chancery.dev", "Budget", "default", "b");
    Report { object, generation: 3, facts: Facts::Budget(facts) }
}

fn condition_of<'a>(status: &'a Value, kind: &str) -> &'a Value {
    let conditions = status["conditions"].as_array().unwrap();
    conditions.iter().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

#[test]
fn a_budget_tells_what_is_spent_as_its_crd_has_it() {
    for (report, expected) in [
        (
            budget(None, Some(30)),
            json!({"limit": 100, "spent": 30, "reserved": 5, "remaining": 65,
                "period": {"start": OLD, "end": NEW, "timeZone": "Europe/Berlin"}}),
        ),
        (
            budget(Some(2), Some(120)),
            json!({"limit": 100, "spent": 120, "reserved": 5,
            "period": {"start": OLD, "end": NEW, "timeZone": "Europe/Berlin"},
            "spenders": {"count": 2, "exhausted": 1, "most": [
                {"name": "k0", "spent": 120, "reserved": 5, "remaining": 0},
                {"name": "k1", "spent": 120, "reserved": 5, "remaining": 0},
            ]}}),
        ),
    ] {
        let status = render(&report, None, OLD);
        assert_eq!(status["spend"], expected);
        assert_eq!(status["observedGeneration"], 3);
        let read: crds::budget::BudgetStatus = serde_json::from_value(status.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), status);
        assert_eq!(render(&report, Some(&status), NEW), status);
    }
    let mut money = budget(None, Some(2_500_001));
    if let Facts::Budget(BudgetFacts { spend: Some(spend), .. }) = &mut money.facts {
        let mut accounts = (*spend.accounts).clone();
        accounts.budget.counted = limit_rule::Counted::Money;
        accounts.budget.limit = 3_000_000;
        *spend = std::sync::Arc::new(Spend { accounts: accounts.into(), ..(**spend).clone() });
    }
    let status = render(&money, None, OLD);
    let usd = json!({"limit": "3", "spent": "2.500001", "reserved": "0.000005", "remaining": "0.499994"});
    assert_eq!((&status["spend"]["spent"], &status["spend"]["usd"]), (&json!(2_500_001), &usd));
    let read: crds::budget::BudgetStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), status);
    let mut claims = budget(None, Some(30));
    if let Facts::Budget(BudgetFacts { spend: Some(spend), .. }) = &mut claims.facts {
        let spenders = BudgetSpenders::Claim("sub".to_owned());
        let accounts = BudgetAccounts { spenders, ..(*spend.accounts).clone() };
        let most = ["sub=a/b=c", "sub"].map(|spender| SpenderSpend {
            spender: spender.to_owned(),
            spent: 3,
            reserved: 1,
        });
        *spend = std::sync::Arc::new(Spend {
            accounts: accounts.into(),
            count: 70,
            most: most.into(),
            ..(**spend).clone()
        });
    }
    let status = render(&claims, None, OLD);
    let shown = |name: &str| json!({"name": name, "spent": 3, "reserved": 1, "remaining": 96});
    let expected = json!({"count": 70, "exhausted": 0, "most": [shown("a/b=c"), shown("<none>")]});
    assert_eq!((&status["spend"]["spenders"], &status["spend"]["remaining"]), (&expected, &Value::Null));
    let read: crds::budget::BudgetStatus = serde_json::from_value(status.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), status);
    let (spent, left) =
        (render(&budget(None, Some(100)), None, OLD), render(&budget(None, Some(99)), None, OLD));
    let told = |status: &Value| {
        let condition = condition_of(status, "Exhausted");
        (condition["status"].clone(), condition["reason"].clone())
    };
    assert_eq!(told(&spent), (json!("True"), json!("LimitReached")));
    assert_eq!(told(&left), (json!("False"), json!("WithinLimit")));
    assert_eq!(budget(None, Some(100)).problem_count(), 0, "nothing is wrong with the object");
}

/// Another leader, or the same after a restart, has not looked yet.
#[test]
fn what_a_budget_has_told_stays_until_somebody_has_looked_again_or_it_cannot_be_applied() {
    let told = render(&budget(None, Some(100)), None, OLD);
    assert_eq!(render(&budget(None, None), Some(&told), NEW), told);
    let mut wrong = budget(None, None);
    if let Facts::Budget(facts) = &mut wrong.facts {
        facts.accounts = None;
        facts.conditions = vec![Condition::bad(ConditionType::Accepted, Reason::Invalid, "no")];
    }
    let refused = render(&wrong, Some(&told), NEW);
    assert_eq!((&refused["spend"], condition_of(&refused, "Exhausted")), (&Value::Null, &Value::Null));
}
