//! Virtual keys: credentials of clients that the gateway has given out itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ClaimBudget;

/// The name of the filter that stands in listeners and asks for keys: it takes a [`KeysConfig`].
pub const KEYS_FILTER: &str = "keys";

/// The key of route metadata, under [`METADATA_NAMESPACE`](crate::METADATA_NAMESPACE), whose value is the name of the
/// [`KeySet`] of which requests must show a key.
pub const KEYS_KEY: &str = "keys";

/// The namespace of dynamic metadata in which the filter leaves whose key a request has shown, and what its budgets are to
/// reserve: `key` is the name of the key, where it must show one, `tokens` is how many tokens the request may come to, `money` what it may
/// cost in millionths of a US dollar, and the budgets stand under [`slot_key`]. `request` is the name under which something is to be
/// reserved, and [`SETTLED_KEY`] that of what is settled in the end; where they are missing, the service is asked nothing.
pub const SPENDING_NAMESPACE: &str = "chancery.spending";

/// The key there of the name of the request among those that run, as text.
pub const RUNNING_KEY: &str = "running";

/// The key there, and in what the service answers, of how many times as much is to be reserved, as text: other requests share it.
pub const SHARED_KEY: &str = "shared";

/// The key there of the name under which a request settles what it had reserved for itself, once it has ended.
pub const SETTLED_KEY: &str = "settled";

/// The key there of what it has spent, of what a budget counts.
pub fn spent_key(counted: &str) -> String {
    format!("spent.{counted}")
}

/// The namespace of dynamic metadata in which Envoy leaves what the service that counts has answered.
pub const LIMIT_ANSWER_NAMESPACE: &str = "envoy.filters.http.ratelimit";

/// The key there of a list of [`CheaperModel`]s as JSON text. A request that has it is over a budget that lets it go on with one of
/// them alone.
pub const FALLBACK_KEY: &str = "fallback";

/// A model that takes the place of others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheaperModel {
    /// In whose place: the name that the provider would get. One that ends in `*` stands for all that begin so.
    pub from: String,
    /// The model.
    pub to: String,
}

/// Where in [`SPENDING_NAMESPACE`] the budget of that number stands, of those that count the same thing.
pub fn slot_key(counted: &str, number: usize) -> String {
    format!("{counted}.{number}")
}

/// What a key is hashed as, by SHA-256: it stands behind the salt of its set.
pub fn digest_input(salt: &str, key: &[u8]) -> Vec<u8> {
    [salt.as_bytes(), b"\0", key].concat()
}

/// All keys that the routes of a Gateway ask for, and the budgets over claims of their tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeysConfig {
    /// [`VERSION`](crate::VERSION).
    pub version: u32,
    /// The largest request body in bytes that is read for its model and its size; a larger one is answered with 413.
    pub max_request_bytes: u32,
    /// Envoy's cluster of the service that counts, which is told what requests have spent of a reservation that they shared. If it is
    /// empty, none share.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limits_cluster: String,
    /// The sets by their names.
    pub sets: BTreeMap<String, KeySet>,
    /// Budgets over claims, by the names that routes have for them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<ClaimBudget>>,
}

/// Keys of which a request must show one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeySet {
    /// What stands before a key when it is hashed.
    pub salt: String,
    /// The keys, by the SHA-256 of [`digest_input`] in hexadecimal digits. Several may be of one object: old ones are
    /// taken for a time after a change.
    pub keys: BTreeMap<String, VirtualKey>,
}

/// What is known of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VirtualKey {
    /// The object, `namespace/name`.
    pub name: String,
    /// The models that it may ask for; one that ends in `*` stands for all that begin so. None: all models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// From when on it is not taken any more, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
    /// Set where its budgets cannot be applied, so that it opens nothing: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Whether it asks for no model without a known price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_unpriced: bool,
    /// The budgets that its requests are counted in, as text for the service that counts, by what they count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub budgets: BTreeMap<String, Vec<String>>,
}
