//! A Kubernetes Secret as a certificate with its key.
//!
//! What Envoy would refuse must be refused here, where it costs its listener alone and the status names the Secret.

use std::sync::Arc;

use crds::NamespacedName;
use crds::core::Secret;
use ir::{Certificate, Redacted, SecretIr, SecretName, SecretValue};
use rustls::crypto::ring::sign::any_supported_type;
use x509_parser::prelude::{FromDer as _, GeneralName, SubjectPublicKeyInfo, X509Certificate};

use super::pem;
use crate::gateway::facts::{CertificateFacts, CertificateValue};
use crate::gateway::view::View;
use crate::xds;

/// The type of the Secrets that hold a certificate with its key (Kubernetes, `SecretTypeTLS`).
const TYPE: &str = "kubernetes.io/tls";
/// Where in such a Secret the certificate is, with those that lead to its authority.
const CHAIN: &str = "tls.crt";
/// Where the private key is.
const KEY: &str = "tls.key";

/// The certificate in a Secret; `None` if there is no such Secret.
pub(crate) fn certificate(view: &impl View, key: &NamespacedName) -> Option<CertificateValue> {
    let secret = view.object::<Secret>(key)?;
    Some(match read(secret) {
        Ok(facts) => {
            let name = SecretName::certificate(&key.namespace, &key.name);
            let secret = SecretIr { name, value: SecretValue::Certificate(facts.certificate.clone()) };
            let encoded = xds::encode_secret(&secret, &view.settings().test_hooks);
            CertificateValue { result: Ok(facts), encoded: Some(Arc::new(encoded)) }
        }
        Err(message) => CertificateValue { result: Err(message), encoded: None },
    })
}

fn read(secret: &Secret) -> Result<CertificateFacts, String> {
    let type_ = secret.type_.as_deref().unwrap_or("Opaque");
    if type_ != TYPE {
        return Err(format!("is of type {type_}, and a certificate is in one of type {TYPE}"));
    }
    let text = |key: &str| -> Result<&str, String> {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let value = value.filter(|value| !value.0.is_empty()).ok_or_else(|| format!("has no {key}"))?;
        std::str::from_utf8(&value.0).map_err(|_| format!("{key}: is not text"))
    };
    let (chain, key) = (text(CHAIN)?, text(KEY)?);
    let within = |field: &'static str| move |error: String| format!("{field}: {error}");
    let ders = pem::certificates(chain).map_err(within(CHAIN))?;
    let leaf = ders.first().ok_or_else(|| format!("{CHAIN}: holds no certificate"))?;
    let leaf = pem::parse(leaf).map_err(within(CHAIN))?;
    fits(key, &leaf).map_err(within(KEY))?;
    let certificate = Certificate { chain: chain.to_owned(), key: Redacted::new(key.to_owned()) };
    Ok(CertificateFacts { names: names(&leaf), certificate })
}

/// Whether a private key is that of a certificate, and one that Envoy takes.
fn fits(key: &str, leaf: &X509Certificate<'_>) -> Result<(), String> {
    let key = pem::private_key(key)?;
    let key = any_supported_type(&key).map_err(|_| {
        "is not a key that can be used: RSA with 2048 to 4096 bits, or ECDSA with P-256 or P-384".to_owned()
    })?;
    let public = key.public_key();
    let public = public.as_ref().and_then(|der| SubjectPublicKeyInfo::from_der(der).ok());
    let public = public.map(|(_, public)| public.subject_public_key.data);
    match public.as_deref() == Some(&*leaf.public_key().subject_public_key.data) {
        true => Ok(()),
        false => Err("is not the key of the certificate".to_owned()),
    }
}

/// The hosts that a certificate is for: DNS names in lower case, or its common name where it has none.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let alternative = leaf.subject_alternative_name().ok().flatten();
    let alternative = alternative.iter().flat_map(|names| &names.value.general_names);
    let mut names: Vec<_> = alternative
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let common = leaf.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    names.sort();
    names.dedup();
    names
}
