use std::collections::BTreeSet;

use super::*;

/// The packages that `lib.rs` re-exports, as its `pub use pb::…` lines say.
fn re_exported_packages() -> Vec<String> {
    include_str!("../lib.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("pub use pb::"))
        .filter_map(|line| line.trim_end_matches(';').split(" as ").next())
        .map(|path| path.replace("r#", "").replace("::", "."))
        .collect()
}

#[test]
fn the_committed_descriptors_are_those_of_the_pinned_envoy() {
    assert_eq!(ENVOY_VERSION, include_str!("../../../.envoy-version").trim());
}

#[test]
fn every_re_exported_package_is_in_the_pinned_envoy() {
    let known: BTreeSet<_> = pool().files().map(|file| file.package_name().to_owned()).collect();
    let packages = re_exported_packages();
    assert!(packages.len() > 80, "lib.rs is not written as this test reads it: {packages:?}");
    let missing: Vec<_> = packages.iter().filter(|package| !known.contains(*package)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_message_that_we_pack_is_in_the_pinned_envoy() {
    macro_rules! type_urls {
        ($($message:path),* $(,)?) => { [$(crate::type_url::<$message>()),*] };
    }
    let urls = type_urls![
        crate::access_log::AccessLog,
        crate::bootstrap::Bootstrap,
        crate::buffer::Buffer,
        crate::cluster::Cluster,
        crate::cors::Cors,
        crate::cors::CorsPolicy,
        crate::credential_injector::CredentialInjector,
        crate::discovery::DeltaDiscoveryRequest,
        crate::discovery::DeltaDiscoveryResponse,
        crate::discovery::DiscoveryRequest,
        crate::discovery::DiscoveryResponse,
        crate::dns_cluster::DnsCluster,
        crate::downstream_connections::DownstreamConnectionsConfig,
        crate::dynamic_module_filter::DynamicModuleFilter,
        crate::endpoint::ClusterLoadAssignment,
        crate::ext_authz::ExtAuthz,
        crate::ext_proc::ExternalProcessor,
        crate::file_access_log::FileAccessLog,
        crate::fixed_heap::FixedHeapConfig,
        crate::generic_credential::Generic,
        crate::hcm::HttpConnectionManager,
        crate::header_mutation::HeaderMutation,
        crate::header_mutation::HeaderMutationPerRoute,
        crate::jwt_authn::JwtAuthentication,
        crate::least_request::LeastRequest,
        crate::listener::Listener,
        crate::local_ratelimit::LocalRateLimit,
        crate::maglev::Maglev,
        crate::ring_hash::RingHash,
        crate::round_robin::RoundRobin,
        crate::route::RouteConfiguration,
        crate::route::ScopedRouteConfiguration,
        crate::route::VirtualHost,
        crate::router::Router,
        crate::stream_access_log::StderrAccessLog,
        crate::stream_access_log::StdoutAccessLog,
        crate::tls::DownstreamTlsContext,
        crate::tls::Secret,
        crate::tls::UpstreamTlsContext,
        crate::tls_inspector::TlsInspector,
        crate::upstream_codec::UpstreamCodec,
        crate::upstream_http::HttpProtocolOptions,
        crate::uuid_request_id::UuidRequestIdConfig,
        crate::validators::MinimumClustersValidator,
        crate::wkt::StringValue,
        crate::wkt::Struct,
    ];
    let missing: Vec<_> = urls.iter().filter(|url| descriptor(url).is_err()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_unknown_type_is_an_error_that_names_it() {
    let error = decode("type.googleapis.com/example.Nothing", &[]).unwrap_err();
    assert_eq!(error.to_string(), format!("Envoy {ENVOY_VERSION} has no message `example.Nothing`"));
}

#[test]
fn sensitive_fields_are_known_by_their_annotation() {
    let secret = descriptor("envoy.extensions.transport_sockets.tls.v3.TlsCertificate").unwrap();
    let is_sensitive = |name| is_sensitive(&secret.get_field_by_name(name).unwrap());
    assert!(is_sensitive("private_key"));
    assert!(is_sensitive("password"));
    assert!(!is_sensitive("certificate_chain"));
}
