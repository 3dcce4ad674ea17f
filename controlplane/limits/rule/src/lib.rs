//! Rate limits as they travel from the translator through Envoy to the service that counts (`limits`).
//!
//! Envoy asks the service with descriptors: lists of keys and values, which the route's actions make. The first entry of
//! each of ours says what limits there are, so that the service needs no configuration: an edit is in effect for the first
//! request that the new route takes, and a service that starts knows as much as the one before. May depend on nothing but
//! serde.

mod budget;

use serde::{Deserialize, Serialize};

pub use budget::{
    BUDGET_KEY, Budget, Counted, FALLBACK_KEY, REQUEST_KEY, SHARED_ANSWER_KEY, SHARED_KEY, STEP_KEY, Step,
};

/// The domain of all requests (`envoy.extensions.filters.http.ratelimit.v3.RateLimit.domain`).
pub const DOMAIN: &str = "chancery";

/// The key of a descriptor's first entry, whose value is a [`Rules`] as JSON text.
pub const RULES_KEY: &str = "chancery.limits";

/// What is to be done with the limits that a descriptor comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// The hits are counted if they fit, and refused otherwise; those that are refused do not count.
    #[default]
    Count,
    /// Refused as soon as nothing is left. Nothing is counted: what it comes to is charged later.
    Check,
    /// The hits are counted, and never refused: they have been spent.
    Charge,
}

/// The limits of one object, for the descriptors of one list of actions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// The object that they come from, `namespace/name`: objects do not share counts.
    pub name: String,
    /// What is done.
    #[serde(default)]
    pub mode: Mode,
    /// A tree, which is walked by the entries of a descriptor in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tree: Vec<Node>,
    /// Rules for which a descriptor must have some entries, in any order. The first that fits counts, and those that always
    /// apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<Set>,
}

/// A node of a tree of limits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// The key of the entry.
    pub key: String,
    /// Its value; absent: any that no other node has, each with a count of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The limit of descriptors that end here; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Where several descriptors of a request have a limit of the same object, those of the highest weight count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub weight: u32,
    /// Whether it counts whatever the weight of others.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always_apply: bool,
    /// What follows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
}

/// A rule for descriptors that have some entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Set {
    /// The entries that a descriptor must have; none: all have them. Of one without a value, each value has a count of its
    /// own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<SetEntry>,
    /// The limit.
    pub limit: Limit,
    /// Whether it counts although an earlier one fits.
    #[serde(default, skip_serializing_if = "is_default")]
    pub always_apply: bool,
}

/// An entry that a descriptor must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetEntry {
    /// The key.
    pub key: String,
    /// The value; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// So many hits in each unit of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub hits: u32,
    /// The unit of time.
    pub unit: Unit,
}

impl Default for Limit {
    fn default() -> Self {
        Self { hits: 0, unit: Unit::Second }
    }
}

/// A unit of time of the calendar: in UTC where nothing else is said. Weeks begin on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 7] =
        [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];
}

impl Rules {
    /// The value of the descriptor's first entry.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is of another version of Chancery, or not ours.
    pub fn from_text(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_were_written() {
        let limit = Limit { hits: 70, unit: Unit::Hour };
        let node = Node { key: "user".to_owned(), limit: Some(limit), ..Node::default() };
        let set = Set { limit, always_apply: true, ..Set::default() };
        let rules = Rules { name: "a/b".to_owned(), mode: Mode::Charge, tree: vec![node], sets: vec![set] };
        let text = rules.to_text();
        assert_eq!(Rules::from_text(&text).unwrap(), rules);
        assert!(Rules::from_text(&text.replace("mode", "other")).is_err());
        let short = Rules { name: "a/b".to_owned(), ..Rules::default() };
        assert_eq!(short.to_text(), r#"{"name":"a/b","mode":"count"}"#);
    }
}
