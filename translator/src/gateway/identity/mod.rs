//! Who clients are and what they may do, as policies say it: checked, with what it refers to.

mod credentials;
mod keys;
mod rights;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::core::ConfigMap;
use crds::identity::{
    self, BackendReference, IdentityContent, Keys, Provider, RemoteKeys, Rights, Stages, TokenRules, Tokens,
    ValidationMode,
};
use crds::{NamespacedName, ObjectKey, ObjectRef};
use ir::{Stage, TokenKeys, TokenMode, TokenProvider, TokenSet, TokenSetName, TokenStage};

use crate::gateway::extension;
use crate::gateway::facts::{
    BackendKey, BackendProtocol, FaceIdentity, FaceRights, FaceTokens, ServerKey, ServerService,
};
use crate::gateway::policy::rejection;
use crate::gateway::server;
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::view::View;
use crate::gateway::virtual_key;
use crate::status::{Detail, Reason, Rejection};

/// The key of a ConfigMap that holds a key set.
const KEY_SET: &str = "jwks";

/// After which time the keys of a server are fetched again, if nobody says so: that of kgateway and Gloo.
const CACHE: Duration = Duration::from_secs(300);

/// What a policy says about who clients are and what they may do. What is understood although it is not as it should be is
/// noted.
///
/// # Errors
/// It makes no sense, or refers to what cannot be used. Nothing may be served without it.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    content: &IdentityContent,
    notes: &mut Vec<Detail>,
) -> Result<FaceIdentity, Rejection> {
    let tokens = content.tokens.as_ref().map(|tokens| match tokens {
        Tokens::Disabled(stages) => Ok(FaceTokens::Disabled(*stages)),
        Tokens::Own(rules) => required(view, policy, rules),
        Tokens::Extension { field, namespace, name } => {
            of_extension(view, policy, namespace.as_deref(), name).map_err(|error| error.within(field))
        }
    });
    let rights = content.rights.as_ref().map(|rights| match rights {
        Rights::Disabled => Ok(FaceRights::Disabled),
        Rights::Rules(rules) => rights::read(rules).map(|rights| FaceRights::Rules(Arc::new(rights))),
    });
    let keys = content.keys.as_ref().map(|demand| virtual_key::required(view, policy, demand, notes));
    let (users, api_keys) = (content.users.as_ref(), content.api_keys.as_ref());
    Ok(FaceIdentity {
        tokens: tokens.transpose()?,
        rights: rights.transpose()?,
        keys,
        users: users.map(|users| credentials::users(view, policy, users)).transpose()?,
        api_keys: api_keys.map(|keys| credentials::api_keys(view, policy, keys)).transpose()?,
    })
}

/// What a GatewayExtension asks of tokens.
fn of_extension(
    view: &impl View,
    policy: &ObjectKey,
    namespace: Option<&str>,
    name: &str,
) -> Result<FaceTokens, Rejection> {
    extension::of_policy(view, policy, namespace, name, |key, extension| {
        required(view, key, &extension.token_rules().map_err(rejection)?)
    })
}

/// What an object asks of tokens.
///
/// # Errors
/// It refers to what cannot be used.
pub(super) fn required(
    view: &impl View,
    owner: &ObjectKey,
    rules: &TokenRules,
) -> Result<FaceTokens, Rejection> {
    let NamespacedName { namespace, name } = &owner.name;
    let kind = owner.kind.info().kind.to_ascii_lowercase();
    let mut backends = Vec::new();
    let mut stages = Vec::new();
    for stage in &rules.stages {
        let mut providers = Vec::new();
        for provider in &stage.providers {
            providers.push(read_provider(view, owner, provider, &mut backends)?);
        }
        stages.push(TokenStage {
            stage: match stage.stage {
                identity::Stage::Before => Stage::BeforeExternal,
                identity::Stage::After => Stage::AfterExternal,
            },
            providers,
            mode: match stage.mode {
                ValidationMode::Required => TokenMode::Required,
                ValidationMode::AllowMissing => TokenMode::AllowMissing,
                ValidationMode::AllowMissingOrFailed => TokenMode::AllowMissingOrFailed,
            },
        });
    }
    let names: BTreeSet<_> = rules
        .stages
        .iter()
        .flat_map(|stage| &stage.providers)
        .map(|provider| provider.name.clone())
        .collect();
    let set = TokenSet {
        name: TokenSetName::of_object(&kind, namespace, name),
        payload_key: rules.payload_key.to_owned(),
        stages,
    };
    Ok(FaceTokens::Required {
        set: Arc::new(set),
        providers: names.into_iter().collect(),
        stages: rules.all_stages(),
        backends,
    })
}

fn read_provider(
    view: &impl View,
    owner: &ObjectKey,
    provider: &Provider,
    backends: &mut Vec<BackendKey>,
) -> Result<TokenProvider, Rejection> {
    let keys = match &provider.keys {
        Keys::Text { field, text } => TokenKeys::Local(
            keys::key_set(text).map_err(|error| Rejection::at(Reason::Invalid, field, error))?,
        ),
        Keys::ConfigMap { field, name } => {
            of_config_map(view, &owner.name.namespace, name).map_err(|error| error.within(field))?
        }
        Keys::Remote(remote) => {
            let (cluster, backend) = remote_cluster(view, owner, remote)?;
            backends.push(backend);
            let cache = remote.cache.unwrap_or(CACHE);
            TokenKeys::Remote { url: remote.url.text.clone(), cluster, cache }
        }
    };
    Ok(TokenProvider {
        name: provider.name.clone(),
        issuer: provider.issuer.clone(),
        audiences: provider.audiences.clone(),
        keys,
        headers: provider.headers.clone(),
        params: provider.params.clone(),
        forward: provider.forward,
        claims: provider.claims.clone(),
        clock_skew_seconds: provider.clock_skew_seconds,
        failed_status_key: provider.failed_status_key.clone(),
    })
}

fn of_config_map(view: &impl View, namespace: &str, name: &str) -> Result<TokenKeys, Rejection> {
    let object = ObjectRef::namespaced("", "ConfigMap", namespace, name);
    let Some(map) = view.object::<ConfigMap>(&NamespacedName::new(namespace, name)) else {
        return Err(Rejection::missing(Reason::Invalid, object));
    };
    let text = map.data.as_ref().and_then(|data| data.get(KEY_SET)).map_or("", String::as_str);
    let set = keys::key_set(text).map_err(|error| {
        let text = format!("{object}: {KEY_SET} {error}");
        Rejection::unusable(Reason::Invalid, object, text)
    });
    set.map(TokenKeys::Local)
}

/// Where the keys of a server are asked for: at the backend that is named, or, where that is not reached by TLS though the
/// URL wants it, at the host of the URL.
fn remote_cluster(
    view: &impl View,
    owner: &ObjectKey,
    remote: &RemoteKeys,
) -> Result<(ir::ClusterName, BackendKey), Rejection> {
    let url = &remote.url;
    if let Some(reference) = &remote.backend {
        let found = named_cluster(view, owner, reference).map_err(|error| error.under(&reference.field))?;
        let (cluster, backend, is_tls) = found;
        if is_tls || !url.is_tls {
            return Ok((cluster, backend));
        }
    }
    let settings = view.settings();
    if !is_allowed_host(&url.host, settings) && !settings.test_hooks.unchecked_values {
        let text = format!("the host {} is one that a proxy may not be pointed at", url.host);
        return Err(Rejection::at(Reason::UnsupportedAddress, format!("{}.url", remote.field), text));
    }
    let (host, port, is_tls) = (url.host.clone(), url.port, url.is_tls);
    let key = ServerKey { host, port, is_tls, service: ServerService::TokenKeys };
    server::asked(view, key)
}

/// The cluster of a backend, and whether it is reached by TLS.
fn named_cluster(
    view: &impl View,
    owner: &ObjectKey,
    reference: &BackendReference,
) -> Result<(ir::ClusterName, BackendKey, bool), Rejection> {
    let face = extension::backend_of(view, owner, reference, BackendProtocol::Http)?;
    let (cluster, key) = extension::cluster_of(face)?;
    let value = view.backend(&key);
    let resolved = value.as_ref().and_then(|backend| backend.result.as_ref().ok());
    let is_tls = resolved.is_some_and(|backend| backend.clusters.iter().any(|cluster| cluster.tls.is_some()));
    Ok((cluster, key, is_tls))
}

/// The stages of a set that are asked for, once some are taken off.
pub(super) fn name_at(set: &TokenSet, of: Stages, wanted: Stages) -> Option<TokenSetName> {
    match (wanted.before, wanted.after) {
        (false, false) => None,
        _ if wanted == of => Some(set.name.clone()),
        (true, _) => Some(set.name.at(Stage::BeforeExternal)),
        (false, true) => Some(set.name.at(Stage::AfterExternal)),
    }
}
