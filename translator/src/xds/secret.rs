//! Secrets, which Envoy receives by SDS alone: its config dump does not show them.

use ir::{Certificate, SecretIr, SecretValue, Trust};
use proto::core::DataSource;
use proto::core::data_source::Specifier;
use proto::tls::{CertificateValidationContext, GenericSecret, Secret, TlsCertificate, secret};

/// The message of one secret.
pub(super) fn build_secret(ir: &SecretIr) -> Secret {
    let r#type = match &ir.value {
        SecretValue::Credential(value) => secret::Type::GenericSecret(GenericSecret {
            secret: Some(data_source(Specifier::InlineString(value.expose().clone()))),
            ..GenericSecret::default()
        }),
        SecretValue::Certificate(Certificate { chain, key }) => {
            secret::Type::TlsCertificate(TlsCertificate {
                certificate_chain: Some(data_source(Specifier::InlineString(chain.clone()))),
                private_key: Some(data_source(Specifier::InlineString(key.expose().clone()))),
                ..TlsCertificate::default()
            })
        }
        SecretValue::Trust(trust) => secret::Type::ValidationContext(CertificateValidationContext {
            trusted_ca: Some(data_source(match trust {
                Trust::File(path) => Specifier::Filename(path.clone()),
                Trust::Pem(pem) => Specifier::InlineString(pem.clone()),
            })),
            ..CertificateValidationContext::default()
        }),
    };
    Secret { name: ir.name.to_string(), r#type: Some(r#type) }
}

fn data_source(specifier: Specifier) -> DataSource {
    DataSource { specifier: Some(specifier), ..DataSource::default() }
}
