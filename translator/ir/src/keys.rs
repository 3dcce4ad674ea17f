//! Virtual keys: credentials of clients that the gateway has given out. And budgets over the claims of tokens.

use std::collections::BTreeMap;

use limit_rule::{Budget, Counted};
use serde::{Deserialize, Serialize};

use crate::{ClaimSetName, KeySetName};

/// That requests must show a virtual key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyDemand {
    /// The set that it must be of.
    pub set: KeySetName,
    /// How many budgets a key of the set has at most, by what they count.
    pub budgets: BTreeMap<Counted, usize>,
    /// Whether a request that a budget has nothing left for can go on with a cheaper model.
    pub falls_back: bool,
}

/// That requests are counted in budgets over claims of their tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimDemand {
    /// The budgets.
    pub set: ClaimSetName,
    /// The key of the metadata of tokens under which the claims stand.
    pub payload_key: String,
    /// How many of the budgets a request is counted in at most, by what they count.
    pub budgets: BTreeMap<Counted, usize>,
    /// Whether a request that a budget has nothing left for can go on with a cheaper model.
    pub falls_back: bool,
}

/// Budgets over claims. Routes refer to them by their name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClaimSet {
    /// Of the namespace.
    pub name: ClaimSetName,
    /// The budgets, sorted by name.
    pub budgets: Vec<ClaimBudget>,
}

/// A budget over claims.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClaimBudget {
    /// The object, `namespace/name`.
    pub name: String,
    /// The claims that a token must have, each with what it must be.
    pub claims: Vec<(String, String)>,
    /// The claim of which each value has the limit for itself; absent: all have it together.
    pub each: Option<String>,
    /// What is counted, without a spender; `None` if it cannot be applied, so that no request of such a token passes.
    pub rule: Option<Budget>,
    /// Whether no model may be asked for without a known price.
    pub refuses_unpriced: bool,
}

/// Keys of which requests must show one. Routes refer to them by their name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KeySet {
    /// Of the policy that asks for them.
    pub name: KeySetName,
    /// What stands before a key when it is hashed.
    pub salt: String,
    /// What is known of each key, by the hash of the key in hexadecimal digits.
    pub keys: BTreeMap<String, ClientKey>,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ClientKey {
    /// The object, `namespace/name`.
    pub name: String,
    /// The models that it may ask for, with `*` at the end for all that begin so; all models if absent.
    pub models: Option<Vec<String>>,
    /// From when on it is not taken any more, in seconds since 1970.
    pub expires: Option<i64>,
    /// The budgets that its requests are counted in, by what they count.
    pub budgets: BTreeMap<Counted, Vec<Budget>>,
    /// Whether a budget of it cannot be applied, so that it opens nothing.
    pub is_blocked: bool,
    /// Whether it may ask for no model without a known price.
    pub refuses_unpriced: bool,
}
