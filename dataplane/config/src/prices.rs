//! What models cost, where users say it. The prices of public models are known to the engine itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The key of route metadata, under [`METADATA_NAMESPACE`](crate::METADATA_NAMESPACE), whose value is a list of [`Offer`]s as JSON
/// text: what requests of the route may be billed for. It is there where budgets count money.
pub const OFFERS_KEY: &str = "offers";

/// A provider that a route leads to, with the models that it may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offer {
    /// The backend, `namespace/name`.
    pub backend: String,
    /// The provider, by its name in metrics.
    pub provider: String,
    /// The model that it is asked for, whatever a request names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Otherwise its name of a model, by the name that clients know the model by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub aliases: BTreeMap<String, String>,
    /// Other models that a policy may have it asked for, where the backend names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
}

/// Prices that a user has given, for backends of one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceList {
    /// The object, `namespace/name`.
    pub name: String,
    /// The provider that they are for, by its name in metrics; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The backends that they are for, `namespace/name`; all of the namespace if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<String>,
    /// The prices.
    pub models: Vec<ModelPrice>,
}

/// What a model costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ModelPrice {
    /// Its name; one that ends in `*` stands for all that begin so.
    pub model: String,
    /// From when on it costs what, the latest first.
    pub prices: Vec<DatedPrice>,
}

/// What a model costs from some time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatedPrice {
    /// In seconds since 1970; always if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The usual rate first.
    pub rates: Vec<Rate>,
}

/// What tokens cost, each in 10^-12 US dollars: that is, in millionths of a dollar for a million tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rate {
    /// The tier of service; the usual one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// It is for prompts of more tokens than so many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub above: u64,
    /// A token of the prompt.
    pub input: u64,
    /// A token of the answer. If absent, it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// A token of the prompt that comes from the provider's cache; that of the prompt if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// A token of the prompt that is written to the provider's cache; that of the prompt if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<u64>,
    /// The same, if it stays there for an hour; that of `cache_write` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_hour: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A tier of service other than the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// Answers that come within a day.
    Batch,
    /// Answers that come faster (Anthropic).
    Fast,
    /// Answers that may take longer.
    Flex,
    /// Answers that come sooner.
    Priority,
    /// Throughput that was bought beforehand (Vertex AI).
    Provisioned,
    /// Capacity that was reserved (Bedrock).
    Reserved,
    /// Capacity that was bought beforehand (OpenAI).
    Scale,
    /// Answers that come still faster (OpenAI).
    Ultrafast,
}
