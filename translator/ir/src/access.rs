//! Who may send a request: the tokens (JWT, RFC 7519) that it must carry, and what their owner may do.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ClaimDemand, ClusterName, Credentials, KeyDemand, TokenSetName};

/// What a request must fulfil to pass. The default is: nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The tokens that it must carry; `None` if nobody has said anything about tokens.
    pub tokens: Option<TokenDemand>,
    /// What its sender may do; everything if absent.
    pub rights: Option<Arc<Rights>>,
    /// The virtual key that it must show; none if absent.
    pub keys: Option<KeyDemand>,
    /// The budgets over claims of its tokens; none if absent.
    pub claims: Option<ClaimDemand>,
    /// Where a budget counts money: what the requests of the route may be billed for, as the AI engine reads it
    /// (`ai_config::Offer`s as JSON).
    pub offers: Option<String>,
    /// The user, or the API key, that it must show.
    pub credentials: Credentials,
}

/// The tokens that a request must carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenDemand {
    /// None. What stands in headers for claims is taken off all the same, so that a backend cannot take it for a claim.
    Nothing,
    /// What a set says.
    Set {
        /// The set, or one of its stages.
        name: TokenSetName,
        /// The names of all its providers, each once: of whom the request may have tokens.
        providers: Arc<[String]>,
        /// The key of the metadata under which the claims stand.
        payload_key: String,
    },
}

/// Tokens, of which requests must carry some. Routes refer to them by their name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TokenSet {
    /// Of the object that says so.
    pub name: TokenSetName,
    /// The key of the metadata under which the claims stand.
    pub payload_key: String,
    /// Each is to be fulfilled. Never empty.
    pub stages: Vec<TokenStage>,
}

/// What is asked of tokens at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TokenStage {
    /// Which one it is.
    pub stage: Stage,
    /// Who may have issued the token: one of these. Never empty.
    pub providers: Vec<TokenProvider>,
    /// What becomes of requests without a valid token.
    pub mode: TokenMode,
}

/// When tokens are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Before external authorisation.
    BeforeExternal,
    /// After external authorisation.
    AfterExternal,
}

/// What becomes of requests without a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TokenMode {
    /// They are refused.
    Required,
    /// Those without a token pass.
    AllowMissing,
    /// They pass.
    AllowMissingOrFailed,
}

/// Who issues tokens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TokenProvider {
    /// Its name within the set.
    pub name: String,
    /// What stands in `iss`; anything if absent.
    pub issuer: Option<String>,
    /// Of these, one must stand in `aud`; anything if empty.
    pub audiences: Vec<String>,
    /// The keys that tokens are signed with.
    pub keys: TokenKeys,
    /// Headers in which a token may stand, each with what stands before it. If these and the parameters are empty, it
    /// is the proxy's own places: `authorization: Bearer`, and the parameter `access_token`.
    pub headers: Vec<(String, String)>,
    /// Parameters of the query in which a token may stand.
    pub params: Vec<String>,
    /// Whether the backend gets the token.
    pub forward: bool,
    /// Claims that the backend gets, each with its header. What clients send in these headers does not pass.
    pub claims: Vec<(String, String)>,
    /// By how many seconds clocks may differ, above zero; the proxy's own if absent.
    pub clock_skew_seconds: Option<u32>,
    /// Under which key of the metadata stands why a token was refused.
    pub failed_status_key: Option<String>,
}

/// The keys that tokens are signed with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum TokenKeys {
    /// These: a JSON Web Key Set (RFC 7517) of public keys.
    Local(String),
    /// Those that a server tells.
    Remote {
        /// What is asked for.
        url: String,
        /// Where it is asked.
        cluster: ClusterName,
        /// After which time it is asked again.
        cache: Duration,
    },
}

/// What senders may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Whether requests for which a rule holds are refused, and all others pass; otherwise it is the other way round.
    pub denies: bool,
    /// The rules, by name; each name once.
    pub rules: Vec<(String, RightsRule)>,
}

/// It holds for requests for which all its parts hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RightsRule {
    /// What the path begins with.
    pub path_prefix: Option<String>,
    /// The methods, of which the request has one; any if empty.
    pub methods: Vec<String>,
    /// The senders, of which the request has one; any if empty.
    pub senders: Vec<Sender>,
    /// An expression.
    pub condition: Option<CelExpr>,
}

/// Who sends a request, known by all of this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender {
    /// The name of the provider that issued the token; any if absent. Claims do not say whose they are where a request has
    /// tokens of several providers: such a request is from none of them.
    pub provider: Option<String>,
    /// Its claims. Never empty.
    pub claims: Vec<ClaimRule>,
}

/// What is asked of what tokens have left in the metadata of their filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRule {
    /// The keys that lead there. Never empty.
    pub path: Vec<String>,
    /// What must stand there.
    pub value: ClaimValue,
}

/// The key of the metadata that is there if a token came from the provider of this name.
pub fn issued_by_key(provider: &str) -> String {
    format!("header/{provider}")
}

/// A value in metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClaimValue {
    /// This text.
    Text(String),
    /// This truth value.
    Bool(bool),
    /// A list with this text.
    ListContains(String),
    /// A text that this expression in RE2 fits as a whole.
    Regex(String),
}

/// An expression in CEL, as a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CelExpr {
    /// A variable.
    Ident(String),
    /// `null`.
    Null,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without a sign.
    Uint(u64),
    /// A number, as its bits.
    Double(u64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A field of something; with `has`, whether it is there.
    Select {
        /// Of what.
        of: Box<CelExpr>,
        /// Its name.
        field: String,
        /// Whether it is only asked for.
        has: bool,
    },
    /// A function or an operator.
    Call {
        /// Of what, where it is a method.
        of: Option<Box<CelExpr>>,
        /// Its name, as CEL's own trees have it: `_&&_` is the operator `&&`.
        function: String,
        /// The arguments.
        arguments: Vec<CelExpr>,
    },
    /// A list.
    List(Vec<CelExpr>),
}
