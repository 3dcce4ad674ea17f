//! A server that sends what is asked for, in the simplest way: everything of a kind, every time.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use e2e::ads_client::AdsAddress;
use e2e::ads_client::pb::envoy::config::cluster::v3::Cluster;
use e2e::ads_client::pb::envoy::config::core::v3::Node;
use e2e::ads_client::pb::envoy::config::listener::v3::Listener;
use e2e::ads_client::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use e2e::ads_client::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use e2e::ads_client::pb::google::protobuf::Any;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost013::Name;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic012::codegen::Service;
use tonic012::{Request, Response, Status, Streaming};

/// Resources by type URL and name.
#[derive(Clone, Default)]
pub(super) struct World(BTreeMap<String, BTreeMap<String, Any>>);

impl World {
    pub(super) fn put(&mut self, name: &str, resource: Any) {
        self.put_as(name, resource.type_url.clone(), resource);
    }

    pub(super) fn put_as(&mut self, name: &str, type_url: String, resource: Any) {
        self.0.entry(type_url).or_default().insert(name.to_owned(), resource);
    }

    pub(super) fn remove<M: Name>(&mut self, name: &str) {
        self.0.get_mut(&M::type_url()).and_then(|kind| kind.remove(name)).expect("is there");
    }

    fn select(&self, type_url: &str, names: &BTreeSet<String>) -> BTreeMap<String, Any> {
        let all = [Cluster::type_url(), Listener::type_url()].contains(&type_url.to_owned());
        let mut kind = self.0.get(type_url).cloned().unwrap_or_default();
        kind.retain(|name, _| all || names.contains(name));
        kind
    }
}

pub(super) struct NaiveServer {
    folder: TempDir,
    ads: Ads,
    task: JoinHandle<()>,
}

impl NaiveServer {
    pub(super) fn start(world: World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("ads")).unwrap();
        let ads = Ads { world: Arc::new(watch::Sender::new(world)), nodes: Arc::default() };
        let task = tokio::spawn(accept(listener, ads.clone()));
        Self { folder, ads, task }
    }

    pub(super) fn address(&self) -> AdsAddress {
        AdsAddress::Unix(self.folder.path().join("ads"))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut World)) {
        self.ads.world.send_modify(change);
    }

    pub(super) fn nodes(&self) -> Vec<String> {
        self.ads.nodes.lock().unwrap().clone()
    }
}

impl Drop for NaiveServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, ads: Ads) {
    while let Ok((io, _)) = listener.accept().await {
        let server = AggregatedDiscoveryServiceServer::new(ads.clone());
        let service = service_fn(move |request| {
            let answer = server.clone().call(request);
            async move { Ok::<_, Infallible>(answer.await.unwrap()) }
        });
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service);
        tokio::spawn(connection);
    }
}

#[derive(Clone)]
struct Ads {
    world: Arc<watch::Sender<World>>,
    nodes: Arc<Mutex<Vec<String>>>,
}

impl Ads {
    fn meet(&self, node: Option<Node>) {
        self.nodes.lock().unwrap().extend(node.map(|node| node.id));
    }
}

type Responses<T> = Pin<Box<ReceiverStream<Result<T, Status>>>>;

#[tonic012::async_trait]
impl AggregatedDiscoveryService for Ads {
    type StreamAggregatedResourcesStream = Responses<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Responses<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let (send, responses) = mpsc::channel(16);
        tokio::spawn(sotw(self.clone(), request.into_inner(), send));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        let (send, responses) = mpsc::channel(16);
        tokio::spawn(delta(self.clone(), request.into_inner(), send));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }
}

async fn sotw(
    ads: Ads,
    mut requests: Streaming<DiscoveryRequest>,
    send: mpsc::Sender<Result<DiscoveryResponse, Status>>,
) {
    let mut world = ads.world.subscribe();
    let mut subscriptions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut number = 0;
    loop {
        let due: Vec<String> = tokio::select! {
            request = requests.message() => {
                let Ok(Some(request)) = request else { return };
                ads.meet(request.node);
                let names: BTreeSet<String> = request.resource_names.into_iter().collect();
                let before = subscriptions.insert(request.type_url.clone(), names.clone());
                // The same names again: an acknowledgement.
                if before == Some(names) { Vec::new() } else { vec![request.type_url] }
            }
            changed = world.changed() => match changed {
                Ok(()) => subscriptions.keys().cloned().collect(),
                Err(_) => return,
            },
        };
        for type_url in due {
            number += 1;
            let resources = world.borrow().select(&type_url, &subscriptions[&type_url]);
            let response = DiscoveryResponse {
                version_info: number.to_string(),
                nonce: format!("nonce-{number}"),
                resources: resources.into_values().collect(),
                type_url,
                ..Default::default()
            };
            if send.send(Ok(response)).await.is_err() {
                return;
            }
        }
    }
}

async fn delta(
    ads: Ads,
    mut requests: Streaming<DeltaDiscoveryRequest>,
    send: mpsc::Sender<Result<DeltaDiscoveryResponse, Status>>,
) {
    let mut world = ads.world.subscribe();
    let mut subscriptions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut sent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut number = 0;
    loop {
        let due: Vec<String> = tokio::select! {
            request = requests.message() => {
                let Ok(Some(request)) = request else { return };
                ads.meet(request.node);
                let is_acknowledgement = !request.response_nonce.is_empty();
                let held = request.initial_resource_versions.into_keys();
                sent.entry(request.type_url.clone()).or_default().extend(held);
                let names = subscriptions.entry(request.type_url.clone()).or_default();
                names.extend(request.resource_names_subscribe);
                names.retain(|name| !request.resource_names_unsubscribe.contains(name));
                if is_acknowledgement { Vec::new() } else { vec![request.type_url] }
            }
            changed = world.changed() => match changed {
                Ok(()) => subscriptions.keys().cloned().collect(),
                Err(_) => return,
            },
        };
        for type_url in due {
            number += 1;
            let resources = world.borrow().select(&type_url, &subscriptions[&type_url]);
            let names: BTreeSet<String> = resources.keys().cloned().collect();
            let before = sent.insert(type_url.clone(), names.clone()).unwrap_or_default();
            let pack = |(name, resource)| Resource {
                name,
                version: number.to_string(),
                resource: Some(resource),
                ..Default::default()
            };
            let response = DeltaDiscoveryResponse {
                nonce: format!("nonce-{number}"),
                resources: resources.into_iter().map(pack).collect(),
                removed_resources: before.difference(&names).cloned().collect(),
                type_url,
                ..Default::default()
            };
            if send.send(Ok(response)).await.is_err() {
                return;
            }
        }
    }
}
