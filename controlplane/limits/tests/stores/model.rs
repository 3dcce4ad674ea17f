//! What is said of accounts, restated in the plainest way, and walked through at random.

use std::cell::Cell;
use std::time::Duration;

use jiff::Timestamp;
use limits::Window;
use limits::store::{Balance, Change, Moment, Posting};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::server::{Lasting, servers, stores};

const UNIT: i64 = 100;
const LEASE: i64 = 300;
const GRACE: i64 = 60;
const REMEMBERED: i64 = 10;
/// After so many, one is forgotten.
const REMEMBERED_UNITS: i64 = 6;
const ACCOUNTS: [&str; 2] = ["n/a|x", "n/b|{y}"];

/// Everything that is known, in no order.
#[derive(Clone, Default)]
struct Model {
    requests: Vec<Request>,
    spent: Vec<Spent>,
}

#[derive(Clone)]
struct Request {
    account: String,
    name: String,
    window: Window,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Open { amount: u64, until: i64 },
    Expired { amount: u64 },
    Settled { until: i64 },
}

#[derive(Clone)]
struct Spent {
    account: String,
    window: Window,
    amount: u64,
}

fn is_forgotten(window: Window, now: i64) -> bool {
    window.end + LEASE + GRACE <= now
}

impl Model {
    fn charge(&mut self, account: &str, window: Window, amount: u64) {
        self.spent.push(Spent { account: account.to_owned(), window, amount });
    }

    /// Takes off what a request was charged when it expired.
    fn take_off(&mut self, account: &str, window: Window, amount: u64) {
        let rest = self.spent(account, window) - amount;
        self.spent.retain(|spent| spent.account != account || spent.window != window);
        self.charge(account, window, rest);
    }

    fn spent(&self, account: &str, window: Window) -> u64 {
        let of_window = self.spent.iter().filter(|spent| spent.account == account && spent.window == window);
        of_window.map(|spent| spent.amount).sum()
    }

    fn reserved(&self, account: &str) -> u64 {
        let amount = |request: &Request| match request.state {
            State::Open { amount, .. } => amount,
            _ => 0,
        };
        self.requests.iter().filter(|request| request.account == account).map(amount).sum()
    }

    fn take(&mut self, account: &str, name: &str) -> Option<Request> {
        let place = self.requests.iter().position(|it| it.account == account && it.name == name)?;
        Some(self.requests.remove(place))
    }

    fn let_pass(&mut self, account: &str, now: i64) -> u64 {
        let mut expired = Vec::new();
        for request in self.requests.iter_mut().filter(|request| request.account == account) {
            if let State::Open { amount, until } = request.state
                && until <= now
            {
                request.state = State::Expired { amount };
                expired.push((request.window, amount));
            }
        }
        expired.iter().for_each(|(window, amount)| self.charge(account, *window, *amount));
        self.requests.retain(|request| match request.state {
            State::Open { .. } => true,
            State::Expired { .. } => !is_forgotten(request.window, now),
            State::Settled { until } => until > now,
        });
        self.spent.retain(|spent| !is_forgotten(spent.window, now));
        expired.len() as u64
    }

    /// Takes the amount whether it fits or not, and says whether it does not.
    fn take_amount(&mut self, posting: &Posting, now: i64) -> bool {
        let Posting { account, window, limit, change } = posting;
        let (amount, known) = match change {
            Change::Spend { amount, .. } => (*amount, None),
            Change::Reserve { request, amount, .. } => (*amount, self.take(account, request)),
            Change::Settle { .. } | Change::Look => return false,
        };
        drop(known);
        let others = self.spent(account, *window) + self.reserved(account);
        match change {
            Change::Reserve { request, .. } => self.requests.push(Request {
                account: account.clone(),
                name: request.clone(),
                window: *window,
                state: State::Open { amount, until: now + LEASE },
            }),
            _ => self.charge(account, *window, amount),
        }
        others + amount > *limit || others >= *limit
    }

    fn settle(&mut self, account: &str, name: &str, amount: Option<u64>, window: Window, now: i64) {
        let known = self.take(account, name);
        let state = State::Settled { until: now + REMEMBERED };
        let (window, amount) = match known {
            Some(Request { state: State::Open { amount: reserved, .. }, window, .. }) => {
                (window, amount.unwrap_or(reserved))
            }
            Some(Request { state: State::Expired { amount: charged }, window, .. }) => {
                self.take_off(account, window, charged);
                (window, amount.unwrap_or(charged))
            }
            Some(settled) => return self.requests.push(settled),
            None if amount.unwrap_or(0) == 0 => return,
            None => (window, amount.unwrap_or(0)),
        };
        self.charge(account, window, amount);
        self.requests.push(Request { account: account.to_owned(), name: name.to_owned(), window, state });
    }

    fn enter(&mut self, postings: &[Posting], now: i64) -> Vec<Balance> {
        let expired: Vec<u64> = postings.iter().map(|it| self.let_pass(&it.account, now)).collect();
        let mut planned = self.clone();
        let over: Vec<bool> = postings.iter().map(|posting| planned.take_amount(posting, now)).collect();
        let refuses = |(posting, is_over): (&Posting, &bool)| {
            let (Change::Reserve { is_audit, .. } | Change::Spend { is_audit, .. }) = posting.change else {
                return false;
            };
            *is_over && !is_audit
        };
        let is_refused = postings.iter().zip(&over).any(refuses);
        for posting in postings {
            match &posting.change {
                Change::Settle { request, amount } => {
                    self.settle(&posting.account, request, *amount, posting.window, now);
                }
                _ if is_refused => {}
                _ => drop(self.take_amount(posting, now)),
            }
        }
        let balance = |((posting, is_over), expired): ((&Posting, bool), u64)| Balance {
            is_over,
            spent: self.spent(&posting.account, posting.window),
            reserved: self.reserved(&posting.account),
            expired,
        };
        postings.iter().zip(over).zip(expired).map(balance).collect()
    }
}

/// So many seconds later, something is entered.
type Entered = (i64, Vec<(&'static str, Change, u64)>);

fn entered() -> impl Strategy<Value = Entered> {
    let request = || prop::sample::select(vec!["a", "b", "c", "d", "e"]).prop_map(str::to_owned);
    let change = prop_oneof![
        5 => (request(), 0..20_u64, prop::bool::weighted(0.2))
            .prop_map(|(request, amount, is_audit)| Change::Reserve { request, amount, is_audit }),
        4 => (request(), prop::option::weighted(0.9, 0..20_u64))
            .prop_map(|(request, amount)| Change::Settle { request, amount }),
        1 => (0..20_u64, prop::bool::weighted(0.2))
            .prop_map(|(amount, is_audit)| Change::Spend { amount, is_audit }),
        1 => Just(Change::Look),
    ];
    let account = prop::sample::select(ACCOUNTS.to_vec());
    let later = prop_oneof![6 => 0..6_i64, 2 => 6..80_i64, 1 => 80..500_i64];
    (later, vec((account, change, 20..60_u64), 1..4))
}

#[test]
fn all_stores_keep_accounts_as_the_rules_say() {
    let servers = servers(Lasting::No);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stores = runtime.block_on(async { stores(&servers) });
    let cases = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 300, failure_persistence: None, ..Config::default() });
    let result = runner.run(&vec(entered(), 1..40), |script| {
        cases.set(cases.get() + 1);
        let mut model = Model::default();
        let mut now = 1_800_000_000;
        for (later, changes) in script {
            now += later;
            let start = now / UNIT * UNIT;
            let window = Window { start, end: start + UNIT };
            let posting = |(account, change, limit, window)| Posting {
                account: format!("{account}-{}", cases.get()),
                window,
                limit,
                change,
            };
            let changes =
                changes.into_iter().map(|(account, change, limit)| (account, change, limit, window));
            // All accounts are looked at, also in units of time that are over.
            let looks = ACCOUNTS.into_iter().flat_map(|account| {
                (0..=REMEMBERED_UNITS).map(move |ago| {
                    let window = Window { start: start - ago * UNIT, end: start - ago * UNIT + UNIT };
                    (account, Change::Look, 0, window)
                })
            });
            let postings: Vec<Posting> = changes.chain(looks).map(posting).collect();
            let expected = model.enter(&postings, now);
            let moment = Moment {
                now: Timestamp::from_second(now).unwrap(),
                lease: Duration::from_secs(LEASE.unsigned_abs()),
            };
            for (index, store) in stores.iter().enumerate() {
                let answer = runtime.block_on(store.count(&[], &postings, moment)).unwrap();
                prop_assert_eq!(&answer.balances, &expected, "store {}", index);
            }
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
