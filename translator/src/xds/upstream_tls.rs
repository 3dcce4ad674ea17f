//! TLS towards backends. The certificate is always verified, and so is the name in it.

use std::net::IpAddr;

use ir::{SubjectAltName, UpstreamProtocol, UpstreamTls};
use proto::core::TransportSocket;
use proto::tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use proto::tls::subject_alt_name_matcher::SanType;
use proto::tls::{CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, UpstreamTlsContext};

use super::config_source::sds;
use super::matcher::exact;
use super::tls_socket::{tls_params, tls_socket};

/// The transport socket of a cluster.
pub(super) fn build_transport_socket(ir: &UpstreamTls, protocol: UpstreamProtocol) -> TransportSocket {
    tls_socket(&UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(tls_params()),
            tls_certificate_sds_secret_configs: ir.client_certificate.iter().map(sds).collect(),
            alpn_protocols: alpn_protocols(protocol),
            validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation(ir))),
            ..CommonTlsContext::default()
        }),
        // A server name is a DNS name (RFC 6066 §3): towards an address none is sent.
        sni: if is_address(&ir.sni) { String::new() } else { ir.sni.clone() },
        ..UpstreamTlsContext::default()
    })
}

/// The names stand in the cluster, the authorities come by SDS: one secret serves all clusters.
fn validation(ir: &UpstreamTls) -> CombinedCertificateValidationContext {
    let matcher = |name: &SubjectAltName| {
        let (san_type, text) = match name {
            SubjectAltName::Host(name) if is_address(name) => (SanType::IpAddress, name),
            SubjectAltName::Host(name) => (SanType::Dns, name),
            SubjectAltName::Uri(uri) => (SanType::Uri, uri),
        };
        SubjectAltNameMatcher {
            san_type: san_type.into(),
            matcher: Some(exact(text)),
            ..SubjectAltNameMatcher::default()
        }
    };
    CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: ir.subject_alt_names.iter().map(matcher).collect(),
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(sds(&ir.trust)),
        ..CombinedCertificateValidationContext::default()
    }
}

fn is_address(name: &str) -> bool {
    name.parse::<IpAddr>().is_ok()
}

/// What the handshake offers. For negotiation Envoy offers what the cluster's HTTP options allow.
fn alpn_protocols(protocol: UpstreamProtocol) -> Vec<String> {
    match protocol {
        UpstreamProtocol::Http2 => vec!["h2".to_owned()],
        UpstreamProtocol::Http1 | UpstreamProtocol::Alpn | UpstreamProtocol::Raw => Vec::new(),
    }
}
