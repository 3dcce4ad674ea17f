//! Budgets over the claims of tokens that Envoy has verified.

use serde::{Deserialize, Serialize};

/// The key of route metadata, under [`METADATA_NAMESPACE`](crate::METADATA_NAMESPACE), whose value is the name of the
/// budgets that the filter of keys looks at.
pub const CLAIMS_KEY: &str = "claims";

/// The key of the filter state in which a request keeps the claims of its token as JSON text. Without a verified token there is
/// nothing.
pub const CLAIMS_STATE_KEY: &str = "chancery.claims";

/// The member of [`ClaimBudget::text`], a JSON object, in which the one who spends is named.
pub const SPENDER_MEMBER: &str = "spender";

/// In more budgets of one sort, beside those of its key, a request is not counted: each has a place in the questions of a route.
pub const MOST_CLAIM_BUDGETS: usize = 8;

/// A budget over claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimBudget {
    /// The object, `namespace/name`.
    pub name: String,
    /// The claims that a token must have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<RequiredClaim>,
    /// The claim of which each value spends for itself. None: all spend together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// What is counted; `None` where the budget cannot be applied, so that no request of such a token passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<ClaimRule>,
}

/// A claim that a token must have. Dots in its name lead into objects, unless there is a claim of the whole name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredClaim {
    /// The claim.
    pub name: String,
    /// What it is, or what stands in it, if it is a list.
    pub value: String,
}

/// What a budget counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRule {
    /// In the words of [`slot_key`](crate::slot_key).
    pub counted: String,
    /// The budget without its spender, as text for the service that counts: a JSON object.
    pub text: String,
    /// Whether no model is asked for without a known price.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refuses_unpriced: bool,
}
