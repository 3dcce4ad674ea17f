//! Tokens and rights as kgateway's TrafficPolicy and GatewayExtension have them.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    BackendReference, Keys, Provider, RemoteKeys, Rights, RightsRules, Rule, Stage, Stages, TokenRules,
    TokenStage, Tokens, ValidationMode, claim_header, token_header,
};
use crate::ai::SpecError;
use crate::policy::set_members;
use crate::sensitive::Opaque;

/// Under which key kgateway has the claims of a token.
const PAYLOAD_KEY: &str = "payload";

/// The tokens that clients must show: `jwtAuth` of a TrafficPolicy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.extensionRef), has(self.disable)].filter(x, x).size() == 1")
        .message("exactly one of extensionRef and disable must be set")
)]
pub struct JwtAuth {
    /// A GatewayExtension of type JWT, which says who may have issued them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension_ref: Option<ExtensionReference>,
    /// None, whatever less specific policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// A GatewayExtension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionReference {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; that of the policy if absent. Another one needs a ReferenceGrant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
}

/// Takes no settings.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disable {}

/// Who may have issued the tokens of clients: `jwt` of a GatewayExtension.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Jwt {
    /// Strict, if absent: requests need a valid token. AllowMissing: those without any pass, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_mode: Option<JwtMode>,
    /// Who may have issued the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub providers: Vec<JwtProvider>,
}

/// What becomes of requests without a valid token.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum JwtMode {
    Strict,
    AllowMissing,
}

/// Who issues tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct JwtProvider {
    /// Name, for this object alone.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// What tokens must have as iss; anything if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub issuer: Option<String>,
    /// Of these, tokens must have one in aud; anything if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub audiences: Vec<String>,
    /// Where the token stands; as Bearer in the header authorization, or in the query parameter access_token, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_source: Option<JwtTokenSource>,
    /// Claims that the backend gets in headers. What clients send in these is taken off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub claims_to_headers: Vec<JwtClaimToHeader>,
    /// The keys that tokens are signed with.
    pub jwks: Jwks,
    /// Whether the backend gets the token; not, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_token: Option<bool>,
}

/// Where a token stands.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.header), has(self.queryParameter)].filter(x, x).size() == 1")
        .message("exactly one of header and queryParameter must be set")
)]
pub struct JwtTokenSource {
    /// In a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<JwtHeaderSource>,
    /// In a parameter of the query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub query_parameter: Option<String>,
}

/// A header in which a token stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtHeaderSource {
    /// Its name.
    #[schemars(length(min = 1, max = 2048))]
    pub header: String,
    /// What stands before the token, such as "Bearer ".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub prefix: Option<String>,
}

/// A claim that the backend gets in a header.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct JwtClaimToHeader {
    /// Name of the claim; dots lead into claims that are objects.
    #[schemars(length(min = 1, max = 2048))]
    pub name: String,
    /// Name of the header.
    #[schemars(length(min = 1, max = 2048))]
    pub header: String,
}

/// The keys that tokens are signed with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(
    validation = Rule::new("[has(self.local), has(self.remote)].filter(x, x).size() == 1")
        .message("exactly one of local and remote must be set")
)]
pub struct Jwks {
    /// Keys that are known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalJwks>,
    /// Keys that a server tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteJwks>,
}

/// Keys that are known here.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.inline), has(self.configMapRef)].filter(x, x).size() == 1")
        .message("exactly one of inline and configMapRef must be set")
)]
pub struct LocalJwks {
    /// A JSON Web Key Set or a JSON Web Key (RFC 7517), or a public key in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub inline: Option<String>,
    /// A ConfigMap of the same namespace that has the same under the key jwks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<LocalReference>,
}

/// An object of the same namespace.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalReference {
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Keys that a server tells.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RemoteJwks {
    /// What is asked for, with https:// or http://.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
    /// The backend that is asked. If the URL begins with https:// and the backend is not reached by TLS, the host of the
    /// URL is asked by TLS.
    pub backend_ref: ExtensionBackendReference,
    /// After which time it is asked again; 5m if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub cache_duration: Option<String>,
    /// Keys are always fetched before requests need them: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub async_fetch: Option<Box<Opaque>>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<Box<Opaque>>,
}

/// A backend that an extension names.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionBackendReference {
    /// API group; that of Service if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub group: Option<String>,
    /// Kind; Service if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub kind: Option<String>,
    /// Name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace; that of the extension if absent. Another one needs a ReferenceGrant there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Port, if it is a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::port")]
    pub port: Option<i32>,
}

/// What clients may do: `rbac` of a TrafficPolicy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct Authorization {
    /// What is asked of requests.
    pub policy: AuthorizationPolicy,
    /// Allow, if absent: requests pass for which an expression holds. Deny: they are refused, and all others pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<AuthorizationAction>,
}

/// What becomes of requests for which an expression holds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented at the field; a variant's doc would reach the CRD")]
pub enum AuthorizationAction {
    Allow,
    Deny,
}

/// What is asked of requests.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicy {
    /// Expressions in CEL over Envoy's attributes, of which one must hold, such as
    /// metadata.filter_metadata['envoy.filters.http.jwt_authn']['payload']['sub'] == 'alice'.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 4096)))]
    pub match_expressions: Vec<String>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, rename = "allowedCIDRs", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub allowed_cidrs: Option<Box<Opaque>>,
    /// Not carried out yet: what it applies to is answered with 500.
    #[serde(default, rename = "blockedCIDRs", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::any")]
    pub blocked_cidrs: Option<Box<Opaque>>,
}

impl JwtAuth {
    /// The same in the words of both dialects; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<Tokens, SpecError> {
        match (&self.extension_ref, self.disable) {
            (Some(ExtensionReference { name, namespace }), None) => Ok(Tokens::Extension {
                field: format!("{field}.extensionRef"),
                namespace: namespace.clone(),
                name: name.clone(),
            }),
            (None, Some(_)) => Ok(Tokens::Disabled(Stages::ALL)),
            _ => Err(SpecError::invalid(field, "exactly one of extensionRef and disable must be set")),
        }
    }
}

impl Authorization {
    /// The same in the words of both dialects; `field` holds it. What is not carried out is added to `refused`.
    pub(crate) fn read(&self, field: &str, refused: &mut Vec<String>) -> Result<Rights, SpecError> {
        let AuthorizationPolicy { match_expressions, allowed_cidrs, blocked_cidrs } = &self.policy;
        let cidrs = [("allowedCIDRs", allowed_cidrs.is_some()), ("blockedCIDRs", blocked_cidrs.is_some())];
        let unknown: Vec<_> = set_members(cidrs).map(|name| format!("{field}.policy.{name}")).collect();
        let list = format!("{field}.policy.matchExpressions");
        if match_expressions.is_empty() && unknown.is_empty() {
            return Err(SpecError::invalid(list, "is empty"));
        }
        refused.extend(unknown);
        let rules = match_expressions.iter().enumerate().map(|(index, text)| {
            let condition = Some((format!("{list}[{index}]"), text.clone()));
            // So that the order of names is that of the list.
            (format!("{index:03}"), Rule { condition, ..Rule::default() })
        });
        let denies = self.action == Some(AuthorizationAction::Deny);
        Ok(Rights::Rules(RightsRules { denies, rules: rules.collect() }))
    }
}

impl Jwt {
    /// The same in the words of both dialects; `field` holds it.
    pub(crate) fn read(&self, field: &str) -> Result<TokenRules, SpecError> {
        if self.providers.is_empty() {
            return Err(SpecError::invalid(format!("{field}.providers"), "is empty"));
        }
        let providers = self.providers.iter().enumerate();
        let providers =
            providers.map(|(index, provider)| provider.read(&format!("{field}.providers[{index}]")));
        let mode = match self.validation_mode {
            None | Some(JwtMode::Strict) => ValidationMode::Required,
            Some(JwtMode::AllowMissing) => ValidationMode::AllowMissing,
        };
        let stage =
            TokenStage { stage: Stage::Before, providers: providers.collect::<Result<_, _>>()?, mode };
        Ok(TokenRules { payload_key: PAYLOAD_KEY, stages: vec![stage] })
    }

    /// The members that are set and have no effect.
    pub(crate) fn ignored_members(&self, field: &str) -> Vec<String> {
        let providers = self.providers.iter().enumerate();
        let of_provider = |(index, provider): (usize, &JwtProvider)| {
            let Some(remote) = &provider.jwks.remote else { return Vec::new() };
            let members = [
                ("asyncFetch", remote.async_fetch.is_some()),
                ("retryPolicy", remote.retry_policy.is_some()),
            ];
            let set = set_members(members);
            set.map(|name| format!("{field}.providers[{index}].jwks.remote.{name}")).collect()
        };
        providers.flat_map(of_provider).collect()
    }
}

impl JwtProvider {
    fn read(&self, field: &str) -> Result<Provider, SpecError> {
        let Self { name, issuer, audiences, token_source, claims_to_headers, jwks, forward_token } = self;
        let source = token_source.clone().unwrap_or_default();
        let header = source.header.map(|JwtHeaderSource { header, prefix }| {
            token_header(
                &format!("{field}.tokenSource.header"),
                &header,
                prefix.as_deref().unwrap_or_default(),
            )
        });
        let claims =
            claims_to_headers.iter().enumerate().map(|(index, JwtClaimToHeader { name, header })| {
                claim_header(&format!("{field}.claimsToHeaders[{index}]"), name, header)
            });
        Ok(Provider {
            name: name.clone(),
            issuer: issuer.clone().filter(|issuer| !issuer.is_empty()),
            audiences: audiences.clone(),
            keys: jwks.read(&format!("{field}.jwks"))?,
            headers: header.transpose()?.into_iter().collect(),
            params: source.query_parameter.into_iter().collect(),
            forward: forward_token.unwrap_or_default(),
            claims: claims.collect::<Result<_, _>>()?,
            clock_skew_seconds: None,
            failed_status_key: None,
        })
    }
}

impl Jwks {
    fn read(&self, field: &str) -> Result<Keys, SpecError> {
        let wrong = |field: &str, members: &str| {
            SpecError::invalid(field, format!("exactly one of {members} must be set"))
        };
        match (&self.local, &self.remote) {
            (Some(LocalJwks { inline: Some(text), config_map_ref: None }), None) => {
                Ok(Keys::Text { field: format!("{field}.local.inline"), text: text.clone() })
            }
            (Some(LocalJwks { inline: None, config_map_ref: Some(LocalReference { name }) }), None) => {
                Ok(Keys::ConfigMap { field: format!("{field}.local.configMapRef"), name: name.clone() })
            }
            (Some(_), None) => Err(wrong(&format!("{field}.local"), "inline and configMapRef")),
            (None, Some(remote)) => remote.read(&format!("{field}.remote")).map(Keys::Remote),
            _ => Err(wrong(field, "local and remote")),
        }
    }
}

impl RemoteJwks {
    fn read(&self, field: &str) -> Result<RemoteKeys, SpecError> {
        let backend = self.backend_ref.read(&format!("{field}.backendRef"));
        RemoteKeys::new(field.to_owned(), &self.url, Some(backend), self.cache_duration.as_deref())
    }
}

impl ExtensionBackendReference {
    /// The same in the words of both dialects; `field` holds it.
    pub fn read(&self, field: &str) -> BackendReference {
        let Self { group, kind, name, namespace, port } = self.clone();
        BackendReference {
            field: field.to_owned(),
            group: group.unwrap_or_default(),
            kind: kind.unwrap_or_else(|| "Service".to_owned()),
            namespace,
            name,
            port,
        }
    }
}
