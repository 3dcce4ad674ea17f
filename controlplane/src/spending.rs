//! Looks up what is spent of Budgets, for their statuses.
//!
//! ```text
//! reports ──► Telling ── accounts ──► Spending ── spends ──► overlays of the reports ──► statuses
//!                                        └──► the service that counts
//! ```
//!
//! Everything is looked at again from time to time; so a status is written at most so often, and only if something is another.
//! In a cluster the leader alone looks: where counts are in memory, they are those of its own proxies.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::ObjectRef;
use crds::core::Time;
use k8s_openapi::jiff::Timestamp;
use limits::store::StoreError;
use limits::{LimitService, Spending as Spent};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use translator::status::{BudgetAccounts, BudgetSpenders, MOST_SPENDERS, Spend, SpenderSpend};

use crate::lease::Leadership;

/// From one look at all Budgets to the next, at least.
const PERIOD: Duration = Duration::from_secs(10);

/// So much more for each Budget, where there are many: each may have its status written.
const PER_BUDGET: Duration = Duration::from_millis(100);

/// The same for each account: each is looked up.
const PER_ACCOUNT: Duration = Duration::from_millis(1);

/// Between two looks, if Budgets or keys come and go.
const PAUSE: Duration = Duration::from_secs(3);

/// How many accounts one question to the store is about.
const AT_ONCE: usize = 100;

/// The accounts of each Budget.
pub(crate) type Accounts = BTreeMap<ObjectRef, Arc<BudgetAccounts>>;

/// What is spent of each Budget.
pub(crate) type Spends = BTreeMap<ObjectRef, Arc<Spend>>;

/// Looks up what is spent.
pub(crate) struct Spending {
    limits: LimitService,
    accounts: watch::Receiver<Arc<Accounts>>,
    /// Whether we lead; `None` where there is nobody else.
    leadership: Option<watch::Receiver<Leadership>>,
    told: watch::Sender<Arc<Spends>>,
    clock: fn() -> Timestamp,
    /// The accounts as they were when they were looked at last.
    looked_at: Accounts,
    /// When all are looked at again.
    due: Instant,
    /// No look before.
    not_before: Instant,
    is_store_away: bool,
}

impl Spending {
    /// Follows `accounts` and tells by `told`.
    pub(crate) fn new(
        limits: LimitService,
        accounts: watch::Receiver<Arc<Accounts>>,
        leadership: Option<watch::Receiver<Leadership>>,
        told: watch::Sender<Arc<Spends>>,
    ) -> Self {
        let now = Instant::now();
        Self {
            limits,
            accounts,
            leadership,
            told,
            clock: Timestamp::now,
            looked_at: Accounts::new(),
            due: now,
            not_before: now,
            is_store_away: false,
        }
    }

    /// Looks until there are no more accounts to come.
    pub(crate) async fn run(mut self) {
        loop {
            let accounts = self.accounts.borrow_and_update().clone();
            let wake = self.look_if_due(&accounts).await;
            let Self { accounts, leadership, .. } = &mut self;
            tokio::select! {
                changed = accounts.changed() => if changed.is_err() { return },
                () = led(leadership.as_mut()) => {}
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    /// Looks at what it is time for, and says when to come again; `None` while we do not lead.
    async fn look_if_due(&mut self, accounts: &Arc<Accounts>) -> Option<Instant> {
        let mut leadership = self.leadership.as_mut();
        let is_leader =
            leadership.as_mut().is_none_or(|leadership| leadership.borrow_and_update().is_leader());
        if !is_leader {
            self.looked_at.clear();
            return None;
        }
        let now = Instant::now();
        let is_due = self.due <= now;
        let is_wanted = |(object, accounts): &(&ObjectRef, &Arc<BudgetAccounts>)| {
            is_due || self.looked_at.get(*object) != Some(*accounts)
        };
        let wanted: Vec<_> = accounts.iter().filter(is_wanted).collect();
        if !wanted.is_empty() && now < self.not_before {
            return Some(self.not_before);
        }
        if is_due {
            self.due = now + period(accounts);
        }
        if !wanted.is_empty() {
            self.look(&wanted, accounts).await;
            self.looked_at = Accounts::clone(accounts);
            self.not_before = Instant::now() + PAUSE;
        }
        Some(self.due)
    }

    /// Looks at some, and tells.
    async fn look(&mut self, wanted: &[(&ObjectRef, &Arc<BudgetAccounts>)], accounts: &Accounts) {
        let now = (self.clock)();
        let mut found = Spends::new();
        let mut outcome = Ok(());
        for (object, accounts) in wanted {
            match spend(&self.limits, accounts, now).await {
                Ok(spend) => drop(found.insert((*object).clone(), Arc::new(spend))),
                // What was told stays, until the store is there again.
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        // Told when it begins, not each time.
        let was_away = std::mem::replace(&mut self.is_store_away, outcome.is_err());
        if let Err(error) = outcome
            && !was_away
        {
            tracing::warn!(%error, "what is spent of Budgets cannot be looked up; their statuses stay as they are");
        }
        self.told.send_if_modified(|told| {
            let is_current =
                |(object, spend): &(&ObjectRef, &Arc<Spend>)| accounts.get(*object) == Some(&spend.accounts);
            let kept = told.iter().filter(is_current).map(|(object, spend)| (object.clone(), spend.clone()));
            let next: Spends = kept.chain(found).collect();
            let is_other = **told != next;
            *told = Arc::new(next);
            is_other
        });
    }
}

/// Waits until who leads is another, or leads for longer.
async fn led(leadership: Option<&mut watch::Receiver<Leadership>>) {
    if let Some(leadership) = leadership
        && leadership.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

/// How long it takes from one look at all to the next.
fn period(accounts: &Accounts) -> Duration {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let looked_up = |of: &Arc<BudgetAccounts>| match &of.spenders {
        BudgetSpenders::Together => 1,
        BudgetSpenders::Keys(keys) => keys.len(),
        BudgetSpenders::Claim(_) => 1 + MOST_SPENDERS,
    };
    let all = accounts.values().map(looked_up).sum();
    PERIOD.max(PER_BUDGET.saturating_mul(count(accounts.len()))).max(PER_ACCOUNT.saturating_mul(count(all)))
}

/// What is spent of a Budget at that time.
async fn spend(
    limits: &LimitService,
    accounts: &Arc<BudgetAccounts>,
    now: Timestamp,
) -> Result<Spend, StoreError> {
    let mut spend = Spend {
        accounts: accounts.clone(),
        start: Time(now),
        end: Time(now),
        spent: 0,
        reserved: 0,
        exhausted: 0,
        count: 0,
        most: Vec::new(),
    };
    let budgets: Vec<_> = accounts.budgets().collect();
    for budgets in budgets.chunks(AT_ONCE) {
        let spendings = limits.spendings_at(budgets, now).await?;
        for (budget, spending) in budgets.iter().zip(spendings) {
            (spend.start, spend.end) = (Time(spending.since), Time(spending.resets_at));
            spend.spent = spend.spent.saturating_add(spending.spent);
            spend.reserved = spend.reserved.saturating_add(spending.reserved);
            if budget.spender.is_empty() {
                continue;
            }
            spend.count += 1;
            spend.exhausted += usize::from(spending.spent >= budget.limit);
            spend.most.push(spender(&budget.spender, spending));
        }
        keep_most(&mut spend.most);
    }
    if let BudgetSpenders::Claim(_) = accounts.spenders {
        let listed = limits.spenders_at(&accounts.budget, MOST_SPENDERS, now).await?;
        let budgets: Vec<_> = listed.most.iter().map(|spender| accounts.of(spender)).collect();
        let spendings = limits.spendings_at(&budgets, now).await?;
        (spend.count, spend.exhausted) = (listed.count, listed.exhausted);
        spend.most = budgets.iter().zip(spendings).map(|(budget, of)| spender(&budget.spender, of)).collect();
        keep_most(&mut spend.most);
    }
    Ok(spend)
}

fn spender(name: &str, Spent { spent, reserved, .. }: Spent) -> SpenderSpend {
    SpenderSpend { spender: name.to_owned(), spent, reserved }
}

/// Leaves those who have spent most.
fn keep_most(all: &mut Vec<SpenderSpend>) {
    all.sort_by(|one, other| other.spent.cmp(&one.spent).then(one.spender.cmp(&other.spender)));
    all.truncate(MOST_SPENDERS);
}
