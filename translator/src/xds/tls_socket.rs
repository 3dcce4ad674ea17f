//! Transport sockets, and what TLS with clients and TLS with backends have in common.

use proto::core::{TransportSocket, transport_socket};
use proto::pack;
use proto::tls::TlsParameters;
use proto::tls::tls_parameters::TlsProtocol;

/// Under this name Envoy finds TLS.
const TLS: &str = "envoy.transport_sockets.tls";

/// A transport socket with that context.
pub(super) fn tls_socket<M: prost::Name>(context: &M) -> TransportSocket {
    named_socket(TLS, context)
}

/// The transport socket that Envoy finds under this name.
pub(super) fn named_socket<M: prost::Name>(name: &str, config: &M) -> TransportSocket {
    TransportSocket {
        name: name.to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(config))),
    }
}

/// TLS 1.2 and 1.3, with Envoy's choice of cipher suites: those with forward secrecy and authenticated encryption come
/// first.
pub(super) fn tls_params() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    }
}
