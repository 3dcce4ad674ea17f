//! OpenAI's moderation, which prompt guards ask: a cluster with a credential that only the proxy knows, like that of an AI
//! backend.

use crds::ObjectKey;
use crds::policy::{ApiKey, ModerationContent};

use super::credential;
use super::member::{injected, removed_headers};
use super::provider::HTTPS;
use crate::gateway::facts::{ResolvedBackend, ServerKey, ServerService};
use crate::gateway::policy;
use crate::gateway::view::View;
use crate::status::Rejection;

/// The path of its API (<https://platform.openai.com/docs/api-reference/moderations>).
pub(in crate::gateway) const PATH: &str = "/v1/moderations";

/// The service that a policy asks.
pub(in crate::gateway) fn server(policy: &ObjectKey) -> ServerKey {
    let host = ai::provider::host(&ai_config::Provider::OpenAi).unwrap_or_default();
    ServerKey { host, port: HTTPS, is_tls: true, service: ServerService::Moderation(policy.clone()) }
}

/// Adds the policy's credential to its cluster; `None` if there is no such policy, or it asks nobody.
///
/// # Errors
/// There is no credential.
pub(in crate::gateway) fn with_credential(
    view: &impl View,
    policy: &ObjectKey,
    mut backend: ResolvedBackend,
) -> Option<Result<ResolvedBackend, Rejection>> {
    let ModerationContent { key, .. } = policy::moderation(view, policy)?;
    let token = match key.value {
        ApiKey::Inline(token) => Ok(token),
        ApiKey::SecretRef(secret) => credential::read(view, policy, &secret, &mut backend.warnings),
    };
    let added = token.map(|token| {
        let facts = ai::provider::facts(&ai_config::Provider::OpenAi);
        for cluster in &mut backend.clusters {
            let (credential, secret) = injected(&cluster.name, facts.auth_header, facts.auth_prefix, &token);
            cluster.http.credential = Some(credential);
            // Envoy adds its own address to the requests of its filters.
            cluster.http.remove_request_headers.extend(removed_headers(&[].into(), false));
            backend.secrets.push(secret);
        }
        backend
    });
    Some(added.map_err(|rejection| rejection.within(&key.field)))
}
