//! Who clients are and what they may do, as policies say it: checked, with what it refers to.

mod keys;
mod rights;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crds::core::ConfigMap;
use crds::gateway_extension::{self, GatewayExtension};
use crds::identity::{
    self, BackendReference, IdentityContent, Keys, Provider, RemoteKeys, Rights, Stages, TokenRules, Tokens,
    ValidationMode,
};
use crds::{Kind, NamespacedName, ObjectKey, ObjectRef};
use ir::{Clusters, Stage, TokenKeys, TokenMode, TokenProvider, TokenSet, TokenSetName, TokenStage};

use crate::gateway::backend::{self, BackendRef};
use crate::gateway::facts::{
    BackendKey, BackendProtocol, FaceIdentity, FaceRights, FaceTokens, ServerKey, ServerService,
};
use crate::gateway::policy::rejection;
use crate::gateway::server;
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Condition, ConditionType, Detail, Facts, Reason, Rejection, Report};

/// The key of a ConfigMap that holds a key set.
const KEY_SET: &str = "jwks";

/// After which time the keys of a server are fetched again, if nobody says so: that of kgateway and Gloo.
const CACHE: Duration = Duration::from_secs(300);

/// What a policy says about who clients are and what they may do.
///
/// # Errors
/// It makes no sense, or refers to what cannot be used. Nothing may be served without it.
pub(super) fn read(
    view: &impl View,
    policy: &ObjectKey,
    content: &IdentityContent,
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
    Ok(FaceIdentity { tokens: tokens.transpose()?, rights: rights.transpose()? })
}

/// What a GatewayExtension asks of tokens.
fn of_extension(
    view: &impl View,
    policy: &ObjectKey,
    namespace: Option<&str>,
    name: &str,
) -> Result<FaceTokens, Rejection> {
    let own = &policy.name.namespace;
    let key = NamespacedName::new(namespace.unwrap_or(own), name);
    let info = policy.kind.info();
    let (from, to) = (
        Party::new(info.group, info.kind, own),
        Party::new(gateway_extension::GROUP, gateway_extension::KIND, &key.namespace),
    );
    view.permitted(&from, &to, name)?;
    let key = ObjectKey { kind: Kind::GatewayExtension, name: key };
    let Some(extension) = view.object::<GatewayExtension>(&key.name) else {
        return Err(Rejection::missing(Reason::Invalid, key.to_ref()));
    };
    let rules = extension.token_rules().map_err(rejection);
    rules.and_then(|rules| required(view, &key, &rules)).map_err(|error| {
        let text = format!("{}: {}", key.to_ref(), error.message());
        Rejection::unusable(error.reason, key.to_ref(), text)
    })
}

/// The status of a GatewayExtension.
pub(crate) fn extension_report(view: &impl View, key: &ObjectKey) -> Option<Report> {
    let extension = view.object::<GatewayExtension>(&key.name)?;
    let rules = extension.token_rules().map_err(rejection);
    let conditions = match rules.and_then(|rules| required(view, key, &rules)) {
        Ok(_) => {
            let accepted =
                Condition::good(ConditionType::Accepted, Reason::Accepted, "the extension is valid");
            let ignored = extension.ignored().into_iter();
            let ignored: Vec<_> =
                ignored.map(|field| Detail::at(field, "is not supported yet and has no effect")).collect();
            let partial = (!ignored.is_empty()).then(|| {
                Condition::faults(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, ignored)
            });
            [accepted].into_iter().chain(partial).collect()
        }
        Err(error) => vec![Condition::rejected(ConditionType::Accepted, &error)],
    };
    let generation = extension.metadata.generation.unwrap_or_default();
    Some(Report { object: key.to_ref(), generation, facts: Facts::Conditions(conditions) })
}

/// What an object asks of tokens.
fn required(view: &impl View, owner: &ObjectKey, rules: &TokenRules) -> Result<FaceTokens, Rejection> {
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
    let BackendReference { group, kind, namespace, name, port, .. } = reference;
    let own = &owner.name.namespace;
    let namespace = namespace.as_deref().unwrap_or(own);
    let info = owner.kind.info();
    let meant = BackendRef { group, kind, namespace, name, port: *port };
    let key = backend::meant(view, &Party::new(info.group, info.kind, own), &meant, BackendProtocol::Http)?;
    let face = view.backend_face(&key)?;
    let Clusters::One(cluster) = face.clusters else {
        let text = "is a pool of AI providers, which tells no keys";
        return Err(Rejection::at(Reason::InvalidKind, "name", text));
    };
    let value = view.backend(&key);
    let resolved = value.as_ref().and_then(|backend| backend.result.as_ref().ok());
    let is_tls = resolved.is_some_and(|backend| backend.clusters.iter().any(|cluster| cluster.tls.is_some()));
    Ok((cluster, face.key, is_tls))
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
