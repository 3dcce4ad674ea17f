//! What the status of a Budget tells beside its conditions: what is spent.

use std::sync::Arc;

use ai::prices::Usd;
use crds::core::Time;
use limit_rule::{Budget, Counted};
use serde_json::{Map, Value, json};

use super::{Condition, ConditionType, Reason};

/// So many spenders stand in a status: those who have spent most.
pub const MOST_SPENDERS: usize = 20;

/// How the spender is named that tokens without the claim share.
const NO_VALUE: &str = "<none>";

/// The facts about a Budget.
#[derive(Clone, Debug, PartialEq)]
pub struct BudgetFacts {
    /// About the Budget.
    pub conditions: Vec<Condition>,
    /// Its accounts; `None` where it cannot be applied, so that there are none.
    pub accounts: Option<Arc<BudgetAccounts>>,
    /// What is spent; `None` while nobody has looked. What a status has said of it stays until then.
    pub spend: Option<Arc<Spend>>,
}

/// Where it is written down what is spent of a Budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetAccounts {
    /// The budget, with no spender.
    pub budget: Budget,
    /// Who has an account.
    pub spenders: BudgetSpenders,
}

/// Who has an account in a Budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetSpenders {
    /// All share one.
    Together,
    /// Each of these keys, sorted, has one of its own.
    Keys(Vec<String>),
    /// Each value of the claim of this name has one of its own; the service that counts knows which there are.
    Claim(String),
}

/// What is spent of a Budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Spend {
    /// The accounts that were looked at.
    pub accounts: Arc<BudgetAccounts>,
    /// When the unit of time began.
    pub start: Time,
    /// When the next one begins.
    pub end: Time,
    /// What is spent in this unit of time, by all spenders together.
    pub spent: u64,
    /// What requests that have not ended have reserved.
    pub reserved: u64,
    /// How many spenders with accounts of their own have spent all that they may.
    pub exhausted: usize,
    /// How many spenders with accounts of their own there are.
    pub count: usize,
    /// Those of them who have spent most, at most [`MOST_SPENDERS`], the first first.
    pub most: Vec<SpenderSpend>,
}

/// What one of several spenders has spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpenderSpend {
    /// The spender, as the account names it.
    pub spender: String,
    /// What is spent in this unit of time.
    pub spent: u64,
    /// What requests that have not ended have reserved.
    pub reserved: u64,
}

impl BudgetAccounts {
    /// The budget of each account.
    pub fn budgets(&self) -> impl Iterator<Item = Budget> {
        let keys = match &self.spenders {
            BudgetSpenders::Keys(keys) => keys.as_slice(),
            // Of claims, the sum over all values has an account, too.
            BudgetSpenders::Together | BudgetSpenders::Claim(_) => &[],
        };
        let own = keys.iter().map(|key| self.of(key));
        // Without any spender, the unit of time is told all the same.
        keys.is_empty().then(|| self.budget.clone()).into_iter().chain(own)
    }

    /// The budget of one spender's account.
    pub fn of(&self, spender: &str) -> Budget {
        Budget { spender: spender.to_owned(), ..self.budget.clone() }
    }

    /// How a status names a spender.
    fn shown<'a>(&self, spender: &'a str) -> &'a str {
        match &self.spenders {
            BudgetSpenders::Claim(name) => {
                let value = spender.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('='));
                value.unwrap_or(NO_VALUE)
            }
            BudgetSpenders::Together | BudgetSpenders::Keys(_) => {
                spender.rsplit('/').next().unwrap_or_default()
            }
        }
    }
}

impl Spend {
    /// Whether all that may be spent is spent. What is only reserved may come back.
    pub fn is_exhausted(&self) -> bool {
        match self.accounts.spenders {
            BudgetSpenders::Together => self.spent >= self.accounts.budget.limit,
            BudgetSpenders::Keys(_) | BudgetSpenders::Claim(_) => self.exhausted > 0,
        }
    }

    /// The condition that says so.
    pub fn condition(&self) -> Condition {
        let kind = ConditionType::Exhausted;
        let message = match &self.accounts.spenders {
            BudgetSpenders::Together if self.is_exhausted() => {
                "all that may be spent in this unit of time is spent".to_owned()
            }
            BudgetSpenders::Together => "not all that may be spent in this unit of time is spent".to_owned(),
            BudgetSpenders::Keys(_) | BudgetSpenders::Claim(_) => format!(
                "{} of {} spenders have spent all that each may spend in this unit of time",
                self.exhausted, self.count
            ),
        };
        match self.is_exhausted() {
            true => Condition::bad(kind, Reason::LimitReached, message),
            false => Condition::good(kind, Reason::WithinLimit, message),
        }
    }

    fn render(&self) -> Value {
        let Budget { limit, time_zone, .. } = &self.accounts.budget;
        let zone = if time_zone.is_empty() { "UTC" } else { time_zone };
        let mut spend = json!({
            "limit": number(*limit),
            "spent": number(self.spent),
            "reserved": number(self.reserved),
            "period": {"start": self.start, "end": self.end, "timeZone": zone},
        });
        let (name, value) = match &self.accounts.spenders {
            BudgetSpenders::Together => ("remaining", remaining(*limit, self.spent, self.reserved)),
            BudgetSpenders::Keys(_) | BudgetSpenders::Claim(_) => {
                let most = self.most.iter().map(|of| {
                    json!({
                        "name": self.accounts.shown(&of.spender),
                        "spent": number(of.spent),
                        "reserved": number(of.reserved),
                        "remaining": remaining(*limit, of.spent, of.reserved),
                    })
                });
                let most: Vec<Value> = most.collect();
                ("spenders", json!({"count": self.count, "exhausted": self.exhausted, "most": most}))
            }
        };
        if let Some(spend) = spend.as_object_mut() {
            spend.insert(name.to_owned(), value);
            if self.accounts.budget.counted == Counted::Money {
                spend.insert("usd".to_owned(), self.render_money());
            }
        }
        spend
    }

    /// The amounts in US dollars.
    fn render_money(&self) -> Value {
        let dollars = |micros: u64| Usd::from_micros(micros).to_string();
        let limit = self.accounts.budget.limit;
        let mut money = json!({
            "limit": dollars(limit),
            "spent": dollars(self.spent),
            "reserved": dollars(self.reserved),
        });
        if let (BudgetSpenders::Together, Some(money)) = (&self.accounts.spenders, money.as_object_mut()) {
            let remaining = limit.saturating_sub(self.spent).saturating_sub(self.reserved);
            money.insert("remaining".to_owned(), dollars(remaining).into());
        }
        money
    }
}

impl BudgetFacts {
    /// What of a previous status stays as it is, since nobody has looked at the accounts yet.
    pub(super) fn keeps(&self, condition: &str) -> bool {
        self.accounts.is_some() && self.spend.is_none() && condition == ConditionType::Exhausted.as_str()
    }

    /// Puts what is spent into a status.
    pub(super) fn render(&self, status: &mut Map<String, Value>) {
        const SPEND: &str = "spend";
        match (&self.accounts, &self.spend) {
            (Some(_), Some(spend)) => drop(status.insert(SPEND.to_owned(), spend.render())),
            (Some(_), None) => {}
            (None, _) => drop(status.remove(SPEND)),
        }
    }
}

/// What is left beside what is spent and reserved.
fn remaining(limit: u64, spent: u64, reserved: u64) -> Value {
    number(limit.saturating_sub(spent).saturating_sub(reserved))
}

/// As the CRD has it: at most 2^63 - 1.
fn number(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
