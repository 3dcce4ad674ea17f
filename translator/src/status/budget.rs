//! What the status of a Budget tells beside its conditions: what is spent.

use std::sync::Arc;

use ai::prices::Usd;
use crds::core::Time;
use limit_rule::{Budget, Counted};
use serde_json::{Map, Value, json};

use super::{Condition, ConditionType, Reason};

/// So many spenders stand in a status: those who have spent most.
pub const MOST_SPENDERS: usize = 20;

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
    /// Those who have accounts of their own, sorted; `None` where all share one.
    pub spenders: Option<Vec<String>>,
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
        let of = |spender: &String| Budget { spender: spender.clone(), ..self.budget.clone() };
        let own = self.spenders.iter().flatten().map(of);
        // Without any spender, the unit of time is told all the same.
        let is_one = self.spenders.as_ref().is_none_or(Vec::is_empty);
        is_one.then(|| self.budget.clone()).into_iter().chain(own)
    }
}

impl Spend {
    /// Whether all that may be spent is spent. What is only reserved may come back.
    pub fn is_exhausted(&self) -> bool {
        match self.accounts.spenders {
            None => self.spent >= self.accounts.budget.limit,
            Some(_) => self.exhausted > 0,
        }
    }

    /// The condition that says so.
    pub fn condition(&self) -> Condition {
        let kind = ConditionType::Exhausted;
        let message = match &self.accounts.spenders {
            None if self.is_exhausted() => "all that may be spent in this unit of time is spent".to_owned(),
            None => "not all that may be spent in this unit of time is spent".to_owned(),
            Some(all) => format!(
                "{} of {} spenders have spent all that each may spend in this unit of time",
                self.exhausted,
                all.len()
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
            None => ("remaining", remaining(*limit, self.spent, self.reserved)),
            Some(all) => {
                let most = self.most.iter().map(|of| {
                    json!({
                        "name": of.spender.rsplit('/').next().unwrap_or_default(),
                        "spent": number(of.spent),
                        "reserved": number(of.reserved),
                        "remaining": remaining(*limit, of.spent, of.reserved),
                    })
                });
                let most: Vec<Value> = most.collect();
                ("spenders", json!({"count": all.len(), "exhausted": self.exhausted, "most": most}))
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
        if let (None, Some(money)) = (&self.accounts.spenders, money.as_object_mut()) {
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
