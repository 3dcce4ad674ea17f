//! TLS with clients: certificates, versions, and what clients must show.

use ir::{ClientValidation, DownstreamTls, Protocol};
use proto::bool_value;
use proto::core::TransportSocket;
use proto::tls::certificate_validation_context::TrustChainVerification;
use proto::tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use proto::tls::{CertificateValidationContext, CommonTlsContext, DownstreamTlsContext};

use super::config_source::sds;
use super::tls_socket::{tls_params, tls_socket};

/// The transport socket of a filter chain.
pub(super) fn build_transport_socket(ir: &DownstreamTls, protocol: &Protocol) -> TransportSocket {
    let validation = ir.client_validation.as_ref();
    tls_socket(&DownstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(tls_params()),
            tls_certificate_sds_secret_configs: ir.certificates.iter().map(sds).collect(),
            alpn_protocols: alpn_protocols(protocol),
            validation_context_type: validation.map(client_certificates),
            ..CommonTlsContext::default()
        }),
        require_client_certificate: validation.map(|validation| bool_value(!validation.accept_invalid)),
        ..DownstreamTlsContext::default()
    })
}

/// What clients may show. With authorities, Envoy asks each client for a certificate.
fn client_certificates(ir: &ClientValidation) -> ValidationContextType {
    let verification = match ir.accept_invalid {
        true => TrustChainVerification::AcceptUntrusted,
        false => TrustChainVerification::VerifyTrustChain,
    };
    ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            trust_chain_verification: verification.into(),
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(sds(&ir.trust)),
        ..CombinedCertificateValidationContext::default()
    })
}

fn alpn_protocols(protocol: &Protocol) -> Vec<String> {
    match protocol {
        Protocol::Http(_) => vec!["h2".to_owned(), "http/1.1".to_owned()],
        Protocol::Bytes(_) | Protocol::Closed => Vec::new(),
    }
}
