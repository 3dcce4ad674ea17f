//! AI backends: for each provider of a pool a cluster with verified TLS, the provider's host and path, and a credential
//! that only the proxy knows.
//!
//! Where the AI engine is there, it handles the requests of every AI backend: it puts in path, host and model and
//! counts tokens, at each attempt. Where it is not, a backend of one provider that changes no body is served all the
//! same, by rewrites of the route.

pub(in crate::gateway) mod credential;
mod engine;
mod member;
pub(in crate::gateway) mod moderation;
mod provider;

pub(in crate::gateway) use provider::{HTTPS, authority};

use crds::ObjectKey;
use crds::ai::{AiDestination, AiPool};
use ir::{ClusterName, Clusters, HostRewrite, PathRewrite, Rewrite};

use super::ResolvedBackend;
use crate::gateway::view::View;
use crate::settings::AiEngine;
use crate::status::{Detail, Reason, Rejection};
use member::Member;

/// Resolves an AI backend.
pub(super) fn resolve(
    view: &impl View,
    object: &ObjectKey,
    name: ClusterName,
    pool: &AiPool,
) -> Result<ResolvedBackend, Rejection> {
    let module = match &view.settings().ai_engine {
        AiEngine::Available(module) => Some(module),
        AiEngine::Unavailable(reason) => {
            if let Some(need) = engine::need(pool) {
                let message = format!("{need} needs the AI engine, which the proxies do not have: {reason}");
                return Err(Rejection::new(Reason::AiEngineUnavailable, message));
            }
            None
        }
    };
    let all = pool.groups.iter().flat_map(|group| &group.destinations);
    let foreign_headers = member::credential_headers(all);
    let mut resolved = Parts::default();
    let mut groups = Vec::with_capacity(pool.groups.len());
    for (group_index, group) in pool.groups.iter().enumerate() {
        let mut names = Vec::with_capacity(group.destinations.len());
        for (index, destination) in group.destinations.iter().enumerate() {
            let name = if pool.only().is_some() { name.clone() } else { name.member(group_index, index) };
            let in_pool = pool.only().is_none();
            let member = Member { view, object, name: name.clone(), destination, module, in_pool };
            member.resolve(&foreign_headers, &mut resolved)?;
            names.push(name);
        }
        groups.push(names);
    }
    let rewrite = match (module, pool.only()) {
        (None, Some(only)) => plain_rewrite(only),
        _ => Rewrite { host: None, path: Some(PathRewrite::Keep) },
    };
    let routing = match pool.only() {
        Some(_) => Clusters::One(name),
        None => Clusters::Groups(groups),
    };
    Ok(ResolvedBackend {
        takes_client_certificate: false,
        clusters: resolved.clusters,
        routing,
        secrets: resolved.secrets,
        rewrite,
        is_ai: true,
        websocket: false,
        // All AI providers do; their limits are others.
        streams: false,
        has_engine: module.is_some(),
        offers: resolved.offers,
        partial: Vec::new(),
        warnings: resolved.warnings,
    })
}

/// A provider's name, as metrics have it.
pub(crate) fn provider_name(destination: &AiDestination) -> &'static str {
    ai::provider::facts(&provider::Profile::of(destination).provider).name
}

/// What the members of a pool add up to.
#[derive(Default)]
struct Parts {
    clusters: Vec<ir::ClusterIr>,
    secrets: Vec<ir::SecretIr>,
    offers: Vec<ai_config::Offer>,
    warnings: Vec<Detail>,
}

/// Without the engine the route puts in host and path, the same for every request.
fn plain_rewrite(destination: &AiDestination) -> Rewrite {
    let facts = provider::Profile::of(destination);
    Rewrite {
        host: Some(HostRewrite::Literal(facts.place.authority.clone())),
        path: Some(PathRewrite::Full(facts.chat_path())),
    }
}
