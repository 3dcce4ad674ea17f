//! Budgets as they travel through Envoy to the service that counts.
//!
//! A descriptor of a budget has three entries: [`BUDGET_KEY`] with a [`Budget`] as JSON text, [`STEP_KEY`] with a [`Step`],
//! and [`REQUEST_KEY`] with a name that no other request has. Its hits are the amount. A fourth one, [`SHARED_KEY`], is there
//! where requests share a reservation.

use serde::{Deserialize, Serialize};

use crate::{Unit, is_default};

/// The key of a descriptor's first entry, whose value is a [`Budget`] as JSON text.
pub const BUDGET_KEY: &str = "chancery.budget";

/// The key of its second entry, whose value is the name of a [`Step`].
pub const STEP_KEY: &str = "chancery.step";

/// The key of its third entry, whose value names the request.
pub const REQUEST_KEY: &str = "chancery.request";

/// The key of an entry, the fourth one, whose value is a number. With [`Step::Reserve`]: so many times the amount may be reserved,
/// for requests that the proxy will not ask about; the answer says in its dynamic metadata, under [`SHARED_ANSWER_KEY`], how many times it
/// is. With [`Step::Settle`]: so many requests that were not asked about had a part in what was reserved.
pub const SHARED_KEY: &str = "chancery.shared";

/// Where the dynamic metadata of an answer say, as text, how many times the amount was reserved; not there if it is once.
pub const SHARED_ANSWER_KEY: &str = "shared";

/// Where the text of [`Budget::fallback`] stands in the dynamic metadata of an answer.
pub const FALLBACK_KEY: &str = "fallback";

/// How much may be spent in a unit of time, and whose spending is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// The object that it comes from, `namespace/name`.
    pub name: String,
    /// What is counted. A budget that is changed from one to another begins anew.
    pub counted: Counted,
    /// How much may be spent: requests, tokens or millionths of a US dollar.
    pub limit: u64,
    /// The unit of time, of the calendar.
    pub per: Unit,
    /// The time zone whose calendar counts, by its name in the IANA database; UTC if empty.
    #[serde(default, skip_serializing_if = "is_default")]
    pub time_zone: String,
    /// Who spends, where each spender has an account of its own; empty where all of them share one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub spender: String,
    /// Whether nobody knows beforehand which spenders there are: those that have spent something are listed then, and what all of
    /// them spend is summed up.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_listed: bool,
    /// Whether spending goes on beyond the limit, and is only told.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_audit: bool,
    /// What the proxy is answered about a request that does not fit, where the request may go on in another way: text that the service
    /// does not read. Empty: it is refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fallback: String,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Counted {
    /// Requests.
    Requests,
    /// Tokens that models have read and written.
    Tokens,
    /// What requests cost, in millionths of a US dollar.
    Money,
}

/// What is to be done with the amount of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The request begins: the amount is what it may come to. It is reserved if it fits beside what is spent and what other
    /// requests have reserved, and refused otherwise. A request of a budget of requests is counted now, and has no other
    /// step.
    Reserve,
    /// The same, where a request that does not fit can go on as [`Budget::fallback`] says.
    ReserveOrFallBack,
    /// The request has ended: the amount is what it has come to. It takes the place of what was reserved.
    Settle,
}

impl Counted {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Money => "money",
        }
    }
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reserve, Self::ReserveOrFallBack, Self::Settle];

    /// Its name in descriptors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::ReserveOrFallBack => "reserve_or_fall_back",
            Self::Settle => "settle",
        }
    }

    /// The step of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

impl Budget {
    /// As JSON text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is not one of this version.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_as_it_was_written() {
        let budget = Budget {
            name: "n/b".to_owned(),
            counted: Counted::Tokens,
            limit: u64::MAX,
            per: Unit::Month,
            time_zone: "Europe/Berlin".to_owned(),
            spender: "n/k".to_owned(),
            is_listed: true,
            is_audit: true,
            fallback: "[]".to_owned(),
        };
        assert_eq!(Budget::from_text(&budget.to_text()).unwrap(), budget);
        assert!(
            Budget::from_text(r#"{"name":"n/b","counted":"tokens","limit":1,"per":"day","more":1}"#).is_err()
        );
        for step in Step::ALL {
            assert_eq!(Step::of_name(step.name()), Some(step));
        }
    }
}
