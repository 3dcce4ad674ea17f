//! The filter that verifies tokens (JWT), `envoy.filters.http.jwt_authn`.
//!
//! It stands in every listener and is disabled but for the routes that ask for tokens. Who may have issued them cannot be said
//! by a route, only by the filter itself; so listeners only name the filter and get it apart (ECDS), and a policy changes no
//! listener. There is one for all listeners of a Gateway, with what all its routes ask for; a route says by name which of it
//! is meant.

use std::collections::HashMap;
use std::time::Duration;

use ir::{TokenDemand, TokenKeys, TokenMode, TokenProvider, TokenSet, TokenStage, issued_by_key};
use proto::core::data_source::Specifier;
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{DataSource, HttpUri, TypedExtensionConfig};
use proto::hcm::HttpFilter;
use proto::jwt_authn::jwt_provider::JwksSourceSpecifier;
use proto::jwt_authn::jwt_requirement::RequiresType;
use proto::jwt_authn::per_route_config::RequirementSpecifier;
use proto::jwt_authn::{
    JwksAsyncFetch, JwtAuthentication, JwtCacheConfig, JwtClaimToHeader, JwtHeader, JwtProvider,
    JwtRequirement, JwtRequirementAndList, JwtRequirementOrList, PerRouteConfig, RemoteJwks,
};
use proto::wkt::Any;
use proto::{duration, empty, pack};

use super::discovered::discovered_filter;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.tokens";

/// The namespace of the metadata in which it leaves what tokens say.
pub(super) const METADATA_NAMESPACE: &str = "envoy.filters.http.jwt_authn";

/// How many verified tokens a worker keeps of each provider.
const KEPT_TOKENS: u32 = 1000;

/// How long a fetch of keys may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);

/// The filter as it stands in a listener.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<JwtAuthentication>(NAME)
}

/// A route's configuration.
pub(super) fn demand(ir: &TokenDemand) -> Any {
    let specifier = match ir {
        TokenDemand::Nothing => RequirementSpecifier::Disabled(true),
        TokenDemand::Set { name, .. } => RequirementSpecifier::RequirementName(name.to_string()),
    };
    pack(&PerRouteConfig { requirement_specifier: Some(specifier) })
}

/// The filter that listeners name.
pub(super) fn extension<'a>(sets: impl IntoIterator<Item = &'a TokenSet>) -> TypedExtensionConfig {
    let mut filter = JwtAuthentication::default();
    for set in sets {
        let stages: Vec<_> =
            set.stages.iter().map(|stage| add_stage(set, stage, &mut filter.providers)).collect();
        if stages.len() > 1 {
            let named = set.stages.iter().map(|stage| set.name.at(stage.stage).to_string());
            filter.requirement_map.extend(named.zip(stages.iter().cloned()));
        }
        filter.requirement_map.insert(set.name.to_string(), join(stages, all_of));
    }
    TypedExtensionConfig { name: NAME.to_owned(), typed_config: Some(pack(&filter)) }
}

/// Adds the providers of a stage, and says what the stage asks.
fn add_stage(
    set: &TokenSet,
    stage: &TokenStage,
    providers: &mut HashMap<String, JwtProvider>,
) -> JwtRequirement {
    let mut alternatives = Vec::new();
    for provider in &stage.providers {
        let name = format!("{}/{}", set.name.at(stage.stage), provider.name);
        providers.insert(name.clone(), build_provider(set, provider));
        alternatives.push(RequiresType::ProviderName(name));
    }
    alternatives.extend(match stage.mode {
        TokenMode::Required => None,
        TokenMode::AllowMissing => Some(RequiresType::AllowMissing(empty())),
        TokenMode::AllowMissingOrFailed => Some(RequiresType::AllowMissingOrFailed(empty())),
    });
    let alternatives = alternatives.into_iter();
    join(alternatives.map(|one| JwtRequirement { requires_type: Some(one) }).collect(), any_of)
}

/// Several requirements as one. Envoy takes no list of one.
fn join(
    mut requirements: Vec<JwtRequirement>,
    list: fn(Vec<JwtRequirement>) -> RequiresType,
) -> JwtRequirement {
    match (requirements.len(), requirements.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            requirements.extend(last);
            JwtRequirement { requires_type: Some(list(requirements)) }
        }
    }
}

fn any_of(requirements: Vec<JwtRequirement>) -> RequiresType {
    RequiresType::RequiresAny(JwtRequirementOrList { requirements })
}

fn all_of(requirements: Vec<JwtRequirement>) -> RequiresType {
    RequiresType::RequiresAll(JwtRequirementAndList { requirements })
}

fn build_provider(set: &TokenSet, ir: &TokenProvider) -> JwtProvider {
    let headers = ir.headers.iter();
    let claims = ir.claims.iter();
    JwtProvider {
        issuer: ir.issuer.clone().unwrap_or_default(),
        audiences: ir.audiences.clone(),
        forward: ir.forward,
        from_headers: headers
            .map(|(name, prefix)| JwtHeader { name: name.clone(), value_prefix: prefix.clone() })
            .collect(),
        from_params: ir.params.clone(),
        payload_in_metadata: set.payload_key.clone(),
        // So that rights can ask who has issued the token.
        header_in_metadata: issued_by_key(&ir.name),
        failed_status_in_metadata: ir.failed_status_key.clone().unwrap_or_default(),
        clock_skew_seconds: ir.clock_skew_seconds.unwrap_or_default(),
        claim_to_headers: claims
            .map(|(claim, header)| JwtClaimToHeader {
                header_name: header.clone(),
                claim_name: claim.clone(),
                ..JwtClaimToHeader::default()
            })
            .collect(),
        // The route is chosen before, with its other filters: another one might ask for more.
        clear_route_cache: false,
        jwks_source_specifier: Some(keys(&ir.keys)),
        jwt_cache_config: is_kept(&ir.keys).then(kept_tokens),
        ..JwtProvider::default()
    }
}

/// Whether a token whose signature has been verified need not be verified again until it expires; its times, issuer and
/// audience are looked at each time. Envoy does not forget tokens when it has fetched other keys, so that one of a key that was
/// taken back would pass; keys that stand in the configuration come with a new filter, which has kept no token.
fn is_kept(keys: &TokenKeys) -> bool {
    matches!(keys, TokenKeys::Local(_))
}

fn kept_tokens() -> JwtCacheConfig {
    JwtCacheConfig { jwt_cache_size: KEPT_TOKENS, ..JwtCacheConfig::default() }
}

fn keys(ir: &TokenKeys) -> JwksSourceSpecifier {
    match ir {
        TokenKeys::Local(text) => JwksSourceSpecifier::LocalJwks(DataSource {
            specifier: Some(Specifier::InlineString(text.clone())),
            ..DataSource::default()
        }),
        TokenKeys::Remote { url, cluster, cache } => JwksSourceSpecifier::RemoteJwks(RemoteJwks {
            http_uri: Some(HttpUri {
                uri: url.clone(),
                timeout: Some(duration(FETCH_TIMEOUT)),
                http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.to_string())),
            }),
            cache_duration: Some(duration(*cache)),
            // Before requests need them, and once for all workers. A listener does not wait for a server that may be
            // away: its requests do.
            async_fetch: Some(JwksAsyncFetch { fast_listener: true, ..JwksAsyncFetch::default() }),
            ..RemoteJwks::default()
        }),
    }
}
