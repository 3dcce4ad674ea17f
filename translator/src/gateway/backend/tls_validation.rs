//! What the certificate of a backend must be, as a BackendTLSPolicy or a backend itself says it
//! (`BackendTLSPolicyValidation`).

use crds::gateway_api::backendtlspolicies::{
    BackendTlsPolicyValidation, BackendTlsPolicyValidationSubjectAltNames as WrittenName,
    BackendTlsPolicyValidationSubjectAltNamesType as NameType,
};
use ir::{Hostname, SecretIr, SecretName, SecretValue, SubjectAltName, Trust, UpstreamTls};

use crate::gateway::tls::{Authorities, AuthoritiesRef};
use crate::gateway::validate;
use crate::gateway::view::View;
use crate::reference_grant::Party;
use crate::status::{Reason, Rejection};

/// The well-known authorities that may be named.
const SYSTEM: &str = "System";

/// What is said.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// Who is trusted, unless those of the system are.
    pub authorities: Authorities,
    pub trusts_system: bool,
    pub tls: Result<UpstreamTls, Rejection>,
}

impl Reading {
    /// Who is trusted, under the name that this TLS has for it.
    pub(super) fn trust(&self, view: &impl View, tls: &UpstreamTls) -> SecretIr {
        let trust = match self.trusts_system {
            true => view.trust().clone(),
            false => Trust::Pem(self.authorities.pem(view)),
        };
        SecretIr { name: tls.trust.clone(), value: SecretValue::Trust(trust) }
    }
}

/// Reads what `referrer` says in that field. `trust` is the name of the secret with the authorities that it names.
pub(super) fn read(
    view: &impl View,
    referrer: &Party,
    field: &str,
    validation: &BackendTlsPolicyValidation,
    trust: SecretName,
) -> Reading {
    let references = validation.ca_certificate_refs.as_deref().unwrap_or_default();
    let well_known = validation.well_known_ca_certificates.as_deref().filter(|_| references.is_empty());
    let (authorities, trusted) = match well_known {
        Some(SYSTEM) => (Authorities::default(), Ok(SecretName::default_trust())),
        Some(other) => {
            let text = format!("{other:?} is not known; {SYSTEM} is");
            let field = format!("{field}.wellKnownCACertificates");
            (Authorities::default(), Err(Rejection::at(Reason::Invalid, field, text)))
        }
        None => {
            let references = references.iter().map(|reference| AuthoritiesRef {
                group: &reference.group,
                kind: &reference.kind,
                namespace: None,
                name: &reference.name,
            });
            let field = format!("{field}.caCertificateRefs");
            let found = Authorities::resolve(view, referrer, &field, references, Reason::InvalidKind);
            let trusted = found.rejection().map_or(Ok(trust), Err);
            (found, trusted)
        }
    };
    let tls = || {
        let sni = server_name(&validation.hostname, field)?;
        let written = validation.subject_alt_names.as_deref().unwrap_or_default();
        let subject_alt_names = names(written, &sni, field)?;
        Ok(UpstreamTls { sni, subject_alt_names, trust: trusted?, client_certificate: None })
    };
    let tls = tls();
    Reading { authorities, trusts_system: well_known == Some(SYSTEM), tls }
}

fn server_name(text: &str, field: &str) -> Result<String, Rejection> {
    match validate::hostname(text) {
        Ok(Hostname::Exact(name)) => Ok(name.to_string()),
        _ => {
            let text = format!("{text:?} is not a DNS name");
            Err(Rejection::at(Reason::Invalid, format!("{field}.hostname"), text))
        }
    }
}

/// The names of which the certificate must have one: those that are written, else the server name.
fn names(written: &[WrittenName], server_name: &str, field: &str) -> Result<Vec<SubjectAltName>, Rejection> {
    if written.is_empty() {
        return Ok(vec![SubjectAltName::Host(server_name.to_owned())]);
    }
    let read = |(index, name): (usize, &WrittenName)| {
        let text = match name.r#type {
            NameType::Hostname => {
                name.hostname.clone().map(|text| SubjectAltName::Host(text.to_ascii_lowercase()))
            }
            NameType::Uri => name.uri.clone().map(SubjectAltName::Uri),
        };
        text.ok_or_else(|| {
            let field = format!("{field}.subjectAltNames[{index}]");
            Rejection::at(Reason::Invalid, field, "has no name of its type")
        })
    };
    written.iter().enumerate().map(read).collect()
}
