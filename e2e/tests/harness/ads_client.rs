//! The client against a naive server that is also made from `xds-api`.

mod server;

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::ads_client::pb::envoy::config::cluster::v3::Cluster;
use e2e::ads_client::pb::envoy::config::cluster::v3::cluster::{
    ClusterDiscoveryType, DiscoveryType, EdsClusterConfig,
};
use e2e::ads_client::pb::envoy::config::core::v3::transport_socket::ConfigType as SocketConfig;
use e2e::ads_client::pb::envoy::config::core::v3::{ConfigSource, TransportSocket, TypedExtensionConfig};
use e2e::ads_client::pb::envoy::config::endpoint::v3::ClusterLoadAssignment;
use e2e::ads_client::pb::envoy::config::listener::v3::filter::ConfigType as FilterConfig;
use e2e::ads_client::pb::envoy::config::listener::v3::{Filter, FilterChain, Listener};
use e2e::ads_client::pb::envoy::config::route::v3::RouteConfiguration;
use e2e::ads_client::pb::envoy::extensions::filters::network::http_connection_manager::v3::http_connection_manager::RouteSpecifier;
use e2e::ads_client::pb::envoy::extensions::filters::network::http_connection_manager::v3::{
    HttpConnectionManager, HttpFilter, Rds, http_filter,
};
use e2e::ads_client::pb::envoy::extensions::transport_sockets::tls::v3::{SdsSecretConfig, Secret};
use e2e::ads_client::pb::google::protobuf::Any;
use e2e::ads_client::{AdsAddress, AdsClient, Kind, Protocol};
use prost013::{Message, Name};

use self::server::{NaiveServer, World};

const LIMIT: Duration = Duration::from_secs(10);
const PROTOCOLS: [Protocol; 2] = [Protocol::StateOfTheWorld, Protocol::Delta];

fn packed<M: Message + Name>(message: &M) -> Any {
    Any { type_url: M::type_url(), value: message.encode_to_vec() }
}

/// An `Any` of a type that `xds-api` does not have, with one message in field `number`.
fn unknown(name: &str, number: u32, content: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/{name}"), value: field(number, &content.encode_to_vec()) }
}

/// A message whose only field is `number`.
fn field(number: u32, content: &Vec<u8>) -> Vec<u8> {
    let mut message = Vec::new();
    prost013::encoding::bytes::encode(number, content, &mut message);
    message
}

fn by_sds(name: &str) -> SdsSecretConfig {
    SdsSecretConfig { name: name.into(), sds_config: Some(ConfigSource::default()) }
}

fn listener(name: &str, routes: &str) -> Listener {
    let rds = Rds { route_config_name: routes.into(), config_source: None };
    let manager = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(rds)),
        http_filters: vec![filter(Any { type_url: "type.googleapis.com/new.Filter".into(), value: vec![1] })],
        ..Default::default()
    };
    let filter =
        Filter { config_type: Some(FilterConfig::TypedConfig(packed(&manager))), ..Default::default() };
    let chain = FilterChain { filters: vec![filter], ..Default::default() };
    Listener { name: name.into(), filter_chains: vec![chain], ..Default::default() }
}

fn filter(config: Any) -> HttpFilter {
    let config_type = Some(http_filter::ConfigType::TypedConfig(config));
    HttpFilter { name: "filter".into(), config_type, ..Default::default() }
}

/// A cluster with endpoints by EDS, a trusted authority by SDS, and an injected credential by SDS.
fn cluster(name: &str, service: &str) -> Cluster {
    let generic = unknown("envoy.extensions.http.injected_credentials.generic.v3.Generic", 1, &by_sds("key"));
    let credential = TypedExtensionConfig { name: "generic".into(), typed_config: Some(generic) };
    let injector = "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector";
    let options = unknown(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        6,
        &filter(unknown(injector, 3, &credential)),
    );
    let tls = "envoy.extensions.transport_sockets.tls.v3";
    let common_tls = unknown(&format!("{tls}.CommonTlsContext"), 7, &by_sds("authority"));
    let tls = Any {
        type_url: format!("type.googleapis.com/{tls}.UpstreamTlsContext"),
        value: field(1, &common_tls.value),
    };
    Cluster {
        name: name.into(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        eds_cluster_config: Some(EdsClusterConfig { service_name: service.into(), eds_config: None }),
        typed_extension_protocol_options: [("http".to_owned(), options)].into(),
        transport_socket: Some(TransportSocket {
            name: "tls".into(),
            config_type: Some(SocketConfig::TypedConfig(tls)),
        }),
        ..Default::default()
    }
}

fn endpoints(name: &str) -> ClusterLoadAssignment {
    ClusterLoadAssignment { cluster_name: name.into(), ..Default::default() }
}

fn routes(name: &str) -> RouteConfiguration {
    RouteConfiguration { name: name.into(), ..Default::default() }
}

fn secret(name: &str) -> Secret {
    Secret { name: name.into(), ..Default::default() }
}

/// Two listeners, one cluster, all that these refer to, and things that nobody refers to.
fn world() -> World {
    let mut world = World::default();
    world.put("one", packed(&listener("one", "routes")));
    world.put("two", packed(&listener("two", "routes")));
    world.put("routes", packed(&routes("routes")));
    world.put("unused", packed(&routes("unused")));
    world.put("cluster", packed(&cluster("cluster", "")));
    world.put("cluster", packed(&endpoints("cluster")));
    world.put("key", packed(&secret("key")));
    world.put("authority", packed(&secret("authority")));
    world.put("unused", packed(&secret("unused")));
    world
}

fn names<V>(map: &std::collections::BTreeMap<String, V>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn everything_that_is_referred_to_is_fetched_and_nothing_else() {
    for protocol in PROTOCOLS {
        let server = NaiveServer::start(world());
        let mut client = AdsClient::connect(&server.address(), protocol, "node-1").await.unwrap();
        let held = client.complete(LIMIT).await.unwrap();
        assert_eq!(names(&held.listeners), ["one", "two"]);
        assert_eq!(names(&held.routes), ["routes"]);
        assert_eq!(names(&held.clusters), ["cluster"]);
        assert_eq!(names(&held.endpoints), ["cluster"]);
        assert_eq!(names(&held.secrets), ["authority", "key"]);
        assert_eq!(held.unknown_extensions, BTreeSet::from(["type.googleapis.com/new.Filter".to_owned()]));
        assert_eq!(server.nodes(), ["node-1"]);
        assert!(client.history().iter().any(|(kind, names)| *kind == Kind::Listener && names.len() == 2));
    }
}

#[tokio::test]
async fn a_change_is_followed_and_what_is_gone_is_forgotten() {
    for protocol in PROTOCOLS {
        let server = NaiveServer::start(world());
        let mut client = AdsClient::connect(&server.address(), protocol, "node-1").await.unwrap();
        client.complete(LIMIT).await.unwrap();
        server.change(|world| {
            world.remove::<Listener>("one");
            world.put("two", packed(&listener("two", "unused")));
            world.put("cluster", packed(&cluster("cluster", "service")));
            world.put("service", packed(&endpoints("service")));
        });
        // The server pushes kind by kind.
        let changed = async {
            loop {
                let held = client.changed(LIMIT).await.unwrap();
                if names(&held.routes) == ["unused"] && names(&held.endpoints) == ["service"] {
                    return names(&held.listeners).join(" ");
                }
            }
        };
        assert_eq!(tokio::time::timeout(LIMIT, changed).await.unwrap(), "two", "{protocol:?}");
    }
}

#[tokio::test]
async fn a_client_that_connects_again_says_what_it_has_and_hears_what_is_gone() {
    let first = NaiveServer::start(world());
    let mut client = AdsClient::connect(&first.address(), Protocol::Delta, "node-1").await.unwrap();
    client.complete(LIMIT).await.unwrap();
    let mut less = world();
    less.remove::<Listener>("one");
    less.remove::<Secret>("key");
    let second = NaiveServer::start(less);
    client.reconnect(&second.address()).await.unwrap();
    let gone = async {
        while client.removals().len() < 2 {
            // Not complete any more: the secret is still referred to.
            let _ = client.changed(Duration::from_millis(100)).await;
        }
        client.removals().to_vec()
    };
    let mut gone = tokio::time::timeout(LIMIT, gone).await.unwrap();
    gone.sort();
    assert_eq!(gone, [(Kind::Listener, "one".to_owned()), (Kind::Secret, "key".to_owned())]);
    assert_eq!(names(&client.resources().listeners), ["two"]);
    assert_eq!(second.nodes(), ["node-1"]);
}

#[tokio::test]
async fn both_protocols_end_with_the_same_resources() {
    let server = NaiveServer::start(world());
    let mut ends = Vec::new();
    for protocol in PROTOCOLS {
        let mut client = AdsClient::connect(&server.address(), protocol, "node-1").await.unwrap();
        ends.push(client.complete(LIMIT).await.unwrap().clone());
    }
    assert_eq!(ends[0], ends[1]);
}

#[tokio::test]
async fn what_is_not_served_is_named_when_the_deadline_passes() {
    for protocol in PROTOCOLS {
        let mut world = world();
        world.remove::<RouteConfiguration>("routes");
        let server = NaiveServer::start(world);
        let mut client = AdsClient::connect(&server.address(), protocol, "node-1").await.unwrap();
        let error = client.complete(Duration::from_millis(200)).await.unwrap_err().to_string();
        assert!(error.contains("Route routes") && !error.contains("Secret"), "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_decoded_is_an_error_at_any_depth() {
    let broken = |type_url: String| Any { type_url, value: vec![0xff; 3] };
    let nested = HttpFilter { ..filter(broken(Rds::type_url())) };
    let mut deep = cluster("cluster", "");
    let options = unknown("envoy.extensions.upstreams.http.v3.HttpProtocolOptions", 6, &nested);
    deep.typed_extension_protocol_options.insert("http".into(), options);
    for (resource, words) in [(broken(Cluster::type_url()), "Cluster"), (packed(&deep), "v3.Rds")] {
        let mut world = world();
        world.put_as("cluster", Cluster::type_url(), resource);
        let server = NaiveServer::start(world);
        let mut client =
            AdsClient::connect(&server.address(), Protocol::StateOfTheWorld, "node-1").await.unwrap();
        let error = format!("{:#}", client.complete(LIMIT).await.unwrap_err());
        assert!(error.contains("undecodable") && error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let address = AdsAddress::Unix(folder.path().join("nobody"));
    assert!(AdsClient::connect(&address, Protocol::Delta, "node-1").await.is_err());
}
