//! `chancery.dev/v1alpha1` PriceList: what models cost whose prices are not those that the gateway knows itself.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::{Condition, Time};

/// API group of PriceList.
pub const GROUP: &str = "chancery.dev";

/// Kind of PriceList.
pub const KIND: &str = "PriceList";

/// What models cost.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "PriceList",
    plural = "pricelists",
    namespaced,
    status = "PriceListStatus",
    derive = "PartialEq",
    category = "chancery",
    doc = "What models cost, of AI backends in the same namespace. It goes before the prices that the gateway knows itself.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the prices are applied"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct PriceListSpec {
    /// The provider that the prices are for; all providers if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<PricedProvider>,
    /// The names of the Backends and Upstreams that the prices are for; all of the namespace if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 253)))]
    pub backends: Option<Vec<String>>,
    /// The prices.
    #[schemars(length(min = 1, max = 256))]
    pub models: Vec<PricedModel>,
}

/// A provider, by its name in a Backend.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum PricedProvider {
    OpenAi,
    AzureOpenAi,
    Anthropic,
    Gemini,
    VertexAi,
    Bedrock,
    Mistral,
}

/// What a model costs.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PricedModel {
    /// The model, by the provider's name; one that ends in `*` stands for all that begin so.
    #[schemars(length(min = 1, max = 253))]
    pub model: String,
    /// Its prices: the latest of those that are in effect counts.
    #[schemars(length(min = 1, max = 16))]
    pub prices: Vec<DatedPrice>,
}

/// What tokens of each sort cost, in US dollars for a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPrices<'a> {
    /// Of prompts.
    pub input: &'a str,
    /// Of answers.
    pub output: Option<&'a str>,
    /// Of prompts, from the provider's cache.
    pub cache_read: Option<&'a str>,
    /// Of prompts, written to the provider's cache.
    pub cache_write: Option<&'a str>,
    /// The same, for an hour.
    pub cache_write_hour: Option<&'a str>,
}

/// Makes a struct with the prices of tokens behind other members: a CRD's struct cannot hold them as a part of its own.
macro_rules! with_token_prices {
    (
        $(#[$about:meta])*
        pub struct $name:ident { $($(#[$about_member:meta])* pub $member:ident: $type:ty,)* }
        then { $($(#[$about_last:meta])* pub $last:ident: $last_type:ty,)* }
    ) => {
        $(#[$about])*
        #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            $(
                $(#[$about_member])*
                pub $member: $type,
            )*
            /// Tokens of prompts.
            #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
            pub input: String,
            /// Tokens of answers. If absent, answers have no price, as those of embeddings.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
            pub output: Option<String>,
            /// Tokens of prompts that come from the provider's cache; as `input` if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
            pub cache_read: Option<String>,
            /// Tokens of prompts that are written to the provider's cache; as `input` if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
            pub cache_write: Option<String>,
            /// The same where they stay in the cache for an hour; as `cacheWrite` if absent.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[schemars(regex(pattern = r"^[0-9]{1,7}(\.[0-9]{1,6})?$"))]
            pub cache_write_hour: Option<String>,
            $(
                $(#[$about_last])*
                pub $last: $last_type,
            )*
        }

        impl $name {
            /// The prices of tokens.
            pub fn token_prices(&self) -> TokenPrices<'_> {
                TokenPrices {
                    input: &self.input,
                    output: self.output.as_deref(),
                    cache_read: self.cache_read.as_deref(),
                    cache_write: self.cache_write.as_deref(),
                    cache_write_hour: self.cache_write_hour.as_deref(),
                }
            }
        }
    };
}

with_token_prices! {
    /// What tokens cost from some time on, in US dollars for a million tokens.
    pub struct DatedPrice {
        /// From when on; always if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub effective_from: Option<Time>,
    }
    then {
        /// What is otherwise in a tier of service, or for long prompts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[schemars(length(max = 16))]
        pub tiers: Vec<TierPrice>,
    }
}

with_token_prices! {
    /// What tokens cost in a tier of service, or where a prompt is long.
    pub struct TierPrice {
        /// The tier that the provider says it has answered in; the usual one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub tier: Option<ServiceTier>,
        /// The price is for requests whose prompts have more tokens than so many; for all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(range(min = 1, max = 1_000_000_000))]
        pub prompts_above: Option<i64>,
    }
    then {}
}

/// A tier of service other than the usual one.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum ServiceTier {
    Batch,
    Fast,
    Flex,
    Priority,
    Provisioned,
    Reserved,
    Scale,
    Ultrafast,
}

/// Observed state of a PriceList.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct PriceListStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
