//! What the AI engine is told about a provider, and whether a backend can do without it.

use ai_config::{ClusterConfig, CredentialHeader, FieldDefault, MAX_REQUEST_BYTES, Offer, VERSION};
use crds::ai::{AiDestination, AiPool, AuthToken, Provider};
use serde_json::json;

use super::provider::Profile;

/// What of a backend cannot be done without the engine, if anything.
pub(super) fn need(pool: &AiPool) -> Option<&'static str> {
    let Some(only) = pool.only() else { return Some("a pool of several providers") };
    match &only.provider {
        Provider::OpenAi { model: Some(_) }
        | Provider::Anthropic { model: Some(_), .. }
        | Provider::Mistral { model: Some(_) } => Some("model, which stands in the body of a request,"),
        Provider::Bedrock { guardrail: Some(_), .. } => {
            Some("guardrail, which stands in the body of a request,")
        }
        _ => None,
    }
}

/// The configuration for one provider.
///
/// `pool_member`: the name of its cluster, if it is one of several.
pub(super) fn config(
    backend: String,
    destination: &AiDestination,
    profile: &Profile,
    pool_member: Option<String>,
) -> ClusterConfig {
    let header =
        || CredentialHeader { name: profile.auth_header.clone(), prefix: profile.auth_prefix.clone() };
    let bare = |name: &str| CredentialHeader { name: name.to_owned(), prefix: String::new() };
    let (passthrough, credentials) = match &destination.auth {
        AuthToken::Passthrough => (Some(header()), Vec::new()),
        AuthToken::Inline(_) | AuthToken::SecretRef(_) => (None, vec![header()]),
        AuthToken::AwsInline(_) | AuthToken::AwsSecretRef(_) => {
            (None, ["authorization", "x-amz-security-token"].map(bare).into())
        }
    };
    ClusterConfig {
        version: VERSION,
        backend,
        provider: profile.provider.clone(),
        authority: profile.place.authority.clone(),
        path: profile.path.clone(),
        model: destination.provider.model().map(str::to_owned),
        defaults: guardrail(&destination.provider).into_iter().collect(),
        passthrough,
        credentials,
        pool_member,
        max_request_bytes: MAX_REQUEST_BYTES,
    }
}

/// What requests to the provider may be billed for.
pub(super) fn offer(config: &ClusterConfig) -> Offer {
    let model = match &config.provider {
        ai_config::Provider::AzureOpenAi { deployment, .. } => Some(deployment.clone()),
        _ => config.model.clone(),
    };
    let provider = ai::provider::facts(&config.provider).name.to_owned();
    Offer { backend: config.backend.clone(), provider, model, ..Offer::default() }
}

/// Bedrock's guardrail is a member of the body (`guardrailConfig` of Converse).
fn guardrail(provider: &Provider) -> Option<FieldDefault> {
    let Provider::Bedrock { guardrail: Some(guardrail), .. } = provider else { return None };
    let value = json!({
        "guardrailIdentifier": guardrail.identifier,
        "guardrailVersion": guardrail.version,
    });
    Some(FieldDefault { field: "guardrailConfig".to_owned(), value: value.to_string(), replace: true })
}
