//! Requests that are counted in the same budgets share a reservation, so that the service that counts is not asked about each of
//! them.
//!
//! A request that begins while others of the same budgets run, or soon after them, asks for [`TIMES`] what it may come to itself.
//! If the service grants that (it does so only where much more is left), requests that begin within [`OPEN_FOR`] take their part of
//! it without a question. What a request does not need of its part goes back, for the next ones. If that is used up before its time
//! is over, [`MORE`] times as much is asked for next, up to [`MOST_TIMES`]. What was spent of a shared reservation is settled once
//! nobody has had a part in it for [`LINGER`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{MAX_MICROS, Reservation};

/// So many times what a request may come to is asked for at first, for itself and those that share it.
pub const TIMES: u64 = 32;

/// So many times as much is asked for after what was there was used up.
pub const MORE: u64 = 4;

/// So many times what a request may come to is asked for at most.
pub const MOST_TIMES: u64 = 2048;

/// So much is reserved at most for requests that share it, in tokens, or in millionths of a US dollar.
const MOST_SHARED: u64 = MAX_MICROS / 2;

/// How long requests may begin that share a reservation: so late may an edit of a budget come into effect, and so long may a unit
/// of time be over in which they are counted.
pub const OPEN_FOR: Duration = Duration::from_secs(1);

/// How long a reservation in which nobody has a part waits for further requests.
pub const LINGER: Duration = Duration::from_millis(200);

/// All requests of a proxy that are counted in budgets.
#[derive(Debug, Default)]
pub struct Sharing {
    accounts: HashMap<Arc<str>, Account>,
    /// By the names of the requests that have asked for them.
    shared: HashMap<Arc<str>, Shared>,
}

/// The requests of the same budgets.
#[derive(Debug)]
struct Account {
    running: usize,
    /// Whether one of them has asked for a reservation to share and has no answer yet.
    is_asking: bool,
    /// So many times what a request may come to is asked for next.
    times: u64,
    /// The reservation that requests take their parts of.
    open: Option<Arc<str>>,
    /// Since when none of them runs.
    idle_since: Option<Instant>,
}

impl Default for Account {
    fn default() -> Self {
        Self { running: 0, is_asking: false, times: TIMES, open: None, idle_since: None }
    }
}

/// A reservation that requests share.
#[derive(Debug)]
struct Shared {
    account: Arc<str>,
    /// What nobody has a part in.
    left: Reservation,
    until: Instant,
    running: usize,
    ended: u64,
    spent: Reservation,
    /// Since when nobody has a part in it.
    idle_since: Option<Instant>,
}

/// A request that is counted in budgets. It must be [ended](Sharing::end).
#[derive(Debug)]
pub struct Member {
    name: Arc<str>,
    part: Reservation,
    of: Part,
}

/// What a request's part is of.
#[derive(Debug)]
enum Part {
    /// Its own reservation; it can share none.
    Alone,
    /// Its own reservation. `asks`: whether it has asked for one to share.
    Own { account: Arc<str>, asks: bool },
    /// The reservation of this name.
    Shared { account: Arc<str>, name: Arc<str> },
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

/// What follows from the end of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether what it has spent is settled under its own name, now.
    pub settles: bool,
    /// Whether there is something that waits for [`LINGER`], so that [`Sharing::settle`] is to be called then.
    pub is_idle: bool,
}

/// What the service is to be told of a reservation that requests have shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The budgets, as [`Account::shared_by`](super::Account::shared_by) tells them.
    pub account: Arc<str>,
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
    /// A request begins. `account` says the budgets in which it is counted, `None` where the service has to hear of each request;
    /// `name` is that of no other request, `part` is what it may come to.
    pub fn begin(
        &mut self,
        account: Option<&str>,
        name: &str,
        part: Reservation,
        now: Instant,
    ) -> (Member, Question) {
        let member = |of| Member { name: name.into(), part, of };
        let Some(account) = account else { return (member(Part::Alone), Question::Own) };
        let account: Arc<str> = match self.accounts.get_key_value(account) {
            Some((known, _)) => Arc::clone(known),
            None => account.into(),
        };
        let all = self.accounts.entry(Arc::clone(&account)).or_default();
        // Alone it has nobody to share with.
        let has_others = all.running > 0 || all.idle_since.is_some_and(|since| now < since + LINGER);
        all.running += 1;
        all.idle_since = None;
        let open = all.open.as_ref().and_then(|name| Some((name, self.shared.get_mut(name)?)));
        let mut is_used_up = false;
        if let Some((name, shared)) = open {
            if shared.takes(part, now) {
                let name = Arc::clone(name);
                return (member(Part::Shared { account, name }), Question::None);
            }
            is_used_up = now < shared.until;
        }
        let asks = has_others && !all.is_asking && is_shareable(part);
        if !asks {
            return (member(Part::Own { account, asks }), Question::Own);
        }
        all.is_asking = true;
        if is_used_up {
            all.times = all.times.saturating_mul(MORE);
        }
        all.times = all.times.clamp(TIMES, most_times(part));
        let question = Question::Shared(all.times);
        (member(Part::Own { account, asks }), question)
    }

    /// The service has reserved so many times what the request may come to.
    pub fn granted(&mut self, member: &mut Member, times: u64, now: Instant) {
        let Part::Own { account, asks: true } = &member.of else { return };
        let account = Arc::clone(account);
        let Some(all) = self.accounts.get_mut(&account) else { return };
        let more = times.saturating_sub(1);
        let Reservation { tokens, micros } = member.part;
        let shared = Shared {
            account: Arc::clone(&account),
            left: Reservation { tokens: tokens.saturating_mul(more), micros: micros.saturating_mul(more) },
            until: now + OPEN_FOR,
            running: 1,
            ended: 0,
            spent: Reservation::default(),
            idle_since: None,
        };
        self.shared.insert(Arc::clone(&member.name), shared);
        all.open = Some(Arc::clone(&member.name));
        all.is_asking = false;
        member.of = Part::Shared { account, name: Arc::clone(&member.name) };
    }

    /// A request has ended and come to this.
    pub fn end(&mut self, member: Member, spent: Reservation, now: Instant) -> Ended {
        let Member { part, of, .. } = member;
        let (account, settles, mut is_idle) = match of {
            Part::Alone => return Ended { settles: true, is_idle: false },
            Part::Own { account, asks } => {
                if let Some(all) = self.accounts.get_mut(&account).filter(|_| asks) {
                    // So much could not be reserved.
                    all.times = TIMES;
                    all.is_asking = false;
                }
                (account, true, false)
            }
            Part::Shared { account, name } => {
                let shared = self.shared.get_mut(&name);
                (account, false, shared.is_some_and(|shared| shared.give_back(part, spent, now)))
            }
        };
        if let Some(all) = self.accounts.get_mut(&account) {
            all.running -= 1;
            all.idle_since = (all.running == 0).then_some(now);
            is_idle |= all.running == 0;
        }
        Ended { settles, is_idle }
    }

    /// Ends reservations in which nobody has had a part for [`LINGER`]: what the service is to be told.
    pub fn settle(&mut self, now: Instant) -> Vec<Settlement> {
        let is_over = |since: Option<Instant>| since.is_some_and(|since| since + LINGER <= now);
        let over = self.shared.extract_if(|_, shared| is_over(shared.idle_since));
        let settled: Vec<_> = over.map(|(name, shared)| shared.settlement(name)).collect();
        for Settlement { account, name, .. } in &settled {
            if let Some(all) = self.accounts.get_mut(account) {
                all.open.take_if(|open| open == name);
            }
        }
        self.accounts.retain(|_, all| all.open.is_some() || !is_over(all.idle_since));
        settled
    }

    /// When [`settle`](Self::settle) is to be called next, if nothing else happens.
    pub fn next(&self) -> Option<Instant> {
        let of_accounts = self.accounts.values().map(|all| all.idle_since);
        let of_shared = self.shared.values().map(|shared| shared.idle_since);
        of_accounts.chain(of_shared).flatten().min().map(|since| since + LINGER)
    }

    /// Whether no request runs, and nothing is to be settled.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.shared.is_empty()
    }
}

/// Whether what a request may come to can be reserved for several.
fn is_shareable(part: Reservation) -> bool {
    part != Reservation::default() && most_times(part) >= TIMES
}

/// So many times what a request may come to can be reserved.
fn most_times(part: Reservation) -> u64 {
    let most = part.tokens.max(part.micros).max(1);
    (MOST_SHARED / most).min(MOST_TIMES)
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
        self.idle_since = None;
        true
    }

    /// A request that had this part of it has spent so much. Gives whether nobody has a part in it now.
    fn give_back(&mut self, part: Reservation, spent: Reservation, now: Instant) -> bool {
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
        self.idle_since = (self.running == 0).then_some(now);
        self.running == 0
    }

    /// What it has come to, under its name.
    fn settlement(self, name: Arc<str>) -> Settlement {
        let Self { account, spent, ended, .. } = self;
        Settlement { account, name, spent, others: ended.saturating_sub(1) }
    }
}

#[cfg(test)]
mod tests;
