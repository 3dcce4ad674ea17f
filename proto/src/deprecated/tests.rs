use super::*;
use crate::cluster::{Cluster, LoadBalancingPolicy, cluster as inner, load_balancing_policy::Policy};
use crate::core::{TransportSocket, TypedExtensionConfig, transport_socket::ConfigType};
use crate::round_robin::RoundRobin;
use crate::{discovery, encode, pack, route, tls, type_url, u32_value, wkt};

fn found<M: prost::Name>(message: &M) -> Vec<String> {
    deprecated_fields(&type_url::<M>(), &encode(message)).unwrap()
}

fn clean_cluster() -> Cluster {
    let config = TypedExtensionConfig {
        name: "envoy.load_balancing_policies.round_robin".to_owned(),
        typed_config: Some(pack(&RoundRobin::default())),
    };
    let policy = Policy { typed_extension_config: Some(config) };
    Cluster {
        name: "a".to_owned(),
        cluster_discovery_type: Some(inner::ClusterDiscoveryType::Type(inner::DiscoveryType::Eds.into())),
        load_balancing_policy: Some(LoadBalancingPolicy { policies: vec![policy] }),
        ..Default::default()
    }
}

#[expect(deprecated, reason = "the deprecated field is what the test is about")]
fn deprecated_cluster() -> Cluster {
    Cluster { max_requests_per_connection: Some(u32_value(1)), ..clean_cluster() }
}

/// A cluster whose TLS context, an `Any`, matches subject names as one did before v3.
#[expect(deprecated, reason = "the deprecated field is what the test is about")]
fn cluster_with_deprecated_tls() -> Cluster {
    let validation = tls::CertificateValidationContext {
        match_subject_alt_names: vec![Default::default()],
        ..Default::default()
    };
    let common = tls::CommonTlsContext {
        validation_context_type: Some(tls::common_tls_context::ValidationContextType::ValidationContext(
            validation,
        )),
        ..Default::default()
    };
    let context = tls::UpstreamTlsContext { common_tls_context: Some(common), ..Default::default() };
    let socket = TransportSocket {
        name: "tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&context))),
    };
    Cluster { transport_socket: Some(socket), ..clean_cluster() }
}

#[test]
fn a_clean_message_has_none() {
    assert_eq!(found(&clean_cluster()), [""; 0]);
}

#[test]
fn a_deprecated_field_is_found() {
    assert_eq!(found(&deprecated_cluster()), ["max_requests_per_connection"]);
}

#[test]
fn a_deprecated_field_is_found_inside_an_any() {
    let path = "transport_socket.typed_config.common_tls_context.validation_context.match_subject_alt_names";
    assert_eq!(found(&cluster_with_deprecated_tls()), [path]);
}

#[test]
fn paths_count_list_items_and_quote_map_keys() {
    let response = discovery::DiscoveryResponse {
        resources: vec![pack(&clean_cluster()), pack(&deprecated_cluster())],
        ..Default::default()
    };
    assert_eq!(found(&response), ["resources[1].max_requests_per_connection"]);

    let per_filter = [("a.b".to_owned(), pack(&deprecated_cluster()))];
    let host = route::VirtualHost { typed_per_filter_config: per_filter.into(), ..Default::default() };
    assert_eq!(found(&host), [r#"typed_per_filter_config["a.b"].max_requests_per_connection"#]);
}

#[test]
fn an_any_of_an_unknown_type_is_an_error() {
    let unknown = wkt::Any { type_url: "type.googleapis.com/example.Nothing".to_owned(), value: vec![1] };
    let response = discovery::DiscoveryResponse { resources: vec![unknown], ..Default::default() };
    let result = deprecated_fields(&type_url::<discovery::DiscoveryResponse>(), &encode(&response));
    assert!(matches!(result, Err(DescribeError::UnknownType(name)) if name == "example.Nothing"));
}
