//! Accounts of budgets.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use limit_rule::Mode;
use limits::store::{Amount, Answer, Balance, Change, Hit, Moment, Posting};
use limits::{Memory, Store, Window};

use crate::server::{Lasting, Server, servers, stores};

const START: i64 = 1_800_000_000;
const UNIT: i64 = 10_000;
const HOUR: i64 = 3_600;

fn at(seconds: i64) -> Moment {
    Moment::of(Timestamp::from_second(seconds).unwrap())
}

fn posting(account: &str, seconds: i64, limit: u64, change: Change) -> Posting {
    let start = START + (seconds - START).div_euclid(UNIT) * UNIT;
    Posting { account: account.to_owned(), window: Window { start, end: start + UNIT }, limit, change }
}

fn reserve(request: &str, amount: u64) -> Change {
    Change::Reserve { request: request.to_owned(), amount, is_audit: false }
}

fn settle(request: &str, amount: u64) -> Change {
    Change::Settle { request: request.to_owned(), amount: Some(amount) }
}

async fn enter(store: &Store, seconds: i64, limit: u64, change: Change) -> Balance {
    enter_in("n/b|", store, seconds, limit, change).await
}

async fn enter_in(account: &str, store: &Store, seconds: i64, limit: u64, change: Change) -> Balance {
    let postings = [posting(account, seconds, limit, change)];
    store.count(&[], &postings, at(seconds)).await.unwrap().balances[0]
}

fn balance(spent: u64, reserved: u64) -> Balance {
    Balance { spent, reserved, ..Balance::default() }
}

#[tokio::test]
async fn a_request_that_ends_in_another_unit_of_time_is_of_the_one_in_which_it_began() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let late = START + UNIT - 1;
        assert_eq!(enter(&store, late, 100, reserve("a", 60)).await, balance(0, 60));
        assert_eq!(enter(&store, late + 1, 100, Change::Look).await, balance(0, 60));
        assert!(enter(&store, late + 1, 100, reserve("b", 50)).await.is_over, "what is reserved counts");
        assert_eq!(enter(&store, late + 2, 100, settle("a", 70)).await, balance(0, 0));
        let before = [posting("n/b|", late, 100, Change::Look)];
        let answer = store.count(&[], &before, at(late + 3)).await.unwrap();
        assert_eq!(answer.balances, [balance(70, 0)]);
    }
}

#[tokio::test]
async fn what_is_not_settled_is_charged_and_a_late_settling_puts_that_right() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        enter(&store, START, 100, reserve("gone", 60)).await;
        enter(&store, START, 100, reserve("late", 30)).await;
        assert_eq!(enter(&store, START + HOUR - 1, 100, Change::Look).await, balance(0, 90));
        let looked = enter(&store, START + HOUR, 100, Change::Look).await;
        assert_eq!(looked, Balance { expired: 2, ..balance(90, 0) });
        assert_eq!(enter(&store, START + HOUR + 1, 100, Change::Look).await, balance(90, 0), "told once");
        assert_eq!(enter(&store, START + HOUR + 2, 100, settle("late", 7)).await, balance(67, 0));
        assert_eq!(enter(&store, START + HOUR + 3, 100, settle("late", 7)).await, balance(67, 0));
        let next = enter(&store, START + UNIT, 100, reserve("c", 100)).await;
        assert_eq!(next, balance(0, 100), "another unit of time");
    }
}

#[tokio::test]
async fn a_request_without_an_amount_is_refused_when_nothing_is_left() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        assert!(enter(&store, START, 0, reserve("a", 0)).await.is_over);
        assert_eq!(enter(&store, START, 10, reserve("a", 10)).await, balance(0, 10));
        assert!(enter(&store, START, 10, reserve("b", 0)).await.is_over);
        assert_eq!(enter(&store, START, 11, reserve("b", 0)).await, balance(0, 10));
        assert_eq!(enter(&store, START, 10, settle("b", 5)).await, balance(5, 10), "it had a reservation");
    }
}

#[tokio::test]
async fn a_request_that_is_not_known_is_charged_once() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        assert_eq!(enter(&store, START, 10, settle("a", 0)).await, balance(0, 0));
        assert_eq!(enter(&store, START, 10, settle("a", 12)).await, balance(12, 0));
        assert_eq!(enter(&store, START + 9, 10, settle("a", 12)).await, balance(12, 0));
        let unknown = Change::Settle { request: "b".to_owned(), amount: None };
        assert_eq!(enter(&store, START, 10, unknown).await, balance(12, 0));
    }
}

#[tokio::test]
async fn nothing_of_a_request_is_counted_when_a_limit_or_a_budget_refuses_it() {
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let hit = |limit| Hit {
            key: "k".to_owned(),
            mode: Mode::Count,
            amount: Amount::Add(1),
            limit,
            lifetime: Duration::from_secs(60),
        };
        let of = |account, limit, change| posting(account, START, limit, change);
        let audit = Change::Reserve { request: "r".to_owned(), amount: 5, is_audit: true };
        let spend = Change::Spend { amount: 1, is_audit: false };
        let ask = async |hits: &[Hit], postings: &[Posting]| -> (Vec<bool>, Vec<bool>) {
            let Answer { outcomes, balances } = store.count(hits, postings, at(START)).await.unwrap();
            (outcomes.iter().map(|it| it.is_over).collect(), balances.iter().map(|it| it.is_over).collect())
        };
        let both = [
            of("n/a|", 10, reserve("r", 5)),
            of("n/b|", 4, audit.clone()),
            of("n/c|", 9, spend.clone()),
            of("n/a|", 10, settle("s", 2)),
        ];
        let over = (vec![true], vec![false, true, false, false]);
        assert_eq!(ask(&[hit(0)], &both).await, over, "over the limit");
        let mut tight = both.clone();
        tight[0].limit = 6;
        let over = (vec![false], vec![true, true, false, false]);
        assert_eq!(ask(&[hit(1)], &tight).await, over, "over a budget: what was settled counts");
        let looks = ["n/a|", "n/b|", "n/c|"].map(|account| of(account, 10, Change::Look));
        let answer = store.count(&[], &looks, at(START)).await.unwrap();
        assert_eq!(answer.balances, [balance(2, 0), balance(0, 0), balance(0, 0)]);
        let passed = (vec![false], vec![false, true, false, false]);
        assert_eq!(ask(&[hit(1)], &both).await, passed, "an audit does not refuse");
        let answer = store.count(&[], &looks, at(START)).await.unwrap();
        assert_eq!(answer.balances, [balance(2, 5), balance(0, 5), balance(1, 0)]);
        assert_eq!(ask(&[hit(1)], &[]).await.0, [true], "and what passed was counted");
    }
}

#[tokio::test]
async fn amounts_are_exact_up_to_two_to_the_53() {
    const MOST: u64 = 1 << 53;
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        assert_eq!(enter(&store, START, MOST, reserve("a", MOST - 2)).await, balance(0, MOST - 2));
        assert_eq!(enter(&store, START, MOST, reserve("b", 1)).await, balance(0, MOST - 1));
        assert!(enter(&store, START, MOST, reserve("c", 2)).await.is_over);
        assert_eq!(enter(&store, START, MOST, settle("a", MOST - 3)).await, balance(MOST - 3, 1));
        assert_eq!(enter(&store, START, u64::MAX, reserve("d", 2)).await, balance(MOST - 3, 3));
        assert!(enter(&store, START, u64::MAX, reserve("e", 1)).await.is_over);
        assert_eq!(enter(&store, START, MOST, settle("d", u64::MAX)).await, balance(MOST, 1));
        assert_eq!(enter(&store, START, MOST, settle("b", 1)).await, balance(MOST, 0));
        let all = Change::Reserve { request: "f".to_owned(), amount: u64::MAX, is_audit: true };
        let more = Change::Reserve { request: "g".to_owned(), amount: 9, is_audit: true };
        assert_eq!(enter(&store, START, 5, all).await.reserved, MOST);
        assert_eq!(enter(&store, START, 5, more).await.reserved, MOST);
        assert_eq!(enter(&store, START, 5, settle("f", 0)).await, balance(MOST, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_requests_at_once_never_hold_more_than_the_limit_and_leave_what_they_came_to() {
    const LIMIT: u64 = 300;
    let servers = servers(Lasting::No);
    for store in stores(&servers) {
        let task = |number: u64| {
            let store = store.clone();
            tokio::spawn(async move {
                let (mut settled, mut refused) = (0, 0);
                for turn in 0..6 {
                    let request = format!("{number}-{turn}");
                    let amount = 1 + (number * 7 + turn * 5) % 20;
                    let held = enter(&store, START, LIMIT, reserve(&request, amount)).await;
                    assert!(held.spent + held.reserved <= LIMIT, "{held:?}");
                    if held.is_over {
                        refused += 1;
                        continue;
                    }
                    tokio::task::yield_now().await;
                    let came_to = amount * (number % 4) / 3;
                    let held = enter(&store, START, LIMIT, settle(&request, came_to)).await;
                    assert!(held.spent + held.reserved <= LIMIT, "{held:?}");
                    settled += came_to;
                }
                (settled, refused)
            })
        };
        let tasks: Vec<_> = (0..100).map(task).collect();
        let (mut settled, mut refused) = (0, 0);
        for task in tasks {
            let (more_settled, more_refused) = task.await.unwrap();
            settled += more_settled;
            refused += more_refused;
        }
        assert!(refused > 0 && settled > LIMIT / 2, "{refused} {settled}");
        assert_eq!(enter(&store, START, LIMIT, Change::Look).await, balance(settled, 0));
    }
}

#[tokio::test]
async fn a_server_that_writes_down_what_it_has_keeps_all_of_it_when_it_is_killed() {
    for mut server in servers(Lasting::Yes) {
        let store = server.store();
        enter(&store, START, 100, reserve("open", 20)).await;
        enter(&store, START, 100, reserve("ended", 30)).await;
        enter(&store, START, 100, settle("ended", 25)).await;
        server.stop();
        server.start_again();
        let store = server.store();
        assert_eq!(enter(&store, START + 1, 100, settle("ended", 25)).await, balance(25, 20));
        assert!(enter(&store, START + 1, 100, reserve("more", 56)).await.is_over);
        assert_eq!(enter(&store, START + 2, 100, settle("open", 11)).await, balance(36, 0));
    }
}

#[tokio::test]
async fn memory_is_given_back_when_nothing_is_of_use_any_more() {
    let memory = Memory::default();
    let store = Store::Memory(memory.clone());
    for number in 0..2_000 {
        let account = format!("n/b|{}", number % 50);
        let request = number.to_string();
        let now = START + number;
        enter_in(&account, &store, now, 1_000_000, reserve(&request, 5)).await;
        if number % 2 == 0 {
            enter_in(&account, &store, now, 1_000_000, settle(&request, 4)).await;
        }
    }
    let open_and_windows = 1_000 + 50;
    assert!(memory.len() <= open_and_windows + 1_000 && memory.len() > 1_000, "{}", memory.len());
    for account in 0..50 {
        enter_in(&format!("n/b|{account}"), &store, START + 2_100, 1_000_000, Change::Look).await;
    }
    assert_eq!(memory.len(), 1_000 + 25, "what is settled is forgotten, and units in which nothing was");
    enter_in("n/other|", &store, START + UNIT + HOUR + 60, 10, Change::Look).await;
    assert!(memory.is_empty(), "{}", memory.len());
}

#[tokio::test]
async fn what_is_of_no_use_in_an_account_that_goes_on_is_given_back() {
    let memory = Memory::default();
    let store = Store::Memory(memory.clone());
    for number in 0..1_000 {
        let (request, now) = (number.to_string(), START + number * 1_000);
        enter(&store, now, 1_000, reserve(&request, 5)).await;
        if number % 2 == 0 {
            enter(&store, now, 1_000, settle(&request, 4)).await;
        }
    }
    assert!(memory.len() < 30, "{}", memory.len());
}

/// The keys of a server, each with its lifetime in milliseconds and how much it holds.
async fn keys(server: &Server) -> Vec<(String, i64, u64)> {
    let client = redis::Client::open(server.address()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let names: BTreeSet<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut keys = Vec::new();
    for name in names {
        let lifetime = redis::cmd("PTTL").arg(&name).query_async(&mut connection).await.unwrap();
        let size = if name.ends_with(":due") { "ZCARD" } else { "HLEN" };
        let size = redis::cmd(size).arg(&name).query_async(&mut connection).await.unwrap();
        keys.push((name, lifetime, size));
    }
    keys
}

#[tokio::test]
async fn keys_of_a_server_have_lifetimes_and_what_is_of_no_use_is_taken_out() {
    for server in servers(Lasting::No) {
        let store = server.store();
        enter(&store, START, 100, Change::Look).await;
        enter(&store, START, 100, settle("unknown", 0)).await;
        assert_eq!(keys(&server).await, [], "nothing is held of nothing");
        for number in 0..500 {
            let request = number.to_string();
            enter(&store, START + number, 1_000_000, reserve(&request, 5)).await;
            enter(&store, START + number, 1_000_000, settle(&request, 4)).await;
        }
        let now = START + 3 * UNIT - 5;
        enter(&store, now, 1_000_000, reserve("last", 5)).await;
        let names: Vec<_> = keys(&server).await.iter().map(|(name, _, size)| (name.clone(), *size)).collect();
        let key = "chancery:limits:{budget|n/b|}";
        // The sum of reservations, and the last request; the unit of time is remembered though nothing is spent in it.
        assert_eq!(names, [(key.to_owned(), 2), (format!("{key}:due"), 2)]);
        for (name, lifetime, _) in keys(&server).await {
            let wanted = (5 + HOUR + 60) * 1_000;
            assert!(lifetime <= wanted && lifetime > wanted - 60_000, "{name}: {lifetime}");
        }
    }
}
