//! Tokens and rights as Gloo's VirtualHostOption and RouteOption have them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{
    BackendReference, ClaimMatch, Keys, Principal, Provider, RemoteKeys, Rights, RightsRules, Rule, Stage,
    Stages, TokenRules, TokenStage, Tokens, ValidationMode, claim_header, token_header,
};
use crate::ai::SpecError;
use crate::policy::name_or_number;
use crate::sensitive::Opaque;
use crate::traffic_policy::is_false;

/// Under which key of the filter's metadata Gloo has the claims of a token.
pub const PAYLOAD_KEY: &str = "principal";

/// The tokens that clients must show, at two stages.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StagedJwt {
    /// Before external authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ext_auth: Option<Jwt>,
    /// After external authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ext_auth: Option<Jwt>,
}

/// The tokens that clients must show.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// Who may have issued the token, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, JwtProvider>,
    /// The former word for ALLOW_MISSING_OR_FAILED, which has precedence.
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_missing_or_failed_jwt: bool,
    /// REQUIRE_VALID (0, if absent): requests need a valid token. ALLOW_MISSING (1): those without any pass, too.
    /// ALLOW_MISSING_OR_FAILED (2): so do those with one that is not valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::name_or_number")]
    pub validation_policy: Option<ValidationPolicy>,
}

/// What becomes of requests without a valid token.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ValidationPolicy {
    RequireValid,
    AllowMissing,
    AllowMissingOrFailed,
}

impl<'de> Deserialize<'de> for ValidationPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_number(
            deserializer,
            &[
                ("REQUIRE_VALID", Self::RequireValid),
                ("ALLOW_MISSING", Self::AllowMissing),
                ("ALLOW_MISSING_OR_FAILED", Self::AllowMissingOrFailed),
            ],
        )
    }
}

/// Whether the tokens that a VirtualHostOption asks for are not asked for here.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JwtOfRoute {
    /// None are.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable: bool,
}

/// The same at two stages.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StagedJwtOfRoute {
    /// Before external authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_ext_auth: Option<JwtOfRoute>,
    /// After external authorisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ext_auth: Option<JwtOfRoute>,
}

/// Who issues tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JwtProvider {
    /// The keys that tokens are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// Of these, tokens must have one in aud; anything if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// What tokens must have as iss; anything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where the token stands; as Bearer in the header authorization, or in the query parameter access_token, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_source: Option<TokenSource>,
    /// Whether the backend gets the token.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_token: bool,
    /// Claims that the backend gets in headers. What clients send in these is taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims_to_headers: Vec<ClaimToHeader>,
    /// By how many seconds clocks may differ; 60 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::unsigned")]
    pub clock_skew_seconds: Option<u32>,
    /// Under which key of the metadata envoy.filters.http.jwt_authn stands why a token was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_failed_status_to_metadata: Option<String>,
}

/// The keys that tokens are signed with: exactly one of both.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Jwks {
    /// Keys that are known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalJwks>,
    /// Keys that a server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteJwks>,
}

/// Keys that are known here.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalJwks {
    /// A JSON Web Key Set or a JSON Web Key (RFC 7517), or a public key in PEM.
    pub key: String,
}

/// Keys that a server tells.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteJwks {
    /// What is asked for, with https:// or http://.
    pub url: String,
    /// The Upstream that is asked; the host of the URL if absent, or if the URL begins with https:// and the Upstream is
    /// not reached by TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_ref: Option<UpstreamReference>,
    /// After which time it is asked again; 5m if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_duration: Option<String>,
    /// Keys are always fetched before requests need them: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub async_fetch: Option<Box<Opaque>>,
}

/// An Upstream.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamReference {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; that of the options if absent. Another one needs a ReferenceGrant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Where a token may stand.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TokenSource {
    /// In these headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderSource>,
    /// In these parameters of the query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query_params: Vec<String>,
}

/// A header in which a token may stand.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderSource {
    /// Its name.
    pub header: String,
    /// What stands before the token, such as "Bearer ".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A claim that the backend gets in a header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ClaimToHeader {
    /// Name of the claim; dots lead into claims that are objects.
    pub claim: String,
    /// Name of the header.
    pub header: String,
    /// To keep what the client sends under that name. It has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "is_false")]
    pub append: bool,
}

/// What clients may do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Rbac {
    /// Everything, whatever less specific options say.
    #[serde(default, skip_serializing_if = "is_false")]
    pub disable: bool,
    /// What is allowed, by name. Without any, nothing is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, RbacPolicy>,
}

/// What some clients are allowed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RbacPolicy {
    /// The clients: each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<RbacPrincipal>,
    /// What they may do; everything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<RbacPermissions>,
    /// What separates the names that lead to a claim within claims that are objects; names are not separated if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested_claim_delimiter: Option<String>,
}

/// Requests that are allowed: those for which all of this holds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RbacPermissions {
    /// What the path begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// The methods, of which the request has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
}

/// A client.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RbacPrincipal {
    /// By its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt_principal: Option<JwtPrincipal>,
}

/// A client, by its token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct JwtPrincipal {
    /// What its claims are, all of them: a name, and a value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::any_object")]
    pub claims: BTreeMap<String, Value>,
    /// The provider that issued the token; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// How claims are compared: EXACT_STRING (0, if absent), BOOLEAN (1), LIST_CONTAINS (2) or REGEX_MATCH (3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::name_or_number")]
    pub matcher: Option<ClaimMatcher>,
}

/// How claims are compared.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimMatcher {
    ExactString,
    Boolean,
    ListContains,
    RegexMatch,
}

impl<'de> Deserialize<'de> for ClaimMatcher {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_number(
            deserializer,
            &[
                ("EXACT_STRING", Self::ExactString),
                ("BOOLEAN", Self::Boolean),
                ("LIST_CONTAINS", Self::ListContains),
                ("REGEX_MATCH", Self::RegexMatch),
            ],
        )
    }
}

/// What options say about tokens. `jwt` means the second stage.
pub(crate) fn read_tokens(
    field: &str,
    jwt: Option<&Jwt>,
    staged: Option<&StagedJwt>,
    staged_field: &str,
) -> Result<Option<Tokens>, SpecError> {
    if jwt.is_some() && staged.is_some() {
        return Err(SpecError::invalid(format!("{field}.jwt"), format!("{staged_field} is set, too")));
    }
    let stages = written(field, jwt, staged, staged_field).map(|(jwt, stage, field)| jwt.read(stage, &field));
    let rules = TokenRules { payload_key: PAYLOAD_KEY, stages: stages.collect::<Result<_, _>>()? };
    Ok((!rules.stages.is_empty()).then_some(Tokens::Own(rules)))
}

/// What options of routes say about tokens that are not asked for.
pub(crate) fn read_disabled(jwt: Option<JwtOfRoute>, staged: Option<StagedJwtOfRoute>) -> Option<Tokens> {
    let is_off = |of: Option<JwtOfRoute>| of.is_some_and(|jwt| jwt.disable);
    let StagedJwtOfRoute { before_ext_auth, after_ext_auth } = staged.unwrap_or_default();
    let mut stages = Stages { before: is_off(before_ext_auth), after: is_off(after_ext_auth) };
    if is_off(jwt) {
        stages = Stages::ALL;
    }
    (!stages.is_empty()).then_some(Tokens::Disabled(stages))
}

/// The members below these that are set and have no effect.
pub(crate) fn ignored_members(
    field: &str,
    jwt: Option<&Jwt>,
    staged: Option<&StagedJwt>,
    staged_field: &str,
) -> Vec<String> {
    written(field, jwt, staged, staged_field).flat_map(|(jwt, _, field)| jwt.ignored(&field)).collect()
}

/// What options say about tokens, each with its stage and its field.
fn written<'a>(
    field: &str,
    jwt: Option<&'a Jwt>,
    staged: Option<&'a StagedJwt>,
    staged_field: &str,
) -> impl Iterator<Item = (&'a Jwt, Stage, String)> {
    let staged_at = |name: &str| format!("{field}.{staged_field}.{name}");
    let before = staged.and_then(|staged| staged.before_ext_auth.as_ref());
    let after = staged.and_then(|staged| staged.after_ext_auth.as_ref());
    let all = [
        (jwt, Stage::After, format!("{field}.jwt")),
        (before, Stage::Before, staged_at("beforeExtAuth")),
        (after, Stage::After, staged_at("afterExtAuth")),
    ];
    all.into_iter().filter_map(|(jwt, stage, field)| Some((jwt?, stage, field)))
}

impl Jwt {
    fn read(&self, stage: Stage, field: &str) -> Result<TokenStage, SpecError> {
        if self.providers.is_empty() {
            return Err(SpecError::invalid(format!("{field}.providers"), "is empty"));
        }
        let providers = self.providers.iter();
        let providers =
            providers.map(|(name, provider)| provider.read(name, &format!("{field}.providers.{name}")));
        let mode = match self.validation_policy {
            _ if self.allow_missing_or_failed_jwt => ValidationMode::AllowMissingOrFailed,
            None | Some(ValidationPolicy::RequireValid) => ValidationMode::Required,
            Some(ValidationPolicy::AllowMissing) => ValidationMode::AllowMissing,
            Some(ValidationPolicy::AllowMissingOrFailed) => ValidationMode::AllowMissingOrFailed,
        };
        Ok(TokenStage { stage, providers: providers.collect::<Result<_, _>>()?, mode })
    }

    fn ignored(&self, field: &str) -> Vec<String> {
        let mut ignored = Vec::new();
        for (name, provider) in &self.providers {
            let field = format!("{field}.providers.{name}");
            let remote = provider.jwks.as_ref().and_then(|jwks| jwks.remote.as_ref());
            if remote.is_some_and(|remote| remote.async_fetch.is_some()) {
                ignored.push(format!("{field}.jwks.remote.asyncFetch"));
            }
            let claims = provider.claims_to_headers.iter().enumerate();
            let appended = claims.filter(|(_, claim)| claim.append);
            ignored.extend(appended.map(|(index, _)| format!("{field}.claimsToHeaders[{index}].append")));
        }
        ignored
    }
}

/// Whether a key of the filter's metadata tells what verified tokens say, or who has issued them (`header/…`): what a token
/// that is not valid leaves must not stand there.
fn is_taken_key(key: &str) -> bool {
    key == PAYLOAD_KEY || key.starts_with("header/")
}

impl JwtProvider {
    fn read(&self, name: &str, field: &str) -> Result<Provider, SpecError> {
        let source = self.token_source.clone().unwrap_or_default();
        let headers = source.headers.iter().enumerate().map(|(index, HeaderSource { header, prefix })| {
            let field = format!("{field}.tokenSource.headers[{index}]");
            token_header(&field, header, prefix.as_deref().unwrap_or_default())
        });
        let claims = self.claims_to_headers.iter().enumerate();
        let claims = claims.map(|(index, ClaimToHeader { claim, header, .. })| {
            claim_header(&format!("{field}.claimsToHeaders[{index}]"), claim, header)
        });
        if let Some(index) = source.query_params.iter().position(String::is_empty) {
            return Err(SpecError::invalid(format!("{field}.tokenSource.queryParams[{index}]"), "is empty"));
        }
        if self.clock_skew_seconds == Some(0) {
            let message = "cannot be 0: proxies take at least 1";
            return Err(SpecError::invalid(format!("{field}.clockSkewSeconds"), message));
        }
        let failed_status_key = self.attach_failed_status_to_metadata.clone().filter(|key| !key.is_empty());
        if failed_status_key.as_deref().is_some_and(is_taken_key) {
            let message = "is a key under which verified tokens stand";
            return Err(SpecError::invalid(format!("{field}.attachFailedStatusToMetadata"), message));
        }
        Ok(Provider {
            name: name.to_owned(),
            issuer: self.issuer.clone().filter(|issuer| !issuer.is_empty()),
            audiences: self.audiences.clone(),
            keys: self.keys(&format!("{field}.jwks"))?,
            headers: headers.collect::<Result<_, _>>()?,
            params: source.query_params,
            forward: self.keep_token,
            claims: claims.collect::<Result<_, _>>()?,
            clock_skew_seconds: self.clock_skew_seconds,
            failed_status_key,
        })
    }

    fn keys(&self, field: &str) -> Result<Keys, SpecError> {
        match self.jwks.clone().unwrap_or_default() {
            Jwks { local: Some(LocalJwks { key }), remote: None } => {
                Ok(Keys::Text { field: format!("{field}.local.key"), text: key })
            }
            Jwks { local: None, remote: Some(remote) } => {
                let field = format!("{field}.remote");
                let backend =
                    remote.upstream_ref.map(|UpstreamReference { name, namespace }| BackendReference {
                        field: format!("{field}.upstreamRef"),
                        group: "gloo.solo.io".to_owned(),
                        kind: "Upstream".to_owned(),
                        namespace,
                        name,
                        port: None,
                    });
                let cache = remote.cache_duration.as_deref();
                RemoteKeys::new(field, &remote.url, backend, cache).map(Keys::Remote)
            }
            _ => Err(SpecError::invalid(field, "exactly one of local and remote must be set")),
        }
    }
}

impl Rbac {
    /// The same in the words of both dialects; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Rights, SpecError> {
        if self.disable {
            return Ok(Rights::Disabled);
        }
        let rules = self.policies.iter().map(|(name, policy)| {
            let rule = policy.read(&format!("{field}.policies.{name}"))?;
            Ok((name.clone(), rule))
        });
        Ok(Rights::Rules(RightsRules { denies: false, rules: rules.collect::<Result<_, _>>()? }))
    }
}

impl RbacPolicy {
    fn read(&self, field: &str) -> Result<Rule, SpecError> {
        let delimiter = self.nested_claim_delimiter.as_deref().filter(|text| !text.is_empty());
        if self.principals.is_empty() {
            return Err(SpecError::invalid(format!("{field}.principals"), "is empty"));
        }
        let principals = self.principals.iter().enumerate().map(|(index, principal)| {
            let field = format!("{field}.principals[{index}].jwtPrincipal");
            let Some(jwt) = &principal.jwt_principal else {
                return Err(SpecError::invalid(field, "is required"));
            };
            jwt.read(delimiter, &field)
        });
        let permissions = self.permissions.clone().unwrap_or_default();
        Ok(Rule {
            path_prefix: permissions.path_prefix.filter(|prefix| !prefix.is_empty()),
            methods: permissions.methods,
            principals: principals.collect::<Result<_, _>>()?,
            condition: None,
        })
    }
}

impl JwtPrincipal {
    fn read(&self, delimiter: Option<&str>, field: &str) -> Result<Principal, SpecError> {
        if self.claims.is_empty() {
            return Err(SpecError::invalid(format!("{field}.claims"), "is empty"));
        }
        let claims = self.claims.iter().map(|(name, value)| {
            let field = format!("{field}.claims[{name:?}]");
            let path: Vec<_> = match delimiter {
                Some(delimiter) => name.split(delimiter).map(str::to_owned).collect(),
                None => vec![name.clone()],
            };
            if path.iter().any(String::is_empty) {
                return Err(SpecError::invalid(field, "an empty name leads to no claim"));
            }
            Ok((path, self.claim_match(value, field)?))
        });
        let provider = self.provider.clone().filter(|provider| !provider.is_empty());
        Ok(Principal { provider, claims: claims.collect::<Result<_, _>>()? })
    }

    fn claim_match(&self, value: &Value, field: String) -> Result<ClaimMatch, SpecError> {
        // Gloo's own examples write `true` without quotation marks.
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(SpecError::invalid(field, "is not a text")),
        };
        Ok(match self.matcher.unwrap_or(ClaimMatcher::ExactString) {
            ClaimMatcher::ExactString => ClaimMatch::Text(text),
            ClaimMatcher::ListContains => ClaimMatch::ListContains(text),
            ClaimMatcher::RegexMatch => ClaimMatch::Regex { field, expression: text },
            ClaimMatcher::Boolean => match text.as_str() {
                "true" => ClaimMatch::Bool(true),
                "false" => ClaimMatch::Bool(false),
                _ => return Err(SpecError::invalid(field, "is neither \"true\" nor \"false\"")),
            },
        })
    }
}
