//! One provider of a pool → its cluster and its secrets.

use std::collections::BTreeSet;

use crds::ai::{AiDestination, AuthToken, AwsCredential, Provider};
use crds::{ObjectKey, SensitiveString};
use ir::{
    AwsSigning, ClusterIr, ClusterName, Credential, Discovery, Engine, ModuleSource, Redacted, SecretIr,
    SecretName, SecretValue, SubjectAltName, UpstreamHttp, UpstreamProtocol, UpstreamTls,
};

use super::Parts;
use super::credential;
use super::engine;
use super::provider::{HTTPS, Profile};
use crate::gateway::target_address::is_allowed_host;
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Headers in which clients carry credentials; none of them is a provider's business.
const CLIENT_CREDENTIALS: [&str; 6] =
    ["api-key", "authorization", "cookie", "proxy-authorization", "x-api-key", "x-goog-api-key"];

/// Headers that tell who the client is; the proxy itself has set some of them.
const CLIENT_ADDRESS: [&str; 4] = ["forwarded", "x-envoy-external-address", "x-forwarded-for", "x-real-ip"];

/// Headers of a signature; those of an earlier attempt, at another provider, must not stay.
const SIGNATURE: [&str; 3] = ["x-amz-content-sha256", "x-amz-date", "x-amz-security-token"];

/// The headers in which the members of a pool carry their credentials. Envoy keeps what one attempt has put into a
/// request for the next one, so that each member takes off those of the others.
pub(super) fn credential_headers<'a>(all: impl Iterator<Item = &'a AiDestination>) -> BTreeSet<String> {
    let mut headers = BTreeSet::new();
    for destination in all {
        headers.insert(Profile::of(destination).auth_header);
        if matches!(destination.provider, Provider::Bedrock { .. }) {
            headers.extend(SIGNATURE.map(str::to_owned));
        }
    }
    headers
}

/// One provider of a pool.
pub(super) struct Member<'a, V> {
    pub view: &'a V,
    /// The Backend or Upstream.
    pub object: &'a ObjectKey,
    pub name: ClusterName,
    pub destination: &'a AiDestination,
    /// The AI engine's module, if there is one.
    pub module: Option<&'a ModuleSource>,
    /// Whether there are others.
    pub in_pool: bool,
}

impl<V: View> Member<'_, V> {
    /// Adds its cluster and what that refers to.
    pub(super) fn resolve(
        self,
        credential_headers: &BTreeSet<String>,
        parts: &mut Parts,
    ) -> Result<(), Rejection> {
        let Self { view, object, ref name, destination, module, in_pool } = self;
        let profile = Profile::of(destination);
        if !is_allowed_host(&profile.place.connect.host, view.settings()) {
            let host = &profile.place.connect.host;
            let message = format!("the host {host} is one that a proxy may not be pointed at");
            return Err(Rejection::new(Reason::Invalid, message));
        }
        let (credential, signing) = self.credential(&profile, parts)?;
        let tls = (profile.place.connect.port == HTTPS).then(|| {
            let trust = SecretName::default_trust();
            let secret = SecretIr { name: trust.clone(), value: SecretValue::Trust(view.trust().clone()) };
            if !parts.secrets.contains(&secret) {
                parts.secrets.push(secret);
            }
            let server_name = profile.place.server_name.clone();
            UpstreamTls {
                sni: server_name.clone(),
                subject_alt_names: vec![SubjectAltName::Host(server_name)],
                trust,
                client_certificate: None,
            }
        });
        let is_passthrough = destination.auth == AuthToken::Passthrough;
        let engine = module.map(|module| {
            let backend = format!("{}/{}", object.name.namespace, object.name.name);
            let pool_member = in_pool.then(|| name.to_string());
            let config = engine::config(backend, destination, &profile, pool_member);
            parts.offers.push(engine::offer(&config));
            // Plain types, whose serialisation cannot fail.
            Engine { module: module.clone(), config: serde_json::to_string(&config).unwrap_or_default() }
        });
        let http = UpstreamHttp {
            protocol: UpstreamProtocol::Http1,
            remove_request_headers: removed_headers(credential_headers, is_passthrough),
            // The engine takes them off itself.
            remove_query_params: match is_passthrough || engine.is_some() {
                true => Vec::new(),
                false => profile.credential_params(),
            },
            default_request_headers: profile.default_headers(),
            remove_response_headers: vec!["server".to_owned()],
            credential,
            signing,
            engine,
            in_pool,
            large_messages: true,
        };
        let connect = view.settings().connect(profile.place.connect);
        let discovery = Discovery::Dns(vec![connect]);
        parts.clusters.push(ClusterIr { name: name.clone(), discovery, tls, http, tuning: None });
        Ok(())
    }

    /// The credential header, or the signature, that requests get.
    fn credential(
        &self,
        profile: &Profile,
        parts: &mut Parts,
    ) -> Result<(Option<Credential>, Option<AwsSigning>), Rejection> {
        let (view, object) = (self.view, self.object);
        let token = match &self.destination.auth {
            AuthToken::Passthrough => return Ok((None, None)),
            AuthToken::AwsInline(credential) => return Ok((None, self.signing(credential))),
            AuthToken::AwsSecretRef(secret) => {
                let credential = credential::read_aws(view, object, secret)?;
                return Ok((None, self.signing(&credential)));
            }
            AuthToken::Inline(token) => token.clone(),
            AuthToken::SecretRef(secret) => credential::read(view, object, secret, &mut parts.warnings)?,
        };
        let (credential, secret) = injected(&self.name, &profile.auth_header, &profile.auth_prefix, &token);
        parts.secrets.push(secret);
        Ok((Some(credential), None))
    }

    fn signing(&self, credential: &AwsCredential) -> Option<AwsSigning> {
        let Provider::Bedrock { region, .. } = &self.destination.provider else { return None };
        let AwsCredential { access_key, secret_key, session_token } = credential;
        Some(AwsSigning {
            service: "bedrock".to_owned(),
            region: region.clone(),
            access_key: Redacted::new(access_key.expose().to_owned()),
            secret_key: Redacted::new(secret_key.expose().to_owned()),
            session_token: session_token.as_ref().map(|token| Redacted::new(token.expose().to_owned())),
        })
    }
}

/// A credential that each request to a cluster gets, with the secret that it comes from.
pub(super) fn injected(
    cluster: &ClusterName,
    header: &str,
    prefix: &str,
    token: &SensitiveString,
) -> (Credential, SecretIr) {
    let name = SecretName::credential(cluster);
    let value = Redacted::new(format!("{prefix}{}", token.expose()));
    let secret = SecretIr { name: name.clone(), value: SecretValue::Credential(value) };
    (Credential { header: header.to_owned(), secret: name }, secret)
}

/// Clients' credentials do not reach a provider, unless passing them through is what is asked for;
/// their addresses never do.
pub(super) fn removed_headers(credential_headers: &BTreeSet<String>, is_passthrough: bool) -> Vec<String> {
    let own: Vec<&str> = match is_passthrough {
        true => vec!["cookie", "proxy-authorization"],
        false => {
            CLIENT_CREDENTIALS.into_iter().chain(credential_headers.iter().map(String::as_str)).collect()
        }
    };
    let all: BTreeSet<&str> = CLIENT_ADDRESS.into_iter().chain(own).collect();
    all.into_iter().map(str::to_owned).collect()
}
