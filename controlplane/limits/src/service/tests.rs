//! What Envoy is told.

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use envoy_types::pb::envoy::service::ratelimit::v3::rate_limit_response::rate_limit::Unit as ProtoUnit;
use envoy_types::pb::google::protobuf::UInt64Value;
use limit_rule::{
    BUDGET_KEY, Budget, Counted, Limit, Node, REQUEST_KEY, SHARED_ANSWER_KEY, SHARED_KEY, STEP_KEY, Unit,
};
use prometheus_client::registry::Registry;
use tonic::Code as GrpcCode;

use super::*;
use crate::store::Shared;

/// A question about a user, of whom so much is let through in an hour.
fn descriptor(user: &str, mode: Mode, limit: u32, hits: Option<u64>) -> RateLimitDescriptor {
    let limit = Some(Limit { hits: limit, unit: Unit::Hour });
    let tree = vec![Node { key: "user".to_owned(), limit, ..Node::default() }];
    let rules = Rules { name: "n/c".to_owned(), mode, tree, ..Rules::default() };
    let entry = |key: &str, value: String| Entry { key: key.to_owned(), value };
    RateLimitDescriptor {
        entries: vec![entry(RULES_KEY, rules.to_text()), entry("user", user.to_owned())],
        hits_addend: hits.map(|value| UInt64Value { value }),
        ..RateLimitDescriptor::default()
    }
}

async fn ask(service: &LimitService, descriptors: Vec<RateLimitDescriptor>) -> RateLimitResponse {
    let request = RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 };
    service.answer(&request, "2028-02-29T23:10:00Z".parse().unwrap()).await.unwrap()
}

/// Whether it is over, and what is left.
fn told(response: &RateLimitResponse) -> Vec<(bool, u32)> {
    let is_over = |code| code == i32::from(Code::OverLimit);
    let told: Vec<_> =
        response.statuses.iter().map(|status| (is_over(status.code), status.limit_remaining)).collect();
    assert_eq!(is_over(response.overall_code), told.iter().any(|(is_over, _)| *is_over));
    told
}

#[tokio::test]
async fn each_descriptor_is_told_what_is_left_and_until_when() {
    let service = LimitService::default();
    let both = || vec![descriptor("a", Mode::Count, 3, None), descriptor("b", Mode::Count, 9, Some(2))];
    let first = ask(&service, both()).await;
    assert_eq!(told(&first), [(false, 2), (false, 7)]);
    let status = &first.statuses[0];
    assert_eq!(status.duration_until_reset.as_ref().unwrap().seconds, 50 * 60);
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!((limit.requests_per_unit, limit.unit, &*limit.name), (3, ProtoUnit::Hour.into(), "n/c"));
    ask(&service, both()).await;
    assert_eq!(told(&ask(&service, both()).await), [(false, 0), (false, 3)]);
    assert_eq!(told(&ask(&service, both()).await), [(true, 0), (false, 3)], "what is refused is not counted");
}

#[tokio::test]
async fn tokens_are_charged_taken_back_and_counted_apart_from_requests() {
    let service = LimitService::default();
    let check = || vec![descriptor("a", Mode::Check, 70, Some(0))];
    ask(&service, vec![descriptor("a", Mode::Count, 70, Some(60))]).await;
    assert_eq!(told(&ask(&service, check()).await), [(false, 70)]);
    ask(&service, vec![descriptor("a", Mode::Charge, 70, Some(90))]).await;
    assert_eq!(told(&ask(&service, check()).await), [(true, 0)]);
    let back = RateLimitDescriptor { is_negative_hits: true, ..descriptor("a", Mode::Charge, 70, Some(50)) };
    ask(&service, vec![back]).await;
    assert_eq!(told(&ask(&service, check()).await), [(false, 30)]);
}

#[tokio::test]
async fn what_is_not_ours_is_refused() {
    let service = LimitService::default();
    let ours = descriptor("a", Mode::Count, 3, None);
    let strange = |change: fn(&mut RateLimitDescriptor)| {
        let mut strange = ours.clone();
        change(&mut strange);
        strange
    };
    for (domain, descriptor) in [
        ("other", ours.clone()),
        (DOMAIN, strange(|it| drop(it.entries.remove(0)))),
        (DOMAIN, strange(|it| it.entries.clear())),
        (DOMAIN, strange(|it| it.entries[0].value = "{}".to_owned())),
    ] {
        let request =
            RateLimitRequest { domain: domain.to_owned(), descriptors: vec![descriptor], hits_addend: 1 };
        let refused = service.answer(&request, Timestamp::now()).await.unwrap_err();
        assert_eq!(refused.code(), GrpcCode::InvalidArgument);
    }
}

fn budget(counted: Counted, limit: u64) -> Budget {
    Budget {
        name: "n/b".to_owned(),
        counted,
        limit,
        per: Unit::Month,
        time_zone: "Europe/Berlin".to_owned(),
        spender: "n/k".to_owned(),
        is_audit: false,
        is_listed: false,
        fallback: String::new(),
    }
}

fn of_budget(budget: &Budget, step: &str, request: &str, hits: Option<u64>) -> RateLimitDescriptor {
    let entry = |key: &str, value: &str| Entry { key: key.to_owned(), value: value.to_owned() };
    RateLimitDescriptor {
        entries: vec![
            entry(BUDGET_KEY, &budget.to_text()),
            entry(STEP_KEY, step),
            entry(REQUEST_KEY, request),
        ],
        hits_addend: hits.map(|value| UInt64Value { value }),
        ..RateLimitDescriptor::default()
    }
}

async fn ask_at(
    service: &LimitService,
    now: &str,
    descriptors: Vec<RateLimitDescriptor>,
) -> Result<RateLimitResponse, Status> {
    let request = RateLimitRequest { domain: DOMAIN.to_owned(), descriptors, hits_addend: 0 };
    service.answer(&request, now.parse().unwrap()).await
}

async fn spending_at(service: &LimitService, budget: &Budget, now: &str) -> (u64, u64, String) {
    let spendings = service.spendings_at(std::slice::from_ref(budget), now.parse().unwrap()).await.unwrap();
    (spendings[0].spent, spendings[0].reserved, spendings[0].resets_at.to_string())
}

/// A line of the metrics.
fn metric(service: &LimitService, name: &str) -> Option<u64> {
    let mut registry = Registry::default();
    service.metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
    line.map(|value| value.parse().unwrap())
}

#[tokio::test]
async fn a_budget_is_reserved_settled_and_told() {
    let service = LimitService::default();
    let tokens = budget(Counted::Tokens, 6_000_000_000);
    let reserve = |request, amount| vec![of_budget(&tokens, "reserve", request, Some(amount))];
    let now = "2027-03-31T21:30:00Z";
    let first = ask_at(&service, now, reserve("r1", 1_000_000_000)).await.unwrap();
    assert_eq!(told(&first), [(false, u32::MAX)], "more than the protocol can say is left");
    let status = &first.statuses[0];
    assert_eq!(status.duration_until_reset.as_ref().unwrap().seconds, 1_800, "midnight in Berlin");
    let limit = status.current_limit.as_ref().unwrap();
    assert_eq!(
        (limit.requests_per_unit, limit.unit, &*limit.name),
        (u32::MAX, ProtoUnit::Month.into(), "n/b")
    );
    let second = ask_at(&service, now, reserve("r2", 4_000_000_000)).await.unwrap();
    assert_eq!(told(&second), [(false, 1_000_000_000)]);
    assert_eq!(
        told(&ask_at(&service, now, reserve("r3", 1_000_000_001)).await.unwrap()),
        [(true, 1_000_000_000)]
    );
    let settle =
        vec![of_budget(&tokens, "settle", "r2", Some(500)), of_budget(&tokens, "settle", "r1", Some(0))];
    assert_eq!(told(&ask_at(&service, "2027-03-31T22:10:00Z", settle).await.unwrap()).len(), 2);
    let end = "2027-03-31T22:00:00Z".to_owned();
    assert_eq!(spending_at(&service, &tokens, now).await, (500, 0, end));
    let next = "2027-04-30T22:00:00Z".to_owned();
    assert_eq!(spending_at(&service, &tokens, "2027-03-31T22:10:00Z").await, (0, 0, next));
    let checks = |verdict| {
        metric(&service, &format!("chancery_budget_checks_total{{budget=\"n/b\",verdict=\"{verdict}\"}}"))
    };
    assert_eq!((checks("ok"), checks("over"), checks("failed")), (Some(2), Some(1), None));
}

#[tokio::test]
async fn what_is_refused_by_a_limit_is_not_reserved_and_the_other_way_round() {
    let service = LimitService::default();
    let now = "2028-02-29T23:10:00Z";
    let tokens = budget(Counted::Tokens, 10);
    let both = |limit, amount| {
        vec![descriptor("a", Mode::Count, limit, None), of_budget(&tokens, "reserve", "r", Some(amount))]
    };
    assert_eq!(told(&ask_at(&service, now, both(0, 5)).await.unwrap()), [(true, 0), (false, 10)]);
    assert_eq!(told(&ask_at(&service, now, both(3, 11)).await.unwrap()), [(false, 3), (true, 10)]);
    assert_eq!(told(&ask_at(&service, now, both(3, 5)).await.unwrap()), [(false, 2), (false, 5)]);
}

#[tokio::test]
async fn requests_are_counted_at_once_and_audits_go_on() {
    let service = LimitService::default();
    let now = "2028-02-29T23:10:00Z";
    let requests = budget(Counted::Requests, 2);
    let one = || vec![of_budget(&requests, "reserve", "r", None)];
    assert_eq!(told(&ask_at(&service, now, one()).await.unwrap()), [(false, 1)]);
    assert_eq!(told(&ask_at(&service, now, one()).await.unwrap()), [(false, 0)]);
    assert_eq!(told(&ask_at(&service, now, one()).await.unwrap()), [(true, 0)]);
    assert_eq!(spending_at(&service, &requests, now).await.0, 2);
    let audit = Budget { is_audit: true, ..requests.clone() };
    let audited = vec![of_budget(&audit, "reserve", "r", None)];
    assert_eq!(told(&ask_at(&service, now, audited).await.unwrap()), [(false, 0)]);
    assert_eq!(spending_at(&service, &requests, now).await.0, 3, "an edit keeps the account");
    let over = "chancery_budget_checks_total{budget=\"n/b\",verdict=\"over\"}";
    assert_eq!(metric(&service, over), Some(2));
}

#[tokio::test]
async fn an_account_is_of_one_budget_unit_zone_and_spender() {
    let service = LimitService::default();
    let now = "2027-03-10T12:00:00Z";
    let tokens = budget(Counted::Tokens, 10);
    ask_at(&service, now, vec![of_budget(&tokens, "reserve", "r", Some(7))]).await.unwrap();
    let others = [
        Budget { name: "n/other".to_owned(), ..tokens.clone() },
        Budget { counted: Counted::Requests, ..tokens.clone() },
        Budget { per: Unit::Year, ..tokens.clone() },
        Budget { time_zone: "Europe/Paris".to_owned(), ..tokens.clone() },
        Budget { time_zone: String::new(), ..tokens.clone() },
        Budget { spender: "n/else".to_owned(), ..tokens.clone() },
        Budget { spender: String::new(), ..tokens.clone() },
    ];
    let same = [
        tokens.clone(),
        Budget { limit: 3, is_audit: true, ..tokens.clone() },
        Budget { time_zone: "europe/berlin".to_owned(), ..tokens.clone() },
    ];
    let of = |all: Vec<Spending>| all.iter().map(|it| it.reserved).collect::<Vec<_>>();
    assert_eq!(of(service.spendings_at(&others, now.parse().unwrap()).await.unwrap()), [0; 7]);
    assert_eq!(of(service.spendings_at(&same, now.parse().unwrap()).await.unwrap()), [7; 3]);
    assert_eq!(service.spendings(&[]).await.unwrap(), []);
    assert_eq!(service.spending(&tokens).await.unwrap().spent, 0, "of today, which is not in that month");
}

#[tokio::test]
async fn a_reservation_that_is_not_settled_in_time_is_charged_and_told() {
    let service = LimitService::default().with_lease(Duration::from_secs(30));
    let tokens = budget(Counted::Tokens, 10);
    let reserve = vec![of_budget(&tokens, "reserve", "r", Some(7))];
    ask_at(&service, "2027-03-10T12:00:00Z", reserve).await.unwrap();
    let end = || "2027-03-31T22:00:00Z".to_owned();
    assert_eq!(spending_at(&service, &tokens, "2027-03-10T12:00:29Z").await, (0, 7, end()));
    assert_eq!(spending_at(&service, &tokens, "2027-03-10T12:00:30Z").await, (7, 0, end()));
    let settle = vec![of_budget(&tokens, "settle", "r", Some(2))];
    ask_at(&service, "2027-03-20T12:00:00Z", settle).await.unwrap();
    assert_eq!(spending_at(&service, &tokens, "2027-03-20T12:00:00Z").await, (2, 0, end()));
    assert_eq!(metric(&service, "chancery_budget_expired_reservations_total{budget=\"n/b\"}"), Some(1));
}

#[tokio::test]
async fn a_settling_without_an_amount_charges_what_was_reserved() {
    let service = LimitService::default();
    let now = "2027-03-10T12:00:00Z";
    let tokens = budget(Counted::Tokens, 10);
    ask_at(&service, now, vec![of_budget(&tokens, "reserve", "r", Some(7))]).await.unwrap();
    for request in ["unknown", "r", "r"] {
        ask_at(&service, now, vec![of_budget(&tokens, "settle", request, None)]).await.unwrap();
    }
    let (spent, reserved, _) = spending_at(&service, &tokens, now).await;
    assert_eq!((spent, reserved), (7, 0));
}

#[tokio::test]
async fn a_budget_that_is_not_right_is_refused_and_nothing_is_counted() {
    let service = LimitService::default();
    let now = "2027-03-10T12:00:00Z";
    let tokens = budget(Counted::Tokens, 10);
    let strange = |change: fn(&mut RateLimitDescriptor)| {
        let mut strange = of_budget(&tokens, "reserve", "r", Some(1));
        change(&mut strange);
        strange
    };
    let nowhere = Budget { time_zone: "Europe/Nowhere".to_owned(), ..tokens.clone() };
    let requests = budget(Counted::Requests, 10);
    for (descriptor, told) in [
        (strange(|it| drop(it.entries.pop())), "a descriptor of a budget has the keys"),
        (strange(|it| it.entries[1].key = "other".to_owned()), "a descriptor of a budget has the keys"),
        (strange(|it| it.entries.swap(1, 2)), "a descriptor of a budget has the keys"),
        (strange(|it| it.entries[0].value = "{}".to_owned()), "a budget of another version: "),
        (strange(|it| it.entries[1].value = "other".to_owned()), "budget n/b: there is no step \"other\""),
        (strange(|it| it.entries[2].value.clear()), "budget n/b: the request has no name"),
        (strange(|it| it.is_negative_hits = true), "hits of a budget cannot be negative"),
        (of_budget(&requests, "settle", "r", Some(1)), "budget n/b: requests are not settled"),
        (
            of_budget(&nowhere, "reserve", "r", Some(1)),
            "budget n/b: there is no time zone \"Europe/Nowhere\"",
        ),
    ] {
        let both = vec![of_budget(&tokens, "reserve", "ok", Some(1)), descriptor];
        let refused = ask_at(&service, now, both).await.unwrap_err();
        assert_eq!(refused.code(), GrpcCode::InvalidArgument);
        assert!(refused.message().starts_with(told), "{}", refused.message());
    }
    assert_eq!(spending_at(&service, &tokens, now).await.1, 0);
    let again = vec![of_budget(&nowhere, "reserve", "r", Some(1))];
    ask_at(&service, now, again).await.unwrap_err();
    assert_eq!(service.unknown_zones.lock().unwrap().len(), 1, "told in the log once");
    let error = service.spendings(&[tokens, nowhere]).await.unwrap_err().to_string();
    assert_eq!(error, "budget n/b: there is no time zone \"Europe/Nowhere\"");
}

#[tokio::test]
async fn a_store_that_is_away_fails_the_call_and_is_told() {
    let store = Store::Shared(Shared::connect("redis://127.0.0.1:1").unwrap());
    let service = LimitService::new(store, Metrics::default());
    let tokens = budget(Counted::Tokens, 10);
    let reserve = vec![of_budget(&tokens, "reserve", "r", Some(1))];
    let failed = ask_at(&service, "2027-03-10T12:00:00Z", reserve).await.unwrap_err();
    assert_eq!(failed.code(), GrpcCode::Unavailable);
    let name = "chancery_budget_checks_total{budget=\"n/b\",verdict=\"failed\"}";
    assert_eq!(metric(&service, name), Some(1));
    assert!(service.spending(&tokens).await.is_err());
}

#[tokio::test]
async fn what_does_not_fit_falls_back_where_it_can_and_is_spent_all_the_same() {
    let service = LimitService::default();
    let now = "2028-02-29T23:10:00Z";
    let cheaper = Budget { fallback: "cheaper".to_owned(), ..budget(Counted::Tokens, 10) };
    let ask = async |budgets: &[(&Budget, &str)], amount| {
        let asked = budgets.iter().map(|(budget, step)| of_budget(budget, step, "r", Some(amount)));
        let answer = ask_at(&service, now, asked.collect()).await.unwrap();
        let text = answer.dynamic_metadata.as_ref().map(|metadata| metadata.fields[FALLBACK_KEY].clone());
        let text = text.and_then(|value| match value.kind {
            Some(value::Kind::StringValue(text)) => Some(text),
            _ => None,
        });
        (told(&answer).iter().any(|(is_over, _)| *is_over), text)
    };
    const STEP: &str = "reserve_or_fall_back";
    let falls_back = (false, Some("cheaper".to_owned()));
    assert_eq!(ask(&[(&cheaper, STEP)], 10).await, (false, None));
    assert_eq!(ask(&[(&cheaper, "settle")], 8).await, (false, None));
    assert_eq!(ask(&[(&cheaper, "reserve")], 3).await, (true, None), "the route has no cheaper models");
    let strict = Budget { name: "n/strict".to_owned(), ..budget(Counted::Tokens, 3) };
    assert!(ask(&[(&cheaper, STEP), (&strict, STEP)], 4).await.0, "another budget refuses it");
    let (spent, reserved, _) = spending_at(&service, &cheaper, now).await;
    assert_eq!((spent, reserved), (8, 0));
    assert_eq!(ask(&[(&cheaper, STEP), (&strict, STEP)], 3).await, falls_back);
    let settled = [(&cheaper, "settle"), (&strict, "settle")];
    assert_eq!(ask(&settled, 3).await, (false, None));
    assert_eq!(spending_at(&service, &cheaper, now).await.0, 11, "beyond the limit");
    assert_eq!(spending_at(&service, &strict, now).await.0, 3);
    let audit = Budget { is_audit: true, ..cheaper.clone() };
    assert_eq!(ask(&[(&audit, STEP)], 3).await, (false, None));
}

/// The same question, with a number of what is shared.
fn shared(mut descriptor: RateLimitDescriptor, number: &str) -> RateLimitDescriptor {
    descriptor.entries.push(Entry { key: SHARED_KEY.to_owned(), value: number.to_owned() });
    descriptor
}

/// How many times as much was reserved.
fn times(response: &RateLimitResponse) -> Option<String> {
    let value = response.dynamic_metadata.as_ref()?.fields.get(SHARED_ANSWER_KEY)?;
    match value.kind.as_ref() {
        Some(value::Kind::StringValue(text)) => Some(text.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_reservation_is_enlarged_where_much_more_is_left_in_all_budgets() {
    let now = "2028-02-29T12:00:00Z";
    let large = budget(Counted::Tokens, 100_000);
    let other = |limit| Budget { name: "n/other".to_owned(), ..budget(Counted::Money, limit) };
    let tokens = |limit| budget(Counted::Tokens, limit);
    for (budgets, expected) in [
        // Ten times ten is to fit four times more than once.
        (vec![tokens(500)], Some(100)),
        (vec![tokens(499)], None),
        (vec![large.clone(), other(500)], Some(100)),
        (vec![large.clone(), other(499)], None),
        (vec![other(10), large.clone()], None),
        (vec![Budget { per: Unit::Hour, ..large.clone() }], Some(100)),
        (vec![Budget { per: Unit::Minute, ..large.clone() }], None),
        (vec![large.clone(), Budget { per: Unit::Second, ..other(500) }], None),
        (vec![large.clone(), Budget { name: "n/r".to_owned(), ..budget(Counted::Requests, 500) }], None),
        (vec![Budget { is_audit: true, ..tokens(499) }], None),
        (vec![Budget { is_audit: true, ..tokens(500) }], Some(100)),
        (vec![Budget { fallback: "[]".to_owned(), ..tokens(499) }], None),
    ] {
        let service = LimitService::default();
        let ask = |step: &'static str, number: &'static str, hits: u64| {
            let ask = budgets.iter().map(move |budget| {
                let hits = (budget.counted != Counted::Requests).then_some(hits);
                shared(of_budget(budget, step, "r1", hits), number)
            });
            ask_at(&service, now, ask.collect())
        };
        let reserve = if budgets[0].fallback.is_empty() { "reserve" } else { "reserve_or_fall_back" };
        let answer = ask(reserve, "10", 10).await.unwrap();
        assert_eq!(answer.overall_code, i32::from(Code::Ok), "{budgets:?}");
        assert_eq!(times(&answer), expected.map(|_| "10".to_owned()), "{budgets:?}");
        let counted: Vec<_> = budgets.iter().filter(|it| it.counted != Counted::Requests).cloned().collect();
        let reserved = |all: Vec<Spending>| all.iter().map(|it| it.reserved).collect::<Vec<_>>();
        let now = now.parse().unwrap();
        let all = service.spendings_at(&counted, now).await.unwrap();
        assert_eq!(reserved(all), vec![expected.unwrap_or(10); counted.len()], "{budgets:?}");
        let settled = counted.iter().map(|budget| shared(of_budget(budget, "settle", "r1", Some(73)), "6"));
        ask_at(&service, "2028-02-29T12:00:01Z", settled.collect()).await.unwrap();
        for spending in service.spendings_at(&counted, now).await.unwrap() {
            assert_eq!((spending.spent, spending.reserved), (73, 0), "{budgets:?}");
        }
    }
}

/// The question and the settlement may reach different replicas.
#[tokio::test]
async fn replicas_that_count_for_themselves_let_nobody_share() {
    let large = budget(Counted::Tokens, 100_000);
    let ask = async |service: &LimitService| {
        let asked = shared(of_budget(&large, "reserve", "r1", Some(10)), "10");
        times(&ask_at(service, "2028-02-29T12:00:00Z", vec![asked]).await.unwrap())
    };
    assert_eq!(ask(&LimitService::default()).await.as_deref(), Some("10"));
    assert_eq!(ask(&LimitService::default().of_a_replica()).await, None);
}

#[tokio::test]
async fn what_others_spend_is_not_in_the_way_of_sharing_where_each_has_the_limit_for_itself() {
    let service = LimitService::default();
    let now = "2028-02-29T12:00:00Z";
    let of = |spender: &str| Budget {
        spender: spender.to_owned(),
        is_listed: true,
        ..budget(Counted::Tokens, 1_000)
    };
    for (number, spender) in ["a", "b", "c"].into_iter().enumerate() {
        let asked = of_budget(&of(spender), "reserve", &number.to_string(), Some(900));
        ask_at(&service, now, vec![asked]).await.unwrap();
    }
    let asked = shared(of_budget(&of("d"), "reserve", "r", Some(10)), "10");
    assert_eq!(times(&ask_at(&service, now, vec![asked]).await.unwrap()).as_deref(), Some("10"));
}

#[tokio::test]
async fn requests_that_nobody_has_asked_about_are_counted_when_they_are_settled() {
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let service = LimitService::new(Store::Memory(Memory::default()), metrics);
    let budget = budget(Counted::Tokens, 1_000);
    let now = "2028-02-29T12:00:00Z";
    for (step, number) in [("reserve", "10"), ("settle", "6")] {
        let asked = shared(of_budget(&budget, step, "r1", Some(10)), number);
        ask_at(&service, now, vec![asked]).await.unwrap();
    }
    let refused = shared(of_budget(&budget, "reserve", "r2", Some(10)), "many");
    let error = ask_at(&service, now, vec![refused]).await.unwrap_err();
    assert!(error.message().contains("n/b") && error.message().contains("many"), "{error}");
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"budget_checks_total{budget="n/b",verdict="ok"} 7"#), "{text}");
}

#[tokio::test]
async fn spenders_that_nobody_knows_beforehand_are_listed_and_summed_up_and_each_has_the_limit_for_itself() {
    let service = LimitService::default();
    let now = "2027-03-10T12:00:00Z";
    let of = |spender: &str| Budget {
        spender: spender.to_owned(),
        is_listed: true,
        ..budget(Counted::Tokens, 10)
    };
    let (alice, bob, sum) = (of("sub=alice"), of("sub=bob"), of(""));
    let ask = async |budget: &Budget, step: &str, request: &str, amount: u64| {
        told(&ask_at(&service, now, vec![of_budget(budget, step, request, Some(amount))]).await.unwrap())
    };
    let listed = async || service.spenders_at(&sum, 1, now.parse().unwrap()).await.unwrap();
    assert_eq!(ask(&alice, "reserve", "a", 8).await, [(false, 2)]);
    assert_eq!(ask(&bob, "reserve", "b", 9).await, [(false, 1)], "what others reserve is not in the way");
    assert_eq!(ask(&bob, "reserve", "c", 2).await, [(true, 1)]);
    let end = || "2027-03-31T22:00:00Z".to_owned();
    assert_eq!(spending_at(&service, &sum, now).await, (0, 17, end()), "what is refused is in no sum");
    assert_eq!(listed().await, Listed::default(), "nothing is spent");
    ask(&alice, "settle", "a", 10).await;
    ask(&bob, "settle", "b", 3).await;
    assert_eq!(spending_at(&service, &sum, now).await, (13, 0, end()));
    let most = Listed { count: 2, exhausted: 1, most: vec!["sub=alice".to_owned()] };
    assert_eq!(listed().await, most);
    let next = "2027-04-10T12:00:00Z".parse().unwrap();
    assert_eq!(service.spenders_at(&sum, 1, next).await.unwrap(), Listed::default());
    let requests = Budget { counted: Counted::Requests, ..of("sub") };
    ask(&requests, "reserve", "d", 1).await;
    let all = service.spenders_at(&requests, 9, now.parse().unwrap()).await.unwrap();
    assert_eq!(all.most, ["sub"]);
    assert_eq!(spending_at(&service, &Budget { spender: String::new(), ..requests }, now).await.0, 1);
}
