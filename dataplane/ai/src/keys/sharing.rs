//! Requests that run at the same time and are counted in the same budgets share a reservation, so that the service that
//! counts is not asked about each of them.
//!
//! A request that begins while others of the same budgets run asks for [`TIMES`] what it may come to itself. If the service
//! grants that (it does so only where much more is left), requests that begin within [`OPEN_FOR`] take their part of it without
//! a question. What a request does not need of its part goes back, for the next ones. The module has no timer, so that what
//! was spent of a shared reservation is settled when a request ends: at the latest the last one that runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ai_config::MOST_SETTLED;

use super::{MAX_MICROS, Reservation};

/// So many times what a request may come to is asked for, for itself and those that share it.
pub const TIMES: u64 = 32;

/// How long requests may begin that share a reservation: so late may an edit of a budget come into effect, and so long may a unit
/// of time be over in which they are counted.
pub const OPEN_FOR: Duration = Duration::from_secs(1);

/// All requests of a proxy that are counted in budgets.
#[derive(Debug, Default)]
pub struct Sharing {
    accounts: HashMap<Arc<str>, Account>,
    /// By the names of the requests that have asked for them.
    shared: HashMap<Arc<str>, Shared>,
}

/// The requests of the same budgets.
#[derive(Debug, Default)]
struct Account {
    running: usize,
    /// Whether one of them has asked for a reservation to share and has no answer yet.
    is_asking: bool,
    /// The reservation that requests take their parts of.
    open: Option<Arc<str>>,
    /// One in the place of which another one has come, and in which nobody has a part any more.
    replaced: Vec<Arc<str>>,
}

/// A reservation that requests share.
#[derive(Debug)]
struct Shared {
    /// What nobody has a part in.
    left: Reservation,
    until: Instant,
    running: usize,
    ended: u64,
    spent: Reservation,
}

/// A request that is counted in budgets. It must be [ended](Sharing::end).
#[derive(Debug)]
pub struct Member {
    account: Arc<str>,
    name: Arc<str>,
    part: Reservation,
    of: Part,
}

/// What a request's part is of.
#[derive(Debug)]
enum Part {
    /// Its own reservation. `asks`: whether it has asked for one to share.
    Own { asks: bool },
    /// The reservation of this name.
    Shared(Arc<str>),
}

/// What the service is to be asked before a request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Nothing.
    None,
    /// To reserve what the request may come to.
    Own,
    /// The same, and so many times as much if that can be shared.
    Shared(u64),
}

/// What the service is to be told when a request has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The name under which it was reserved.
    pub name: Arc<str>,
    /// What was spent of it.
    pub spent: Reservation,
    /// How many requests that the service was not asked about had a part in it.
    pub others: u64,
}

impl Member {
    /// The name of the request.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Sharing {
    /// A request begins. `account` says the budgets in which it is counted, `name` is that of no other request, `part` is what it
    /// may come to. `can_share` is false where the service has to hear of each request.
    pub fn begin(
        &mut self,
        account: &str,
        name: &str,
        part: Reservation,
        can_share: bool,
        now: Instant,
    ) -> (Member, Question) {
        let account: Arc<str> = match self.accounts.get_key_value(account) {
            Some((known, _)) => Arc::clone(known),
            None => account.into(),
        };
        let all = self.accounts.entry(Arc::clone(&account)).or_default();
        all.running += 1;
        let member = |of| Member { account: Arc::clone(&account), name: name.into(), part, of };
        if !can_share {
            return (member(Part::Own { asks: false }), Question::Own);
        }
        let open = all.open.as_ref().and_then(|name| Some((name, self.shared.get_mut(name)?)));
        if let Some((of, shared)) = open
            && shared.takes(part, now)
        {
            return (member(Part::Shared(Arc::clone(of))), Question::None);
        }
        // Alone it has nobody to share with.
        let asks = all.running > 1 && !all.is_asking && is_shareable(part);
        all.is_asking |= asks;
        let question = if asks { Question::Shared(TIMES) } else { Question::Own };
        (member(Part::Own { asks }), question)
    }

    /// The service has reserved so many times what the request may come to.
    pub fn granted(&mut self, member: &mut Member, times: u64, now: Instant) {
        let Part::Own { asks: true } = member.of else { return };
        let Some(account) = self.accounts.get_mut(&member.account) else { return };
        let more = times.saturating_sub(1);
        let Reservation { tokens, micros } = member.part;
        let left = Reservation { tokens: tokens.saturating_mul(more), micros: micros.saturating_mul(more) };
        let shared =
            Shared { left, until: now + OPEN_FOR, running: 1, ended: 0, spent: Reservation::default() };
        self.shared.insert(Arc::clone(&member.name), shared);
        let before = account.open.replace(Arc::clone(&member.name));
        let is_idle = |name: &Arc<str>| self.shared.get(name).is_some_and(|shared| shared.running == 0);
        account.replaced.extend(before.filter(is_idle));
        account.is_asking = false;
        member.of = Part::Shared(Arc::clone(&member.name));
    }

    /// A request has ended and come to this. Gives what the service is to be told: at most [`MOST_SETTLED`], its own reservation or the one
    /// that it shared, and another one.
    pub fn end(&mut self, member: Member, spent: Reservation, now: Instant) -> Vec<Settlement> {
        let Member { account, name, part, of } = member;
        let Some(all) = self.accounts.get_mut(&account) else { return Vec::new() };
        all.running -= 1;
        all.is_asking &= !matches!(of, Part::Own { asks: true });
        let mut settled = Vec::with_capacity(MOST_SETTLED);
        match of {
            Part::Own { .. } => settled.push(Settlement { name, spent, others: 0 }),
            Part::Shared(name) => {
                let shared = self.shared.get_mut(&name);
                let is_idle = shared.is_some_and(|shared| shared.give_back(part, spent) == 0);
                if is_idle && all.open.as_ref() != Some(&name) {
                    all.replaced.push(name);
                }
            }
        }
        if let Some(open) = all.open.take_if(|open| {
            let shared = self.shared.get(open);
            shared.is_none_or(|it| it.running == 0 && (all.running == 0 || it.until <= now))
        }) {
            all.replaced.push(open);
        }
        let room = MOST_SETTLED - settled.len();
        let names = all.replaced.drain(..room.min(all.replaced.len()));
        settled.extend(names.filter_map(|name| Some(self.shared.remove(&name)?.settlement(name))));
        if all.running == 0 && all.replaced.is_empty() {
            self.accounts.remove(&account);
        }
        settled
    }

    /// Whether no request runs.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.shared.is_empty()
    }
}

/// Whether so many times as much can be reserved and settled: Envoy tells no larger amounts.
fn is_shareable(part: Reservation) -> bool {
    let most = part.tokens.max(part.micros).saturating_mul(TIMES);
    most > 0 && most <= MAX_MICROS / 2
}

impl Shared {
    /// Takes this part of it, if it is there.
    fn takes(&mut self, part: Reservation, now: Instant) -> bool {
        let left = |left: u64, part: u64| left.checked_sub(part);
        let (Some(tokens), Some(micros), true) =
            (left(self.left.tokens, part.tokens), left(self.left.micros, part.micros), now < self.until)
        else {
            return false;
        };
        self.left = Reservation { tokens, micros };
        self.running += 1;
        true
    }

    /// A request that had this part of it has spent so much. Gives how many have a part in it.
    fn give_back(&mut self, part: Reservation, spent: Reservation) -> usize {
        let left = |left: u64, part: u64, spent: u64| left.saturating_add(part).saturating_sub(spent);
        self.left = Reservation {
            tokens: left(self.left.tokens, part.tokens, spent.tokens),
            micros: left(self.left.micros, part.micros, spent.micros),
        };
        self.spent = Reservation {
            tokens: self.spent.tokens.saturating_add(spent.tokens),
            micros: self.spent.micros.saturating_add(spent.micros),
        };
        self.running -= 1;
        self.ended += 1;
        self.running
    }

    /// What it has come to, under its name.
    fn settlement(self, name: Arc<str>) -> Settlement {
        // More than that is spent only if several requests cost hundreds of times what they were estimated to.
        let spent = Reservation {
            tokens: self.spent.tokens.min(MAX_MICROS),
            micros: self.spent.micros.min(MAX_MICROS),
        };
        Settlement { name, spent, others: self.ended.saturating_sub(1) }
    }
}

#[cfg(test)]
mod tests;
