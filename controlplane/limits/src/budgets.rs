//! What descriptors of budgets ask.

use std::fmt;

use envoy_types::pb::envoy::extensions::common::ratelimit::v3::rate_limit_descriptor::Entry;
use jiff::Timestamp;
use limit_rule::{BUDGET_KEY, Budget, Counted, REQUEST_KEY, SHARED_KEY, STEP_KEY, Step, Unit};

use crate::store::{Balance, Change, Moment, Posting, Spender};
use crate::window::{Window, zone};

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// What is spent in this unit of time.
    pub spent: u64,
    /// What requests that have not ended have reserved.
    pub reserved: u64,
    /// When this unit of time began.
    pub since: Timestamp,
    /// When the next unit of time begins.
    pub resets_at: Timestamp,
}

impl Spending {
    pub(crate) fn of(balance: Balance, window: Window) -> Self {
        let at = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let (since, resets_at) = (at(window.start), at(window.end));
        Self { spent: balance.spent, reserved: balance.reserved, since, resets_at }
    }
}

/// What a descriptor asks of a budget.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub budget: Budget,
    pub step: Step,
    request: String,
    /// How many times as much may be reserved, or how many other requests had a part in it.
    pub shared: Option<u64>,
}

/// The largest number of an entry [`SHARED_KEY`].
const MOST_SHARED: u64 = 1 << 20;

/// So many times what a reservation is enlarged to must be left beside it: requests of other proxies are not refused for what
/// requests of this one may need.
const COMFORT: u64 = 4;

/// A budget of a time zone that there is not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnknownZone {
    budget: String,
    zone: String,
}

impl fmt::Display for UnknownZone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "budget {}: there is no time zone {:?}", self.budget, self.zone)
    }
}

impl Asked {
    /// Reads the entries of a descriptor.
    ///
    /// # Errors
    /// Says what is wrong with them.
    pub(crate) fn of(entries: &[Entry]) -> Result<Self, String> {
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        let [budget, step, request, rest @ ..] = entries else {
            return Err(format!("a descriptor of a budget has the keys {keys:?}"));
        };
        if !matches!(
            keys[..],
            [BUDGET_KEY, STEP_KEY, REQUEST_KEY] | [BUDGET_KEY, STEP_KEY, REQUEST_KEY, SHARED_KEY]
        ) {
            return Err(format!("a descriptor of a budget has the keys {keys:?}"));
        }
        let budget = Budget::from_text(&budget.value)
            .map_err(|error| format!("a budget of another version: {error}"))?;
        let name = &budget.name;
        let step = Step::of_name(&step.value)
            .ok_or_else(|| format!("budget {name}: there is no step {:?}", step.value))?;
        if request.value.is_empty() {
            return Err(format!("budget {name}: the request has no name"));
        }
        if budget.counted == Counted::Requests && step == Step::Settle {
            return Err(format!("budget {name}: requests are not settled"));
        }
        let shared = rest.first().map(|entry| {
            let number =
                entry.value.parse().map_err(|_| format!("budget {name}: {:?} is no number", entry.value));
            number.map(|number: u64| number.min(MOST_SHARED))
        });
        Ok(Self { shared: shared.transpose()?, step, request: request.value.clone(), budget })
    }

    /// Whether the request goes on in another way if it does not fit.
    pub(crate) fn falls_back(&self) -> bool {
        self.step == Step::ReserveOrFallBack && !self.budget.fallback.is_empty() && !self.budget.is_audit
    }

    /// How many times as much may be reserved, where that can be. In short units of time it cannot: requests may be counted in
    /// one that is over.
    pub(crate) fn can_share(&self) -> Option<u64> {
        let is_short = matches!(self.budget.per, Unit::Second | Unit::Minute);
        self.shared.filter(|times| self.step != Step::Settle && *times > 1 && !is_short)
    }

    /// What is entered, of that amount, if there is one.
    pub(crate) fn posting(&self, amount: Option<u64>, now: Timestamp) -> Result<Posting, UnknownZone> {
        let is_audit = self.budget.is_audit || self.falls_back();
        let request = || self.request.clone();
        let change = match (self.step, self.budget.counted) {
            (Step::Settle, _) => Change::Settle { request: request(), amount },
            (Step::Reserve | Step::ReserveOrFallBack, Counted::Requests) => {
                Change::Spend { amount: amount.unwrap_or(1), is_audit }
            }
            (Step::Reserve | Step::ReserveOrFallBack, Counted::Tokens | Counted::Money) => {
                Change::Reserve { request: request(), amount: amount.unwrap_or(1), is_audit }
            }
        };
        posting(&self.budget, change, now)
    }

    /// Of a budget whose spenders are listed, the same is entered into the account of their sum, which refuses nothing.
    pub(crate) fn sum(&self, posting: &Posting) -> Option<Posting> {
        (self.budget.is_listed && !self.budget.spender.is_empty()).then(|| {
            let account = posting.account.strip_suffix(&self.budget.spender).unwrap_or(&posting.account);
            Posting {
                account: account.to_owned(),
                change: posting.change.clone().watched(),
                ..posting.clone()
            }
        })
    }

    /// The spender as it is listed after this step, if it is.
    pub(crate) fn spender(&self, posting: &Posting, balance: Balance, moment: Moment) -> Option<Spender> {
        let is_spent = self.step == Step::Settle || self.budget.counted == Counted::Requests;
        let is_listed = self.budget.is_listed && !self.budget.spender.is_empty();
        (is_listed && is_spent && balance.spent > 0).then(|| Spender {
            list: list(&self.budget, posting),
            name: self.budget.spender.clone(),
            spent: balance.spent,
            until: moment.end_of(posting.window),
        })
    }
}

/// The name of the list of a budget's spenders in the unit of time of a posting.
pub(crate) fn list(budget: &Budget, posting: &Posting) -> String {
    let account = posting.account.strip_suffix(&budget.spender).unwrap_or(&posting.account);
    format!("{account}{}", posting.window.start)
}

/// The same reservations, so many times as large, if that leaves enough to others; `None` if one of them is not to be enlarged.
pub(crate) fn enlarged(postings: &[Posting], times: u64) -> Option<Vec<Posting>> {
    let enlarge = |posting: &Posting| {
        let Change::Reserve { request, amount, .. } = &posting.change else { return None };
        let amount = amount.saturating_mul(times);
        let limit = posting.limit.saturating_sub(amount.saturating_mul(COMFORT));
        let change = Change::Reserve { request: request.clone(), amount, is_audit: false };
        Some(Posting { change, limit, ..posting.clone() })
    };
    postings.iter().map(enlarge).collect()
}

/// Enters a change into the account of a budget.
pub(crate) fn posting(budget: &Budget, change: Change, now: Timestamp) -> Result<Posting, UnknownZone> {
    let zone = zone(&budget.time_zone)
        .ok_or_else(|| UnknownZone { budget: budget.name.clone(), zone: budget.time_zone.clone() })?;
    let window = Window::of(budget.per, now, &zone);
    let counted = budget.counted.name();
    let zone = zone.iana_name().unwrap_or(&budget.time_zone);
    // Names of objects and time zones have no `|`. A client may choose the spender, who comes last.
    let account = format!("{}|{counted}|{:?}|{zone}|{}", budget.name, budget.per, budget.spender);
    Ok(Posting { account, window, limit: budget.limit, change })
}
