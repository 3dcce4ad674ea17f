//! Accounts of budgets in this process.

use std::collections::HashMap;
use std::sync::Arc;

use super::posting::{MOST, REMEMBERED};
use super::schedule::Schedule;
use super::{Balance, Change, Moment, Posting};

/// All accounts, each until it is of no use any more.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    by_name: HashMap<Arc<str>, Account>,
    ends: Schedule<Arc<str>>,
}

#[derive(Debug, Default)]
struct Account {
    /// The sum of the reservations that are open.
    reserved: u64,
    /// What is spent, by the beginning of the unit of time.
    spent: HashMap<i64, u64>,
    requests: HashMap<Arc<str>, Record>,
    due: Schedule<Thing>,
}

/// What is known of a request. The unit of time is that in which it was reserved, by its beginning.
#[derive(Clone, Copy, Debug)]
enum Record {
    Open {
        start: i64,
        amount: u64,
    },
    /// It waited for too long, and is counted as spent.
    Expired {
        start: i64,
        amount: u64,
    },
    Settled,
}

/// What a time is kept of: a unit of time is forgotten then, and so is a request, unless it is open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Thing {
    Request(Arc<str>),
    Window(i64),
}

/// What postings of one request have taken of each account, and how much of that under the name of the request.
#[derive(Default)]
struct Taken<'a> {
    by_account: HashMap<&'a str, i128>,
    by_request: HashMap<(&'a str, &'a str), u64>,
}

impl Accounts {
    /// Lets the time pass, up to now. Gives for each posting how many reservations have waited for too long.
    pub(super) fn let_pass(&mut self, postings: &[Posting], moment: Moment) -> Vec<u64> {
        let expired = |posting: &Posting| {
            self.by_name
                .get_mut(posting.account.as_str())
                .map_or(0, |account| account.let_pass(moment.millis()))
        };
        let expired = postings.iter().map(expired).collect();
        while let Some(name) = self.ends.take_due(moment.millis()) {
            self.by_name.remove(&name);
        }
        expired
    }

    /// Which postings do not fit, each after those before it.
    pub(super) fn over(&self, postings: &[Posting]) -> Vec<bool> {
        let mut taken = Taken::default();
        let mut over = Vec::with_capacity(postings.len());
        for posting in postings {
            over.push(taken.does_not_fit(posting, self.by_name.get(posting.account.as_str())));
        }
        over
    }

    /// Enters the postings.
    pub(super) fn enter(&mut self, postings: &[Posting], is_refused: bool, moment: Moment) {
        for posting in postings {
            let is_entered = match posting.change {
                Change::Look => false,
                Change::Settle { .. } => true,
                Change::Reserve { .. } | Change::Spend { .. } => !is_refused,
            };
            if !is_entered {
                continue;
            }
            let name: Arc<str> = posting.account.as_str().into();
            let account = self.by_name.entry(Arc::clone(&name)).or_default();
            account.enter(posting, moment);
            match account.due.last() {
                Some(end) => self.ends.set(name, end),
                None => drop(self.by_name.remove(&name)),
            }
        }
    }

    /// How they stand.
    pub(super) fn balances(&self, postings: &[Posting], over: &[bool], expired: &[u64]) -> Vec<Balance> {
        let balance = |((posting, is_over), expired): ((&Posting, &bool), &u64)| {
            let account = self.by_name.get(posting.account.as_str());
            let (spent, reserved) =
                account.map_or((0, 0), |account| (account.spent(posting.window.start), account.reserved));
            Balance { is_over: *is_over, spent, reserved, expired: *expired }
        };
        postings.iter().zip(over).zip(expired).map(balance).collect()
    }

    /// How many requests and units of time are known.
    pub(super) fn len(&self) -> usize {
        self.by_name.values().map(|account| account.requests.len() + account.spent.len()).sum()
    }
}

impl<'a> Taken<'a> {
    fn does_not_fit(&mut self, posting: &'a Posting, account: Option<&Account>) -> bool {
        let name = posting.account.as_str();
        let (amount, own) = match &posting.change {
            Change::Settle { .. } | Change::Look => return false,
            Change::Spend { amount, .. } => (*amount, 0),
            Change::Reserve { request, amount, .. } => {
                let before = self.by_request.insert((name, request), *amount);
                (*amount, before.unwrap_or_else(|| account.map_or(0, |account| account.open(request))))
            }
        };
        let [amount, own, limit] = [amount, own, posting.limit].map(|number| i128::from(most(number)));
        let held = account.map_or(0, |account| account.spent(posting.window.start) + account.reserved);
        let taken = self.by_account.entry(name).or_default();
        let left = limit - (i128::from(held) + *taken - own);
        *taken += amount - own;
        amount > left || left <= 0
    }
}

impl Account {
    fn spent(&self, start: i64) -> u64 {
        self.spent.get(&start).copied().unwrap_or_default()
    }

    /// What the request has reserved.
    fn open(&self, request: &str) -> u64 {
        match self.requests.get(request) {
            Some(Record::Open { amount, .. }) => *amount,
            _ => 0,
        }
    }

    fn let_pass(&mut self, now: i64) -> u64 {
        let mut expired = 0;
        while let Some(thing) = self.due.take_due(now) {
            match thing {
                Thing::Window(start) => drop(self.spent.remove(&start)),
                Thing::Request(request) => {
                    if let Some(Record::Open { start, amount }) = self.requests.remove(&request) {
                        expired += 1;
                        self.reserved -= amount;
                        // A unit of time is remembered for longer than what is reserved in it waits.
                        if let Some(end) = self.due.time(&Thing::Window(start)) {
                            self.charge(start, amount);
                            self.remember(request, Record::Expired { start, amount }, end);
                        }
                    }
                }
            }
        }
        expired
    }

    fn enter(&mut self, posting: &Posting, moment: Moment) {
        let start = posting.window.start;
        let end_of_window = moment.end_of(posting.window);
        match &posting.change {
            Change::Look => {}
            Change::Spend { amount, .. } => {
                self.due.extend(Thing::Window(start), end_of_window);
                self.charge(start, *amount);
            }
            Change::Reserve { request, amount, .. } => {
                self.reserved -= self.open(request);
                // So that the sum stays exact.
                let amount = most(*amount).min(MOST - self.reserved);
                self.reserved += amount;
                self.due.extend(Thing::Window(start), end_of_window);
                let end = moment.after(moment.lease);
                self.remember(request.as_str().into(), Record::Open { start, amount }, end);
            }
            Change::Settle { request, amount } => {
                let known = self.requests.get(request.as_str()).copied();
                let (start, amount) = match known {
                    Some(Record::Settled) => return,
                    Some(Record::Open { start, amount: reserved }) => {
                        self.reserved -= reserved;
                        (start, amount.unwrap_or(reserved))
                    }
                    Some(Record::Expired { start, amount: charged }) => {
                        let spent = self.spent.entry(start).or_default();
                        *spent = spent.saturating_sub(charged);
                        (start, amount.unwrap_or(charged))
                    }
                    None => match amount {
                        None | Some(0) => return,
                        Some(amount) => {
                            self.due.extend(Thing::Window(start), end_of_window);
                            (start, *amount)
                        }
                    },
                };
                self.charge(start, amount);
                self.remember(request.as_str().into(), Record::Settled, moment.after(REMEMBERED));
            }
        }
    }

    fn charge(&mut self, start: i64, amount: u64) {
        let spent = self.spent.entry(start).or_default();
        *spent = most(spent.saturating_add(most(amount)));
    }

    fn remember(&mut self, request: Arc<str>, record: Record, until: i64) {
        self.due.set(Thing::Request(Arc::clone(&request)), until);
        self.requests.insert(request, record);
    }
}

fn most(amount: u64) -> u64 {
    amount.min(MOST)
}
