//! Who a client is and what it may do, in the same words for both dialects: tokens (JWT, RFC 7519), passwords, API keys and rights.

pub mod credentials;
pub mod gloo;
pub mod kgateway;

use std::time::Duration;

use self::credentials::{ApiKeys, Users};
use crate::ai::SpecError;
use crate::policy::http::Setting;
use crate::virtual_key::KeyDemand;
use crate::{HttpUrl, gateway_api, header};

/// What a policy says about who clients are and what they may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityContent {
    /// The tokens that clients must show.
    pub tokens: Option<Tokens>,
    /// What clients may do.
    pub rights: Option<Rights>,
    /// The VirtualKeys that clients must show.
    pub keys: Option<KeyDemand>,
    /// The users of which clients must be one, with the password.
    pub users: Option<Setting<Users>>,
    /// The API keys of which clients must have one.
    pub api_keys: Option<Setting<ApiKeys>>,
}

/// The tokens that clients must show.
#[derive(Clone, Debug, PartialEq)]
pub enum Tokens {
    /// None at these stages, whatever less specific policies say.
    Disabled(Stages),
    /// As the policy says itself.
    Own(TokenRules),
    /// As a GatewayExtension says.
    Extension {
        /// The field that refers to it.
        field: String,
        /// Its namespace; that of the policy if absent.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
}

/// When tokens are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before external authorisation.
    Before,
    /// After external authorisation.
    After,
}

/// Some of the stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stages {
    /// Whether [`Stage::Before`] is one of them.
    pub before: bool,
    /// Whether [`Stage::After`] is one of them.
    pub after: bool,
}

impl Stages {
    /// Both.
    pub const ALL: Self = Self { before: true, after: true };

    /// This one alone.
    pub fn only(stage: Stage) -> Self {
        Self { before: stage == Stage::Before, after: stage == Stage::After }
    }

    /// Those that are in both.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self { before: self.before && other.before, after: self.after && other.after }
    }

    /// Those that are in one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { before: self.before || other.before, after: self.after || other.after }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// What is asked of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRules {
    /// The key below the metadata of the filter `envoy.filters.http.jwt_authn` under which access logs and rights find the
    /// claims.
    pub payload_key: &'static str,
    /// What is asked at one stage, or at both: a request must pass each.
    pub stages: Vec<TokenStage>,
}

impl TokenRules {
    /// The stages that there are.
    pub fn all_stages(&self) -> Stages {
        self.stages.iter().fold(Stages::default(), |all, stage| all.or(Stages::only(stage.stage)))
    }
}

/// What is asked of tokens at a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenStage {
    /// Which one.
    pub stage: Stage,
    /// Who may have issued the token: one of these. Never empty.
    pub providers: Vec<Provider>,
    /// What becomes of requests without a valid token.
    pub mode: ValidationMode,
}

/// What becomes of requests without a valid token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ValidationMode {
    /// They are refused.
    #[default]
    Required,
    /// Those without a token pass, those with one that is not valid are refused.
    AllowMissing,
    /// They pass.
    AllowMissingOrFailed,
}

/// Who issues tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// Its name within the rules.
    pub name: String,
    /// What tokens must have as `iss`; anything if absent.
    pub issuer: Option<String>,
    /// Of these, tokens must have one in `aud`; anything if empty.
    pub audiences: Vec<String>,
    /// The keys that tokens are signed with.
    pub keys: Keys,
    /// Headers in which a token may stand, in lower case, each with what stands before the token.
    pub headers: Vec<(String, String)>,
    /// Parameters of the query in which a token may stand.
    pub params: Vec<String>,
    /// Whether the backend gets the token.
    pub forward: bool,
    /// Claims that the backend gets: a claim, whose name may be a path with dots, and the header, in lower case.
    pub claims: Vec<(String, String)>,
    /// By how many seconds clocks may differ; 60 if absent.
    pub clock_skew_seconds: Option<u32>,
    /// Under which key of the filter's metadata stands why a token was refused.
    pub failed_status_key: Option<String>,
}

/// Where the keys of a provider come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Keys {
    /// From the object itself.
    Text {
        /// The field.
        field: String,
        /// A JSON Web Key Set or a JSON Web Key (RFC 7517), or a public key in PEM.
        text: String,
    },
    /// From a ConfigMap of the object's namespace, under the key `jwks`.
    ConfigMap {
        /// The field that refers to it.
        field: String,
        /// Its name.
        name: String,
    },
    /// From a server, which proxies ask.
    Remote(RemoteKeys),
}

/// A server that tells the keys of a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct RemoteKeys {
    /// The field.
    pub field: String,
    /// What is asked for.
    pub url: HttpUrl,
    /// The backend that is asked; the host of the URL if absent.
    pub backend: Option<BackendReference>,
    /// After which time it is asked again; 5 minutes if absent.
    pub cache: Option<Duration>,
}

/// A reference to a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendReference {
    /// The field.
    pub field: String,
    /// API group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; that of the object if absent.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// A port, if it is a Service.
    pub port: Option<i32>,
}

/// What clients may do.
#[derive(Clone, Debug, PartialEq)]
pub enum Rights {
    /// Everything, whatever less specific policies say.
    Disabled,
    /// What these rules say.
    Rules(RightsRules),
}

/// Rules on what clients may do.
#[derive(Clone, Debug, PartialEq)]
pub struct RightsRules {
    /// Whether requests for which a rule holds are refused, and all others pass; otherwise it is the other way round.
    pub denies: bool,
    /// The rules, by name.
    pub rules: Vec<(String, Rule)>,
}

/// A rule on what clients may do. It holds for requests for which all its parts hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// What the path begins with; anything if absent.
    pub path_prefix: Option<String>,
    /// The methods; any if empty.
    pub methods: Vec<String>,
    /// Who sends the request: one of these; anybody if empty.
    pub principals: Vec<Principal>,
    /// An expression in CEL, with its field.
    pub condition: Option<(String, String)>,
}

/// A client, by its token.
#[derive(Clone, Debug, PartialEq)]
pub struct Principal {
    /// Who must have issued the token; anybody if absent.
    pub provider: Option<String>,
    /// What its claims must be: the names that lead to each, and what is asked of it.
    pub claims: Vec<(Vec<String>, ClaimMatch)>,
}

/// What is asked of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimMatch {
    /// It is this text.
    Text(String),
    /// It is this truth value.
    Bool(bool),
    /// It is a list that has this text.
    ListContains(String),
    /// It is a text that this expression in RE2 fits as a whole; with its field.
    Regex {
        /// The field.
        field: String,
        /// The expression.
        expression: String,
    },
}

impl RemoteKeys {
    /// Checks what both dialects have in common.
    pub(crate) fn new(
        field: String,
        url: &str,
        backend: Option<BackendReference>,
        cache: Option<&str>,
    ) -> Result<Self, SpecError> {
        let at = |name: &str, error: String| SpecError::invalid(format!("{field}.{name}"), error);
        let url = HttpUrl::parse(url).map_err(|error| at("url", error))?;
        let cache = cache.map(|text| {
            let read = gateway_api::duration(text).map_err(|error| at("cacheDuration", error))?;
            match read.is_zero() {
                true => Err(at("cacheDuration", "must be above zero".to_owned())),
                false => Ok(read),
            }
        });
        let cache = cache.transpose()?;
        Ok(Self { field, url, backend, cache })
    }
}

/// Headers that cannot hold a claim. Proxies take what clients send under the name of a claim's header off at every route of
/// the Gateway that says something about tokens, also where another policy says it: no such route could do without these.
const NO_CLAIM_HEADERS: [&str; 5] = ["authorization", "content-type", "cookie", "host", "user-agent"];

/// A claim that a backend gets, checked.
pub(crate) fn claim_header(field: &str, claim: &str, header: &str) -> Result<(String, String), SpecError> {
    if claim.is_empty() {
        return Err(SpecError::invalid(field, "names no claim"));
    }
    let name = header::editable_name(header)
        .map_err(|error| SpecError::invalid(format!("{field}.header"), error))?;
    if NO_CLAIM_HEADERS.contains(&name.as_str()) {
        return Err(SpecError::invalid(format!("{field}.header"), format!("{name} cannot hold a claim")));
    }
    Ok((claim.to_owned(), name))
}

/// A header in which a token may stand, checked.
pub(crate) fn token_header(field: &str, name: &str, prefix: &str) -> Result<(String, String), SpecError> {
    let at_header = |error: String| SpecError::invalid(format!("{field}.header"), error);
    // Proxies remove it once its token is verified.
    let header = header::editable_name(name).map_err(at_header)?;
    if header == "host" {
        return Err(at_header("host cannot hold a token".to_owned()));
    }
    if prefix.len() > 256 || !prefix.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(SpecError::invalid(
            format!("{field}.prefix"),
            "is longer than 256 bytes or no printable ASCII",
        ));
    }
    Ok((header, prefix.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_token_stands_in_a_header_that_cannot_be_removed() {
        for bad in ["Host", "Transfer-Encoding", "content_length", "connection", ":path", ""] {
            let error = token_header("spec.source", bad, "").unwrap_err();
            assert!(error.to_string().starts_with("spec.source.header: "), "{bad}: {error}");
        }
        let expected = ("x-token".to_owned(), "Bearer ".to_owned());
        assert_eq!(token_header("spec.source", "X-Token", "Bearer "), Ok(expected));
    }

    #[test]
    fn no_claim_stands_in_a_header_that_other_routes_need() {
        for bad in ["Host", "Authorization", "Cookie", "Content-Type", "User-Agent", "upgrade"] {
            let error = claim_header("spec.claims[0]", "sub", bad).unwrap_err();
            assert!(error.to_string().starts_with("spec.claims[0].header: "), "{bad}: {error}");
        }
        let expected = ("sub".to_owned(), "x-sub".to_owned());
        assert_eq!(claim_header("spec.claims[0]", "sub", "X-Sub"), Ok(expected));
    }

    #[test]
    fn rights_without_expressions_are_refused_whatever_else_the_policy_refuses() {
        let rights = |policy| {
            let rights: kgateway::Authorization = serde_json::from_value(json!({"policy": policy})).unwrap();
            let mut refused = vec!["spec.other".to_owned()];
            rights.read("spec.rbac", &mut refused).map(|_| refused).map_err(|error| error.to_string())
        };
        assert_eq!(rights(json!({})).unwrap_err(), "spec.rbac.policy.matchExpressions: is empty");
        let refused = rights(json!({"blockedCIDRs": []})).unwrap();
        assert_eq!(refused, ["spec.other", "spec.rbac.policy.blockedCIDRs"]);
    }

    #[test]
    fn a_failure_does_not_stand_where_verified_tokens_do() {
        let read = |key: &str| {
            let provider = json!({"jwks": {"local": {"key": "k"}}, "attachFailedStatusToMetadata": key});
            let jwt = serde_json::from_value(json!({"providers": {"a": provider}})).unwrap();
            gloo::read_tokens("spec.options", Some(&jwt), None, "jwtStaged")
                .map_err(|error| error.to_string())
        };
        for bad in ["principal", "header/", "header/a"] {
            let error = read(bad).unwrap_err();
            let field = "spec.options.jwt.providers.a.attachFailedStatusToMetadata: ";
            assert!(error.starts_with(field), "{bad}: {error}");
        }
        assert!(read("why").is_ok());
    }
}
