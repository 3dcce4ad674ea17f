//! What is told of the limits.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a request for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "as the label's values are written")]
pub(crate) enum Verdict {
    /// Within the limit.
    ok,
    /// Over the limit.
    over,
    /// The store could not be reached.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    /// The object that the limit comes from, `namespace/name`.
    pub limit: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct BudgetLabels {
    /// The budget, `namespace/name`.
    pub budget: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfBudget {
    /// The budget, `namespace/name`.
    pub budget: String,
}

/// Counters of the service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    asked: Family<Labels, Counter>,
    budgets: Family<BudgetLabels, Counter>,
    expired: Family<OfBudget, Counter>,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Times that a limit was looked at, by what came of it";
        registry.register("chancery_limit_checks", help, self.asked.clone());
        let help = "Times that a request asked for its share of a budget, by what came of it";
        registry.register("chancery_budget_checks", help, self.budgets.clone());
        let help = "Reservations that no request settled in time, and that were charged as they were";
        registry.register("chancery_budget_expired_reservations", help, self.expired.clone());
    }

    pub(crate) fn count(&self, limit: &str, verdict: Verdict) {
        self.asked.get_or_create(&Labels { limit: limit.to_owned(), verdict }).inc();
    }

    pub(crate) fn count_budgets(&self, budget: &str, verdict: Verdict, requests: u64) {
        if requests > 0 {
            let labels = BudgetLabels { budget: budget.to_owned(), verdict };
            self.budgets.get_or_create(&labels).inc_by(requests);
        }
    }

    pub(crate) fn count_expired(&self, budget: &str, expired: u64) {
        if expired > 0 {
            self.expired.get_or_create(&OfBudget { budget: budget.to_owned() }).inc_by(expired);
        }
    }
}
