//! Status as data: the translation reports facts, [`render_status`] makes a status of them.

mod budget;
mod condition;
mod detail;
mod rejection;
mod render;
mod report;
#[cfg(test)]
mod tests;

pub use budget::{BudgetAccounts, BudgetFacts, BudgetSpenders, MOST_SPENDERS, Spend, SpenderSpend};
pub use condition::{Condition, ConditionType, Reason};
pub(crate) use detail::joined;
pub use detail::{Cause, Detail};
pub(crate) use rejection::Rejection;
pub use render::render_status;
pub use report::{
    ClassFacts, Facts, GatewayFacts, ListenerFacts, ListenerSetFacts, ParentFacts, Problem, Report,
    StatusAddress, XBackendForm,
};
