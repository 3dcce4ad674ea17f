//! Real sockets, and the client that envoy-types generates.

use std::path::Path;
use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::config::core::v3::{BuildVersion, Node};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest,
};
use envoy_types::pb::envoy::r#type::v3::SemanticVersion;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};
use xds::ResourceType::{Cluster, Listener};
use xds::{
    AdsServer, ClientEvent, FixedGroup, Identify, Metrics, NodeGroup, SnapshotWriter, serve_tcp, serve_unix,
};

use crate::support::{cluster, delta_request, error, resource, snapshot, sotw_request};

/// Longer than anything here takes; only a bug waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it does not happen")
}

async fn connect(socket: &Path) -> AggregatedDiscoveryServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display())).unwrap();
    AggregatedDiscoveryServiceClient::new(soon(endpoint.connect()).await.unwrap())
        .max_decoding_message_size(usize::MAX)
}

type DeltaStream = (mpsc::UnboundedSender<DeltaDiscoveryRequest>, Streaming<DeltaDiscoveryResponse>);

async fn open_delta(client: &mut AggregatedDiscoveryServiceClient<Channel>) -> DeltaStream {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = soon(client.delta_aggregated_resources(UnboundedReceiverStream::new(receiver))).await;
    (sender, stream.unwrap().into_inner())
}

fn answer(response: &DeltaDiscoveryResponse, message: Option<&str>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: response.type_url.clone(),
        response_nonce: response.nonce.clone(),
        error_detail: message.and_then(error),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_delta_client_on_a_unix_socket_is_served_reports_and_is_let_go() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ads.sock");
    let mut writer = SnapshotWriter::new();
    let group = NodeGroup::new("gateway");
    let metrics = Metrics::default();
    let (events, mut heard) = mpsc::unbounded_channel();
    let server = AdsServer::new(writer.cache(), FixedGroup(group.clone()))
        .with_metrics(metrics.clone())
        .with_events(move |event| events.send(event).unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(serve_unix(server, UnixListener::bind(&socket).unwrap(), async {
        stopped.await.unwrap();
    }));

    let mut client = connect(&socket).await;
    let (requests, mut responses) = open_delta(&mut client).await;
    let version = SemanticVersion { major_number: 1, minor_number: 40, patch: 2 };
    let build = BuildVersion { version: Some(version), metadata: None };
    let node = Some(Node {
        id: "envoy-1".to_owned(),
        user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(build)),
        ..Default::default()
    });
    requests.send(DeltaDiscoveryRequest { node, ..delta_request(Cluster, &[], &[]) }).unwrap();
    writer.publish(&group, (*snapshot([cluster("a", "1"), resource(Listener, "l", "1")])).clone());

    let first = soon(responses.message()).await.unwrap().unwrap();
    assert_eq!(first.type_url, Cluster.type_url());
    assert_eq!(first.resources[0].name, "a");
    assert_eq!(first.resources[0].version, cluster("a", "1").version().to_string());
    assert_eq!(first.resources[0].resource.as_ref().unwrap().value, b"1");
    requests.send(answer(&first, None)).unwrap();
    let Some(ClientEvent::Accepted { resource_type: Cluster, resources, .. }) = soon(heard.recv()).await
    else {
        panic!("nothing accepted")
    };
    assert_eq!(resources, [("a".to_owned(), cluster("a", "1").version())]);
    let Some(ClientEvent::Ack { client: who, resource_type: Cluster, .. }) = soon(heard.recv()).await else {
        panic!("no acknowledgement")
    };
    assert_eq!((who.group.as_str(), &*who.node, &*who.build), ("gateway", "envoy-1", "1.40.2"));

    writer.publish(&group, (*snapshot([cluster("a", "2"), resource(Listener, "l", "1")])).clone());
    let second = soon(responses.message()).await.unwrap().unwrap();
    requests.send(answer(&second, Some("no"))).unwrap();
    let Some(ClientEvent::Nack { rejection, .. }) = soon(heard.recv()).await else { panic!("no rejection") };
    assert_eq!((&*rejection.message, &*rejection.culprits), ("no", &["a".to_owned()][..]));

    stop.send(()).unwrap();
    let end = soon(responses.message()).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    assert!(matches!(soon(heard.recv()).await, Some(ClientEvent::Disconnected { .. })));
    soon(serving).await.unwrap().unwrap();

    let mut registry = prometheus_client::registry::Registry::default();
    metrics.register(&mut registry);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    for line in [
        "xds_streams{protocol=\"delta\"} 0",
        "xds_responses_total{type=\"cluster\"} 2",
        "xds_acks_total{type=\"cluster\"} 1",
        "xds_nacks_total{type=\"cluster\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_state_of_the_world_client_on_a_tcp_socket_gets_large_resources_whole() {
    let mut writer = SnapshotWriter::new();
    let group = NodeGroup::new("gateway");
    let body = "x".repeat(3_000_000);
    let resources = (0..3).map(|i| cluster(&format!("c{i}"), &body)).chain([cluster("small", "1")]);
    writer.publish(&group, (*snapshot(resources)).clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = AdsServer::new(writer.cache(), FixedGroup(group));
    tokio::spawn(serve_tcp(server, listener, std::future::pending()));

    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut client = AggregatedDiscoveryServiceClient::new(soon(endpoint.connect()).await.unwrap())
        .max_decoding_message_size(usize::MAX);
    let (requests, receiver) = mpsc::unbounded_channel::<DiscoveryRequest>();
    requests.send(sotw_request(Cluster, &[], "", "")).unwrap();
    let stream = soon(client.stream_aggregated_resources(UnboundedReceiverStream::new(receiver))).await;
    let mut responses = stream.unwrap().into_inner();
    let response = soon(responses.message()).await.unwrap().unwrap();
    let lengths: Vec<usize> = response.resources.iter().map(|any| any.value.len()).collect();
    assert_eq!(lengths, [3_000_000, 3_000_000, 3_000_000, 1]);
}

#[tokio::test]
async fn a_slow_client_gets_the_newest_snapshot_and_not_all() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ads.sock");
    let mut writer = SnapshotWriter::new();
    let group = NodeGroup::new("gateway");
    let server = AdsServer::new(writer.cache(), FixedGroup(group.clone()));
    tokio::spawn(serve_unix(server, UnixListener::bind(&socket).unwrap(), std::future::pending()));
    let body = |i: u32| format!("{i} {}", "x".repeat(1_000_000));
    writer.publish(&group, (*snapshot([cluster("a", &body(0))])).clone());

    let mut client = connect(&socket).await;
    let (requests, mut responses) = open_delta(&mut client).await;
    requests.send(delta_request(Cluster, &[], &[])).unwrap();
    for i in 1..=30 {
        writer.publish(&group, (*snapshot([cluster("a", &body(i))])).clone());
        tokio::task::yield_now().await;
    }
    let newest = cluster("a", &body(30)).version().to_string();
    let mut received = 0;
    loop {
        let response = soon(responses.message()).await.unwrap().unwrap();
        received += 1;
        if response.resources.iter().any(|resource| resource.version == newest) {
            break;
        }
    }
    assert!(received < 20, "{received} of 31");
}

struct Nobody;

impl Identify for Nobody {
    fn identify(&self, _: &tonic::metadata::MetadataMap, _: &http::Extensions) -> Result<NodeGroup, Status> {
        Err(Status::permission_denied("you are nobody"))
    }
}

#[tokio::test]
async fn a_caller_without_a_group_is_refused_and_a_removed_group_ends_its_streams() {
    let folder = tempfile::tempdir().unwrap();
    let (refusing, serving) = (folder.path().join("no.sock"), folder.path().join("yes.sock"));
    let mut writer = SnapshotWriter::new();
    let group = NodeGroup::new("gateway");
    let server = AdsServer::new(writer.cache(), Nobody);
    tokio::spawn(serve_unix(server, UnixListener::bind(&refusing).unwrap(), std::future::pending()));
    let server = AdsServer::new(writer.cache(), FixedGroup(group.clone()));
    tokio::spawn(serve_unix(server, UnixListener::bind(&serving).unwrap(), std::future::pending()));

    let mut client = connect(&refusing).await;
    let refused = soon(client.delta_aggregated_resources(tokio_stream::pending())).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, "you are nobody"));

    writer.publish(&group, (*snapshot([])).clone());
    let mut client = connect(&serving).await;
    let (_requests, mut responses) = open_delta(&mut client).await;
    writer.remove(&group);
    assert_eq!(soon(responses.message()).await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_malformed_request_ends_the_stream_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("ads.sock");
    let server = AdsServer::new(SnapshotWriter::new().cache(), FixedGroup(NodeGroup::new("g")));
    tokio::spawn(serve_unix(server, UnixListener::bind(&socket).unwrap(), std::future::pending()));
    let mut client = connect(&socket).await;
    let (requests, mut responses) = open_delta(&mut client).await;
    let mut huge = delta_request(Cluster, &[], &[]);
    huge.resource_names_subscribe = vec!["x".repeat(17 * 1024 * 1024)];
    requests.send(huge).unwrap();
    assert_eq!(soon(responses.message()).await.unwrap_err().code(), Code::OutOfRange);
}
