use serde_json::json;

use super::*;
use crate::cluster::{Cluster, cluster::ClusterDiscoveryType, cluster::DiscoveryType};
use crate::core::{DataSource, TransportSocket, data_source, transport_socket};
use crate::tls::{GenericSecret, Secret, TlsCertificate, secret};
use crate::upstream_http::{HttpProtocolOptions, http_protocol_options as http};
use crate::{bool_value, core, discovery, duration, encode, pack, route, tls, u32_value, wkt};

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const HTTP_OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const KEY: &str = "a-key-that-nobody-may-see";

fn inline(text: &str) -> DataSource {
    let specifier = data_source::Specifier::InlineString(text.to_owned());
    DataSource { specifier: Some(specifier), ..Default::default() }
}

fn generic_secret() -> Secret {
    let secret = GenericSecret { secret: Some(inline(KEY)), ..Default::default() };
    Secret { name: "key".to_owned(), r#type: Some(secret::Type::GenericSecret(secret)) }
}

fn certificate() -> TlsCertificate {
    TlsCertificate {
        certificate_chain: Some(inline("public")),
        private_key: Some(inline(KEY)),
        ..Default::default()
    }
}

fn cluster() -> Cluster {
    let http2 = http::explicit_http_config::ProtocolConfig::Http2ProtocolOptions(Default::default());
    let explicit = http::ExplicitHttpConfig { protocol_config: Some(http2) };
    let protocol = http::UpstreamProtocolOptions::ExplicitHttpConfig(explicit);
    let options = HttpProtocolOptions { upstream_protocol_options: Some(protocol), ..Default::default() };
    Cluster {
        name: "a".to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        connect_timeout: Some(duration(std::time::Duration::from_millis(2500))),
        per_connection_buffer_limit_bytes: Some(u32_value(32768)),
        typed_extension_protocol_options: [(HTTP_OPTIONS.to_owned(), pack(&options))].into(),
        ..Default::default()
    }
}

#[test]
fn a_cluster_reads_as_in_envoys_documentation() {
    let expected = json!({
        "name": "a",
        "type": "EDS",
        "connect_timeout": "2.500s",
        "per_connection_buffer_limit_bytes": 32768,
        "typed_extension_protocol_options": {
            HTTP_OPTIONS: {
                "@type": format!("type.googleapis.com/{HTTP_OPTIONS}"),
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
    });
    assert_eq!(message_to_json(&cluster()).unwrap(), expected);
}

#[test]
fn an_any_says_its_type() {
    let json = message_to_json(&pack(&cluster())).unwrap();
    assert_eq!(json["@type"], "type.googleapis.com/envoy.config.cluster.v3.Cluster");
    assert_eq!(json["name"], "a");
}

#[test]
fn what_was_written_reads_back_to_the_same_bytes() {
    let bytes = encode(&cluster());
    let json = to_json(CLUSTER, &bytes).unwrap();
    assert_eq!(from_json(CLUSTER, &json).unwrap(), bytes);
    assert_eq!(message_from_json::<Cluster>(&json).unwrap(), cluster());
}

#[test]
fn an_unknown_field_in_json_is_an_error_that_names_it() {
    let error = from_json(CLUSTER, &json!({"name": "a", "nmae": "b"})).unwrap_err();
    let DescribeError::FromJson { message, source } = error else { panic!("{error}") };
    assert_eq!(message, "envoy.config.cluster.v3.Cluster");
    assert!(source.to_string().contains("nmae"), "{source}");
}

#[test]
fn an_any_of_an_unknown_type_is_an_error() {
    let unknown = wkt::Any { type_url: "type.googleapis.com/example.Nothing".to_owned(), value: vec![] };
    assert!(matches!(message_to_json(&unknown), Err(DescribeError::ToJson { .. })));
}

#[test]
fn a_generic_secret_is_redacted() {
    let expected = json!({"name": "key", "generic_secret": {"secret": REDACTED}});
    assert_eq!(message_to_json(&generic_secret()).unwrap(), expected);
}

#[test]
fn every_secret_of_a_map_of_secrets_is_redacted() {
    let secret = GenericSecret {
        secrets: [("a".to_owned(), inline(KEY)), ("b".to_owned(), inline(KEY))].into(),
        ..Default::default()
    };
    let json = message_to_json(&secret).unwrap();
    assert!(!json.to_string().contains(KEY), "{json}");
}

#[test]
fn a_private_key_is_redacted_and_its_certificate_is_not() {
    let expected = json!({"certificate_chain": {"inline_string": "public"}, "private_key": REDACTED});
    assert_eq!(message_to_json(&certificate()).unwrap(), expected);
}

#[test]
fn secrets_are_redacted_in_an_any_in_an_any() {
    let context = tls::UpstreamTlsContext {
        common_tls_context: Some(tls::CommonTlsContext {
            tls_certificates: vec![certificate()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let socket = TransportSocket {
        name: "tls".to_owned(),
        config_type: Some(transport_socket::ConfigType::TypedConfig(pack(&context))),
    };
    let cluster = Cluster { transport_socket: Some(socket), ..cluster() };
    let response = discovery::DiscoveryResponse {
        resources: vec![pack(&cluster), pack(&generic_secret()), pack(&pack(&generic_secret()))],
        ..Default::default()
    };
    let json = message_to_json(&response).unwrap();
    let certificate = "/resources/0/transport_socket/typed_config/common_tls_context/tls_certificates/0";
    assert_eq!(json.pointer(&format!("{certificate}/private_key")), Some(&json!(REDACTED)));
    assert_eq!(json.pointer("/resources/1/generic_secret/secret"), Some(&json!(REDACTED)));
    assert_eq!(json.pointer("/resources/2/value/generic_secret/secret"), Some(&json!(REDACTED)));
    assert!(!json.to_string().contains(KEY), "{json}");
}

#[test]
fn secrets_are_redacted_in_an_any_that_is_a_maps_value() {
    let per_filter = [("filter".to_owned(), pack(&generic_secret()))];
    let host = route::VirtualHost { typed_per_filter_config: per_filter.into(), ..Default::default() };
    let json = message_to_json(&host).unwrap();
    assert_eq!(json["typed_per_filter_config"]["filter"]["generic_secret"]["secret"], REDACTED);
}

#[test]
fn unredacted_json_holds_the_secret() {
    let json = message_to_json_unredacted(&generic_secret()).unwrap();
    assert_eq!(json["generic_secret"]["secret"]["inline_string"], KEY);
}

#[test]
fn a_field_set_to_its_default_inside_a_wrapper_is_shown() {
    let route = core::HttpUri::default();
    assert_eq!(message_to_json(&route).unwrap(), json!({}));
    let action = route::RouteAction {
        host_rewrite_specifier: Some(route::route_action::HostRewriteSpecifier::AutoHostRewrite(bool_value(
            false,
        ))),
        ..Default::default()
    };
    assert_eq!(message_to_json(&action).unwrap(), json!({"auto_host_rewrite": false}));
}

#[test]
fn an_any_without_a_type_is_an_empty_object() {
    let enabled = route::FilterConfig { config: Some(wkt::Any::default()), ..Default::default() };
    let routes = vec![route::Route {
        typed_per_filter_config: [("f".to_owned(), pack(&enabled))].into(),
        ..Default::default()
    }];
    let host = route::VirtualHost { name: "h".to_owned(), routes, ..Default::default() };
    let json = message_to_json(&host).unwrap();
    let config = &json["routes"][0]["typed_per_filter_config"]["f"];
    assert_eq!(config["config"], json!({}));
    assert_eq!(json["name"], "h");
}
