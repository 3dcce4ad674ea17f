use ir::{ClusterIr, IpFamilies, Redacted, SecretIr, SecretName, SecretValue, Trust, UpstreamProtocol};
use proto::cluster::Cluster;
use proto::core::data_source::Specifier;
use proto::tls::secret;
use proto::upstream_http::HttpProtocolOptions;
use proto::upstream_http::http_protocol_options::{
    UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
};

use super::sample::{endpoint, gemini, plain_cluster, provider_cluster, service};
use crate::xds::cluster::build_cluster;
use crate::xds::endpoint::build_load_assignment;
use crate::xds::secret::build_secret;

fn http_options(cluster: &Cluster) -> HttpProtocolOptions {
    let options: Vec<_> = cluster.typed_extension_protocol_options.values().collect();
    proto::unpack(options[0]).unwrap()
}

fn filters(ir: &ClusterIr) -> Vec<String> {
    let filters = http_options(&build_cluster(ir, IpFamilies::V4)).http_filters;
    filters
        .into_iter()
        .map(|filter| filter.name.trim_start_matches("envoy.filters.http.").to_owned())
        .collect()
}

#[test]
fn filters_are_there_when_needed_and_the_codec_is_last() {
    let bare = plain_cluster(service("a"));
    assert_eq!(filters(&bare), Vec::<String>::new());
    let full = provider_cluster(gemini(), "x.com");
    assert_eq!(filters(&full), ["lua", "header_mutation", "credential_injector", "upstream_codec"]);
    let mut headers = bare.clone();
    headers.http.remove_response_headers = vec!["server".to_owned()];
    assert_eq!(filters(&headers), ["header_mutation", "upstream_codec"]);
    let mut params = bare;
    params.http.remove_query_params = vec!["key".to_owned()];
    assert_eq!(filters(&params), ["lua", "upstream_codec"]);
}

#[test]
fn the_protocol_is_negotiated_only_where_it_can_be() {
    for (protocol, tls, expected) in [
        (UpstreamProtocol::Http1, false, "1"),
        (UpstreamProtocol::Http1, true, "1"),
        (UpstreamProtocol::Http2, false, "2"),
        (UpstreamProtocol::Http2, true, "2"),
        (UpstreamProtocol::Alpn, false, "1"),
        (UpstreamProtocol::Alpn, true, "auto"),
    ] {
        let mut ir = provider_cluster(gemini(), "x.com");
        ir.http.protocol = protocol;
        ir.tls = ir.tls.filter(|_| tls);
        let options = http_options(&build_cluster(&ir, IpFamilies::V4)).upstream_protocol_options;
        let shown = match options.unwrap() {
            UpstreamProtocolOptions::AutoConfig(_) => "auto",
            UpstreamProtocolOptions::ExplicitHttpConfig(explicit) => {
                match explicit.protocol_config.unwrap() {
                    ProtocolConfig::HttpProtocolOptions(_) => "1",
                    ProtocolConfig::Http2ProtocolOptions(_) => "2",
                    ProtocolConfig::Http3ProtocolOptions(_) => "3",
                }
            }
            UpstreamProtocolOptions::UseDownstreamProtocolConfig(_) => "downstream",
        };
        assert_eq!(shown, expected, "{protocol:?} with tls {tls}");
    }
}

#[test]
fn large_messages_get_larger_buffers() {
    let limit =
        |ir: &ClusterIr| build_cluster(ir, IpFamilies::V4).per_connection_buffer_limit_bytes.unwrap().value;
    assert_eq!(limit(&plain_cluster(service("a"))), 32 * 1024);
    let tuned = provider_cluster(gemini(), "x.com");
    assert_eq!(limit(&tuned), 64 * 1024, "what a BackendConfigPolicy says");
    assert_eq!(limit(&ClusterIr { tuning: None, ..tuned }), 1024 * 1024);
}

#[test]
fn draining_endpoints_are_marked_and_no_endpoints_is_an_empty_set() {
    let mut draining = endpoint("10.0.0.2", 80);
    draining.draining = true;
    let built = build_load_assignment(&service("a"), &[endpoint("10.0.0.1", 80), draining]);
    let health: Vec<_> =
        built.endpoints[0].lb_endpoints.iter().map(|host| host.health_status().as_str_name()).collect();
    assert_eq!(health, ["UNKNOWN", "DRAINING"]);
    assert!(build_load_assignment(&service("a"), &[]).endpoints.is_empty());
}

#[test]
fn secrets_hold_the_header_value_or_the_authorities() {
    let build = |value| build_secret(&SecretIr { name: SecretName::default_trust(), value }).r#type.unwrap();
    let secret::Type::GenericSecret(generic) =
        build(SecretValue::Credential(Redacted::new("Bearer k".to_owned())))
    else {
        panic!("not a generic secret")
    };
    assert_eq!(generic.secret.unwrap().specifier, Some(Specifier::InlineString("Bearer k".to_owned())));
    for (trust, expected) in [
        (Trust::File("/ca".to_owned()), Specifier::Filename("/ca".to_owned())),
        (Trust::Pem("PEM".to_owned()), Specifier::InlineString("PEM".to_owned())),
    ] {
        let secret::Type::ValidationContext(context) = build(SecretValue::Trust(trust)) else {
            panic!("not a validation context")
        };
        assert_eq!(context.trusted_ca.unwrap().specifier, Some(expected));
    }
}
