//! Limits.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use limit_rule::Mode;
use limits::store::{Amount, Hit, Moment, Outcome, StoreError};
use limits::{Memory, Shared, Store};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::server::{Lasting, servers, stores};

/// Counts hits alone.
async fn count(store: &Store, hits: &[Hit]) -> Result<Vec<Outcome>, StoreError> {
    store.count(hits, &[], Moment::of(Timestamp::now())).await.map(|answer| answer.outcomes)
}

fn hit(key: &str, mode: Mode, amount: Amount, limit: u64) -> Hit {
    Hit { key: key.to_owned(), mode, amount, limit, lifetime: Duration::from_secs(60) }
}

/// The rules of [`Store::count`] in the plainest way.
fn restated(counts: &mut HashMap<String, u64>, hits: &[Hit]) -> Vec<Outcome> {
    let mut planned = counts.clone();
    let mut over = Vec::new();
    for hit in hits {
        let count = planned.entry(hit.key.clone()).or_default();
        over.push(match (hit.mode, hit.amount) {
            (Mode::Check, _) | (Mode::Count, Amount::Add(0)) => *count >= hit.limit,
            (Mode::Count, Amount::Add(amount)) => {
                *count += amount;
                *count > hit.limit
            }
            _ => false,
        });
    }
    let is_refused = over.iter().any(|is_over| *is_over);
    for hit in hits {
        let count = counts.entry(hit.key.clone()).or_default();
        if hit.mode == Mode::Charge || (hit.mode == Mode::Count && !is_refused) {
            *count = match hit.amount {
                Amount::Add(amount) => *count + amount,
                Amount::TakeBack(amount) => count.saturating_sub(amount),
            };
        }
    }
    hits.iter().zip(over).map(|(hit, is_over)| Outcome { is_over, count: counts[&hit.key] }).collect()
}

fn hits() -> impl Strategy<Value = Vec<Hit>> {
    let mode = prop_oneof![Just(Mode::Count), Just(Mode::Check), Just(Mode::Charge)];
    let amount =
        prop_oneof![3 => (0_u64..6).prop_map(Amount::Add), 1 => (0_u64..6).prop_map(Amount::TakeBack)];
    let one = ("[a-c]", mode, amount, 0_u64..20);
    vec(one.prop_map(|(key, mode, amount, limit)| hit(&key, mode, amount, limit)), 1..4)
}

#[test]
fn all_stores_count_as_the_rules_say() {
    let servers = servers(Lasting::No);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = runtime.block_on(async { stores(&servers) });
    let cases = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 200, failure_persistence: None, ..Config::default() });
    let result = runner.run(&vec(hits(), 1..20), |requests| {
        let mut counts = HashMap::new();
        cases.set(cases.get() + 1);
        for request in requests {
            let expected = restated(&mut counts, &request);
            let mut of_this_case = request.clone();
            of_this_case.iter_mut().for_each(|hit| hit.key = format!("{}-{}", cases.get(), hit.key));
            for store in &stores {
                prop_assert_eq!(&runtime.block_on(count(store, &of_this_case)).unwrap(), &expected);
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_comes_between_requests_that_count_at_once() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let hits = [
                        hit("all", Mode::Count, Amount::Add(1), 50),
                        hit("more", Mode::Count, Amount::Add(2), 1000),
                    ];
                    count(&store, &hits).await.unwrap()[0].is_over
                })
            })
            .collect();
        let mut passed = 0;
        for task in tasks {
            passed += u32::from(!task.await.unwrap());
        }
        assert_eq!(passed, 50);
        let left = count(&store, &[hit("more", Mode::Check, Amount::Add(0), 1000)]).await.unwrap();
        assert_eq!(left[0].count, 100, "what was refused was not counted elsewhere either");
    }
}

#[tokio::test]
async fn counts_end_with_their_time() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let short = Hit { lifetime: Duration::from_millis(300), ..hit("a", Mode::Count, Amount::Add(5), 5) };
        assert!(!count(&store, std::slice::from_ref(&short)).await.unwrap()[0].is_over);
        assert!(count(&store, std::slice::from_ref(&short)).await.unwrap()[0].is_over);
        let deadline = Instant::now() + Duration::from_secs(20);
        while count(&store, std::slice::from_ref(&short)).await.unwrap()[0].is_over {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn memory_is_given_back() {
    let memory = Memory::default();
    let store = Store::Memory(memory.clone());
    for number in 0..20_000 {
        let old =
            Hit { lifetime: Duration::ZERO, ..hit(&number.to_string(), Mode::Count, Amount::Add(1), 5) };
        count(&store, &[old]).await.unwrap();
    }
    assert!(memory.len() <= 2048, "{}", memory.len());
}

#[tokio::test]
async fn a_server_that_goes_away_is_an_error_and_comes_back() {
    for mut server in servers(Lasting::No) {
        let store = server.store();
        let one = [hit("a", Mode::Count, Amount::Add(1), 5)];
        count(&store, &one).await.unwrap();
        server.stop();
        let error = count(&store, &one).await.unwrap_err().to_string();
        assert!(error.starts_with("the store: "), "{error}");
        server.start_again();
        let deadline = Instant::now() + Duration::from_secs(20);
        while count(&store, &one).await.is_err() {
            assert!(Instant::now() < deadline, "it is not found again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[test]
fn an_address_is_never_quoted() {
    let error = Shared::connect("http://user:secret-word@host").unwrap_err();
    assert!(!error.to_string().contains("secret-word"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_or_says_nothing_is_an_error_before_envoy_stops_waiting() {
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed = {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap().port()
    };
    for port in [closed, mute.local_addr().unwrap().port()] {
        let store = Store::Shared(Shared::connect(&format!("redis://127.0.0.1:{port}")).unwrap());
        for _ in 0..2 {
            let hits = [hit("a", Mode::Count, Amount::Add(1), 5)];
            let counted = tokio::time::timeout(Duration::from_secs(1), count(&store, &hits));
            let error = counted.await.expect("Envoy waits a second").unwrap_err().to_string();
            assert!(error.starts_with("the store: "), "{error}");
        }
    }
}
