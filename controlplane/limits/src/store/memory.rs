//! Counts in this process: nothing to install, and nothing left when it ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use limit_rule::Mode;

use super::accounts::Accounts;
use super::lists::Lists;
use super::{Amount, Answer, Hit, Listed, Moment, Outcome, Posting, Spender};

/// Counts that are out of use are taken out whenever there are twice as many counts as after the last time, and at least
/// so many.
const LEAST: usize = 1024;

/// Counts in this process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    counts: Counts,
    accounts: Accounts,
    lists: Lists,
}

#[derive(Debug, Default)]
struct Counts {
    by_key: HashMap<String, Count>,
    /// How many there were after those out of use were taken out.
    kept: usize,
}

#[derive(Debug)]
struct Count {
    count: u64,
    until: Instant,
}

impl Memory {
    pub(super) fn count(&self, hits: &[Hit], postings: &[Posting], moment: Moment) -> Answer {
        let now = Instant::now();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Held { counts, accounts, lists: _ } = &mut *held;
        counts.take_out_old(now);
        let expired = accounts.let_pass(postings, moment);
        let over = counts.over(hits, now);
        let posted_over = accounts.over(postings);
        let mut refusing = postings.iter().zip(&posted_over).map(|(it, over)| *over && !it.change.is_audit());
        let is_refused = over.contains(&true) || refusing.any(|it| it);
        counts.enter(hits, is_refused, now);
        accounts.enter(postings, is_refused, moment);
        Answer {
            outcomes: counts.outcomes(hits, over, now),
            balances: accounts.balances(postings, &posted_over, &expired),
        }
    }

    pub(super) fn list(&self, spenders: &[Spender], moment: Moment) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).lists.list(spenders, moment);
    }

    pub(super) fn listed(&self, list: &str, limit: u64, most: usize, moment: Moment) -> Listed {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.lists.listed(list, limit, most, moment)
    }

    /// How many counts, requests and units of time of accounts, and listed spenders are held.
    pub fn len(&self) -> usize {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.counts.by_key.len() + held.accounts.len() + held.lists.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Counts {
    fn take_out_old(&mut self, now: Instant) {
        if self.by_key.len() >= LEAST.max(2 * self.kept) {
            self.by_key.retain(|_, count| count.until > now);
            self.kept = self.by_key.len();
        }
    }

    fn get(&self, key: &str, now: Instant) -> u64 {
        self.by_key.get(key).filter(|count| count.until > now).map_or(0, |count| count.count)
    }

    /// Which hits are over their limits.
    fn over(&self, hits: &[Hit], now: Instant) -> Vec<bool> {
        // A request may come to the same count by several descriptors.
        let mut asked: HashMap<&str, u64> = HashMap::new();
        let mut over = Vec::with_capacity(hits.len());
        for hit in hits {
            let before = self.get(&hit.key, now) + asked.get(hit.key.as_str()).copied().unwrap_or_default();
            over.push(match (hit.mode, hit.amount) {
                (Mode::Check, _) => before >= hit.limit,
                (Mode::Count, Amount::Add(amount)) => {
                    let after = before.saturating_add(amount);
                    asked.insert(&hit.key, after - self.get(&hit.key, now));
                    after > hit.limit || (amount == 0 && before >= hit.limit)
                }
                (Mode::Count, Amount::TakeBack(_)) | (Mode::Charge, _) => false,
            });
        }
        over
    }

    fn enter(&mut self, hits: &[Hit], is_refused: bool, now: Instant) {
        for hit in hits {
            let is_counted = match hit.mode {
                Mode::Check => false,
                Mode::Count => !is_refused,
                Mode::Charge => true,
            };
            if is_counted {
                self.add(hit, now);
            }
        }
    }

    fn outcomes(&self, hits: &[Hit], over: Vec<bool>, now: Instant) -> Vec<Outcome> {
        let outcome = |(hit, is_over): (&Hit, bool)| Outcome { is_over, count: self.get(&hit.key, now) };
        hits.iter().zip(over).map(outcome).collect()
    }

    fn add(&mut self, hit: &Hit, now: Instant) {
        let before = self.get(&hit.key, now);
        let count = match hit.amount {
            Amount::Add(amount) => before.saturating_add(amount),
            Amount::TakeBack(amount) => before.saturating_sub(amount),
        };
        match self.by_key.get_mut(&hit.key) {
            Some(known) if known.until > now => known.count = count,
            _ => {
                self.by_key.insert(hit.key.clone(), Count { count, until: now + hit.lifetime });
            }
        }
    }
}
