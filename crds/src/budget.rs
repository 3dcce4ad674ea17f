//! `chancery.dev/v1alpha1` Budget: how much may be spent with VirtualKeys, or by the owners of tokens, in a unit of time.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::{Condition, Time};

/// API group of Budget.
pub const GROUP: &str = "chancery.dev";

/// Kind of Budget.
pub const KIND: &str = "Budget";

/// How much may be spent with VirtualKeys, or by the owners of tokens.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "Budget",
    plural = "budgets",
    namespaced,
    status = "BudgetStatus",
    derive = "PartialEq",
    category = "chancery",
    doc = "How much may be spent with VirtualKeys, or by the owners of tokens, in a unit of time.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the budget is applied"
    ),
    printcolumn(
        name = "Spent",
        type_ = "integer",
        json_path = ".status.spend.spent",
        description = "What is spent in this unit of time: requests, tokens or millionths of a US dollar"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.fallback) == (has(self.action) && self.action == 'Fallback')")
        .message("fallback must be set with the action Fallback, and with no other"),
    validation = Rule::new("!has(self.unpriced) || has(self.limit.usd)")
        .message("unpriced must be set with a limit in usd alone"),
    validation = Rule::new("!(has(self.keys) && has(self.claims))")
        .message("keys and claims exclude each other"),
    validation = Rule::new("!has(self.spenders) || self.spenders != 'EachKey' || !has(self.claims)")
        .message("spenders must not be EachKey with claims"),
    validation = Rule::new("(has(self.claims) && has(self.claims.each)) == (has(self.spenders) && self.spenders == 'EachClaim')")
        .message("claims.each must be set with spenders EachClaim, and with no other")
)]
pub struct BudgetSpec {
    /// The VirtualKeys of the same namespace whose requests count; all of them if neither this nor claims is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeySelector>,
    /// In place of VirtualKeys, the verified tokens (JWT) whose requests count: those at routes of the same namespace that lead to
    /// AI backends and whose policies verify tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<ClaimSelector>,
    /// How much may be spent.
    pub limit: BudgetLimit,
    /// The unit of time, of the calendar: a month begins on its first day, a week on Monday.
    pub per: Period,
    /// The time zone of the calendar, by its name in the IANA database, such as Europe/Berlin; UTC if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,
    /// Whether all keys or tokens together have the limit, or each key (EachKey) or each value of the claim that claims.each names
    /// (EachClaim) has it for itself; Together if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spenders: Option<Spenders>,
    /// What becomes of a request that does not fit any more: it is answered with 429 (Block), only told in the metrics
    /// (Audit), or asks a cheaper model (Fallback); Block if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<BudgetAction>,
    /// The cheaper models, with the action Fallback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<BudgetFallback>,
    /// With a limit in money, what becomes of a request for a model whose price is not known: it is answered with 403 (Refuse), or
    /// counts nothing (Allow); Refuse if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpriced: Option<Unpriced>,
}

/// Cheaper models. A request for which there is none is answered with 429.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetFallback {
    /// Each with the models in whose place it is asked. The first that fits counts.
    #[schemars(length(min = 1, max = 16))]
    pub models: Vec<CheaperModel>,
}

/// A cheaper model.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct CheaperModel {
    /// In the place of which model, as the provider is asked for it: one that ends in `*` stands for all that begin so. All
    /// models if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub from: Option<String>,
    /// The model that the provider is asked for.
    #[schemars(length(min = 1, max = 253))]
    pub to: String,
}

/// VirtualKeys.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeySelector {
    /// Those that have all of these labels.
    pub match_labels: BTreeMap<String, String>,
}

/// Verified tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimSelector {
    /// Those that have all of these claims; all verified tokens if absent.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub matches: Vec<ClaimMatch>,
    /// The claim of which each value has the limit for itself, with spenders EachClaim. Dots lead into claims that are
    /// objects, unless there is a claim of the whole name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub each: Option<String>,
}

/// What a token must say.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimMatch {
    /// The claim. Dots lead into claims that are objects, unless there is a claim of the whole name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What it is: this text, a number or a truth value that is written so, or a list in which one of these stands.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

/// How much may be spent.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.requests), has(self.tokens), has(self.usd)].filter(x, x).size() == 1")
        .message("exactly one of requests, tokens and usd must be set")
)]
pub struct BudgetLimit {
    /// So many requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub requests: Option<i64>,
    /// So many tokens that models read and write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_i64))]
    pub tokens: Option<i64>,
    /// So many US dollars, as a decimal number with at most six digits behind the point, such as 250.50.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]{1,9}(\.[0-9]{1,6})?$"))]
    pub usd: Option<String>,
}

/// A unit of time.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum Period {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    #[default]
    Month,
    Year,
}

/// Who shares a limit.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum Spenders {
    Together,
    EachKey,
    EachClaim,
}

/// What becomes of a request that does not fit any more.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum BudgetAction {
    Block,
    Audit,
    Fallback,
}

/// What becomes of a request for a model whose price is not known.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum Unpriced {
    Refuse,
    Allow,
}

/// Observed state of a Budget.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// Conditions, of types Accepted and Exhausted (all that may be spent is spent, be it by one of several spenders).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The generation of the Budget that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What is spent, as it was some seconds ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<BudgetSpend>,
}

/// What is spent of a Budget: requests, tokens, or millionths of a US dollar.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct BudgetSpend {
    /// The present unit of time.
    pub period: BudgetPeriod,
    /// How much may be spent in it: by all together, or by each spender.
    pub limit: i64,
    /// What is spent in it, by all spenders together.
    pub spent: i64,
    /// What requests that have not ended have reserved.
    pub reserved: i64,
    /// What is neither spent nor reserved; absent where each spender has the limit for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// The spenders, where each has the limit for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spenders: Option<BudgetSpenders>,
    /// The same in US dollars, of a Budget in money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd: Option<BudgetMoney>,
}

/// Amounts of a Budget in money, as decimal numbers.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct BudgetMoney {
    /// How much may be spent: by all together, or by each spender.
    pub limit: String,
    /// What is spent, by all spenders together.
    pub spent: String,
    /// What requests that have not ended have reserved.
    pub reserved: String,
    /// What is neither spent nor reserved; absent where each spender has the limit for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining: Option<String>,
}

/// One unit of time of a Budget.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BudgetPeriod {
    /// When it began.
    pub start: Time,
    /// When the next one begins.
    pub end: Time,
    /// The time zone of the calendar.
    pub time_zone: String,
}

/// The spenders of a Budget.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct BudgetSpenders {
    /// How many there are: keys, or values of the claim that have spent something in this unit of time (at most 10,000 are known).
    pub count: i64,
    /// How many of them have spent all that they may.
    pub exhausted: i64,
    /// Those who have spent most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub most: Vec<BudgetSpender>,
}

/// What one of several spenders has spent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
pub struct BudgetSpender {
    /// The name of the VirtualKey, or the value of the claim; `<none>` are the tokens without such a claim.
    pub name: String,
    /// What is spent in this unit of time.
    pub spent: i64,
    /// What requests that have not ended have reserved.
    pub reserved: i64,
    /// What is neither spent nor reserved.
    pub remaining: i64,
}
