//! AI backends: one cluster with verified TLS, the provider's host and path, and a credential
//! header that only the proxy knows.

use std::collections::BTreeSet;

use crds::ai::{AiDestination, AuthToken, PathOverride, Provider, SECRET_KEY};
use crds::core::Secret;
use crds::{NamespacedName, ObjectKey, SensitiveString};
use ir::{
    ClusterIr, ClusterName, Credential, Discovery, HostPort, HostRewrite, PathRewrite, Redacted, Rewrite,
    SecretIr, SecretName, SecretValue, UpstreamHttp, UpstreamProtocol, UpstreamTls,
};

use super::ResolvedBackend;
use super::provider::{self, Profile};
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};

/// The port on which TLS is spoken, and on no other (the dialects' rule).
const HTTPS: u16 = 443;

/// Headers in which clients carry credentials; none of them is a provider's business.
const CLIENT_CREDENTIALS: [&str; 6] =
    ["api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"];

/// Headers that tell who the client is; the proxy itself has set some of them.
const CLIENT_ADDRESS: [&str; 4] = ["forwarded", "x-envoy-external-address", "x-forwarded-for", "x-real-ip"];

/// Another key under which documents of the dialects have put the credential.
const LENIENT_SECRET_KEY: &str = "api-key";

/// Resolves an AI backend.
pub(super) fn resolve(
    view: &impl View,
    object: &ObjectKey,
    name: ClusterName,
    spec: &AiDestination,
) -> Result<ResolvedBackend, Rejection> {
    let profile = provider::profile(&spec.provider);
    let place = Place::of(spec, &profile);
    if !is_allowed_host(&place.connect.host, view.settings()) {
        let message = format!("the host {} is one that a proxy may not be pointed at", place.connect.host);
        return Err(Rejection::new(Reason::Invalid, message));
    }
    let mut warnings = Vec::new();
    let credential = match &spec.auth {
        AuthToken::Inline(token) => Some(token.clone()),
        AuthToken::SecretRef(secret) => Some(read_secret(view, object, secret, &mut warnings)?),
        AuthToken::Passthrough => None,
    };
    let header =
        spec.overrides.auth_header_name.as_deref().unwrap_or(profile.auth_header).to_ascii_lowercase();
    let mut secrets = Vec::new();
    let credential = credential.map(|token| {
        let prefix = spec.overrides.auth_header_prefix.as_deref().unwrap_or(profile.auth_prefix);
        let secret = SecretName::credential(&name);
        let value = SecretValue::Credential(Redacted::new(format!("{prefix}{}", token.expose())));
        secrets.push(SecretIr { name: secret.clone(), value });
        Credential { header: header.clone(), secret }
    });
    let tls = (place.connect.port == HTTPS).then(|| {
        let trust = SecretName::default_trust();
        let value = SecretValue::Trust(view.trust().clone());
        secrets.push(SecretIr { name: trust.clone(), value });
        UpstreamTls {
            sni: place.server_name.clone(),
            subject_alt_names: vec![place.server_name.clone()],
            trust,
        }
    });
    let cluster = ClusterIr {
        name,
        discovery: Discovery::Dns(vec![view.settings().connect(place.connect)]),
        tls,
        http: UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            remove_request_headers: removed_headers(&header, credential.is_some()),
            remove_query_params: removed_params(&profile, credential.is_some()),
            remove_response_headers: vec!["server".to_owned()],
            credential,
            large_messages: true,
        },
    };
    Ok(ResolvedBackend {
        cluster,
        secrets,
        rewrite: Rewrite {
            host: Some(HostRewrite::Literal(place.authority)),
            path: Some(path(spec, &profile)),
        },
        is_ai: true,
        partial: partial(&spec.provider),
        warnings,
    })
}

/// Where a provider is.
struct Place {
    connect: HostPort,
    /// In the TLS handshake, and what the certificate must be for.
    server_name: String,
    /// In the `Host` header.
    authority: String,
}

impl Place {
    fn of(spec: &AiDestination, profile: &Profile) -> Self {
        match &spec.overrides.host {
            None => Self {
                connect: HostPort { host: profile.host.to_owned(), port: HTTPS },
                server_name: profile.host.to_owned(),
                authority: profile.host.to_owned(),
            },
            Some(host) => Self {
                connect: HostPort { host: host.host.clone(), port: host.port.get() },
                server_name: host.server_name.clone(),
                authority: authority(&host.server_name, host.port.get()),
            },
        }
    }
}

/// `Host` as a client would write it: with the port unless it is the scheme's own.
fn authority(host: &str, port: u16) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == HTTPS || port == 80 { host } else { format!("{host}:{port}") }
}

/// The provider's path, whatever the route's path: the whole path is replaced.
fn path(spec: &AiDestination, profile: &Profile) -> PathRewrite {
    let path = match &spec.overrides.path {
        None => profile.path.clone(),
        Some(PathOverride::Full(path)) => path.clone(),
        Some(PathOverride::Base(base)) => format!("{base}{}", profile.path),
    };
    PathRewrite::Full(path)
}

/// Clients' credentials do not reach a provider, unless passing them through is what is asked for;
/// their addresses never do.
fn removed_headers(header: &str, has_credential: bool) -> Vec<String> {
    let credentials: &[&str] =
        if has_credential { &CLIENT_CREDENTIALS } else { &["cookie", "proxy-authorization"] };
    let own = has_credential.then_some(header);
    let all: BTreeSet<&str> = CLIENT_ADDRESS.iter().chain(credentials).copied().chain(own).collect();
    all.into_iter().map(str::to_owned).collect()
}

fn removed_params(profile: &Profile, has_credential: bool) -> Vec<String> {
    let params = if has_credential { profile.credential_params } else { &[] };
    params.iter().map(|name| (*name).to_owned()).collect()
}

/// What of a provider's settings needs the request's body, which the proxy does not read yet.
fn partial(provider: &Provider) -> Vec<String> {
    match provider {
        Provider::OpenAi { model: Some(model) } => {
            vec![format!(
                "openai.model: {model:?} is not put into requests yet; each keeps the model that it names"
            )]
        }
        Provider::OpenAi { model: None } | Provider::Gemini { .. } => Vec::new(),
    }
}

fn read_secret(
    view: &impl View,
    object: &ObjectKey,
    secret: &NamespacedName,
    warnings: &mut Vec<String>,
) -> Result<SensitiveString, Rejection> {
    let info = object.kind.info();
    let referrer = Party::new(info.group, info.kind, &object.name.namespace);
    if !view.permits(&referrer, &Party::new("", "Secret", &secret.namespace), &secret.name) {
        let message = format!(
            "Secret {secret} is in another namespace, and no ReferenceGrant there permits {}",
            info.kind
        );
        return Err(Rejection::new(Reason::RefNotPermitted, message));
    }
    let Some(found) = view.object::<Secret>(secret) else {
        return Err(Rejection::new(Reason::SecretNotFound, format!("Secret {secret} does not exist")));
    };
    let data = found.data.as_ref();
    let entry = |key: &str| data.and_then(|data| data.get(key));
    let value = entry(SECRET_KEY).or_else(|| {
        let lenient = entry(LENIENT_SECRET_KEY)?;
        warnings.push(format!("Secret {secret}: the key {LENIENT_SECRET_KEY:?} should be {SECRET_KEY:?}"));
        Some(lenient)
    });
    let invalid = |what: &str| Rejection::new(Reason::SecretInvalid, format!("Secret {secret}: {what}"));
    let Some(value) = value else {
        return Err(invalid(&format!("has no key {SECRET_KEY:?}")));
    };
    let text = std::str::from_utf8(&value.0).map_err(|_| invalid("the credential is not text"))?;
    crds::ai::credential(text).ok_or_else(|| {
        invalid("the credential is empty (was a shell variable unset?) or holds a control character")
    })
}
