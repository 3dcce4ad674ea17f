//! The ADS stream of either protocol, over HTTP/2.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use http::header::{AUTHORIZATION, HeaderValue};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic012::Streaming;
use tonic012::body::BoxBody;
use tonic012::codegen::Service;
use xds_api::pb::envoy::config::core::v3::Node;
use xds_api::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use xds_api::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use xds_api::pb::google::protobuf::Any;
use xds_api::pb::google::rpc::Status;

use super::{AdsAddress, Kind, Protocol, SecureAddress};

/// Requests that wait to be sent. More than the client ever has at once.
const QUEUE: usize = 64;

/// One response of either protocol.
pub(super) struct Update {
    pub(super) kind: Kind,
    pub(super) resources: Vec<Any>,
    pub(super) removed: Vec<String>,
    /// The names and versions of the resources; of the delta protocol.
    pub(super) versions: Vec<(String, String)>,
    /// Whether what is not in it is gone.
    pub(super) is_whole_state: bool,
    version: String,
    nonce: String,
}

/// What a client holds of one kind when it opens another stream.
pub(super) struct Held {
    pub(super) kind: Kind,
    /// What it asks for; none for everything.
    pub(super) names: BTreeSet<String>,
    /// What it has.
    pub(super) versions: BTreeMap<String, String>,
}

/// An open stream.
pub(super) enum Stream {
    Sotw(Sotw),
    Delta(Delta),
}

pub(super) struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    /// The newest request of each kind, without an error: a subscription is repeated in every ACK.
    newest: BTreeMap<Kind, DiscoveryRequest>,
}

pub(super) struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Stream {
    /// Opens the stream with wildcard requests for clusters and listeners.
    pub(super) async fn open(address: &AdsAddress, protocol: Protocol, node_id: &str) -> Result<Self> {
        let (client, node) = (client(address).await?, node(node_id));
        match protocol {
            Protocol::StateOfTheWorld => Ok(Self::Sotw(Sotw::open(client, node).await?)),
            Protocol::Delta => {
                let nothing = |kind| Held { kind, names: BTreeSet::new(), versions: BTreeMap::new() };
                let held = [Kind::Cluster, Kind::Listener].map(nothing).into();
                Ok(Self::Delta(Delta::open(client, node, held).await?))
            }
        }
    }

    /// Opens a stream of the delta protocol for a client that holds something already.
    pub(super) async fn resume(address: &AdsAddress, node_id: &str, held: Vec<Held>) -> Result<Self> {
        Ok(Self::Delta(Delta::open(client(address).await?, node(node_id), held).await?))
    }

    /// The next response.
    pub(super) async fn next(&mut self) -> Result<Update> {
        match self {
            Self::Sotw(stream) => stream.next().await,
            Self::Delta(stream) => stream.next().await,
        }
    }

    /// Says that `update` was accepted.
    pub(super) async fn acknowledge(&mut self, update: &Update) -> Result<()> {
        match self {
            Self::Sotw(stream) => stream.acknowledge(update).await,
            Self::Delta(stream) => stream.answer(update, None).await,
        }
    }

    /// Says that `update` cannot be used.
    pub(super) async fn refuse(&mut self, update: &Update, words: &str) -> Result<()> {
        // INVALID_ARGUMENT, which Envoy says, too.
        let error_detail = Some(Status { code: 3, message: words.to_owned(), ..Status::default() });
        match self {
            Self::Sotw(stream) => stream.refuse(update, error_detail).await,
            Self::Delta(stream) => stream.answer(update, error_detail).await,
        }
    }

    /// Changes the names that are subscribed to.
    pub(super) async fn subscribe(
        &mut self,
        kind: Kind,
        before: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
    ) -> Result<()> {
        match self {
            Self::Sotw(stream) => stream.subscribe(kind, wanted).await,
            Self::Delta(stream) => stream.subscribe(kind, before, wanted).await,
        }
    }
}

type Client = AggregatedDiscoveryServiceClient<Channel>;

async fn client(address: &AdsAddress) -> Result<Client> {
    let channel = match address {
        AdsAddress::Unix(path) => Channel::open(UnixStream::connect(path).await?).await?,
        AdsAddress::Tcp(address) => Channel::open(TcpStream::connect(*address).await?).await?,
        AdsAddress::Tls(secure) => Channel::open_secure(secure).await?,
    };
    let origin = Uri::from_static("http://localhost");
    Ok(AggregatedDiscoveryServiceClient::with_origin(channel, origin))
}

fn node(id: &str) -> Node {
    Node { id: id.to_owned(), ..Node::default() }
}

impl Sotw {
    async fn open(mut client: Client, node: Node) -> Result<Self> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let mut newest = BTreeMap::new();
        let mut node = Some(node);
        for kind in [Kind::Cluster, Kind::Listener] {
            // The first request alone carries the node. No names: all of the kind.
            let request = DiscoveryRequest {
                node: node.take(),
                type_url: kind.type_url(),
                ..DiscoveryRequest::default()
            };
            requests.send(request.clone()).await?;
            newest.insert(kind, DiscoveryRequest { node: None, ..request });
        }
        let responses = client.stream_aggregated_resources(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { requests, responses, newest })
    }

    async fn next(&mut self) -> Result<Update> {
        let response = self.responses.message().await?.context("the server ended the stream")?;
        let kind = Kind::of(&response.type_url)?;
        Ok(Update {
            kind,
            resources: response.resources,
            removed: Vec::new(),
            versions: Vec::new(),
            is_whole_state: kind.is_wildcard(),
            version: response.version_info,
            nonce: response.nonce,
        })
    }

    async fn acknowledge(&mut self, update: &Update) -> Result<()> {
        let newest = self.newest.get_mut(&update.kind).context("a response to no request")?;
        newest.version_info.clone_from(&update.version);
        newest.response_nonce.clone_from(&update.nonce);
        Ok(self.requests.send(newest.clone()).await?)
    }

    /// The version stays that of what was accepted last.
    async fn refuse(&mut self, update: &Update, error_detail: Option<Status>) -> Result<()> {
        let newest = self.newest.get_mut(&update.kind).context("a response to no request")?;
        newest.response_nonce.clone_from(&update.nonce);
        Ok(self.requests.send(DiscoveryRequest { error_detail, ..newest.clone() }).await?)
    }

    async fn subscribe(&mut self, kind: Kind, wanted: &BTreeSet<String>) -> Result<()> {
        let newest = self.newest.entry(kind).or_default();
        // An empty list would mean all of them, for a kind that was never asked for by name.
        newest.type_url = kind.type_url();
        newest.resource_names = wanted.iter().cloned().collect();
        Ok(self.requests.send(newest.clone()).await?)
    }
}

impl Delta {
    /// The first requests: no names for all of a kind, and the versions that are there already.
    async fn open(mut client: Client, node: Node, held: Vec<Held>) -> Result<Self> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let mut node = Some(node);
        for Held { kind, names, versions } in held {
            let request = DeltaDiscoveryRequest {
                // The first request alone carries the node.
                node: node.take(),
                type_url: kind.type_url(),
                resource_names_subscribe: names.into_iter().collect(),
                initial_resource_versions: versions.into_iter().collect(),
                ..DeltaDiscoveryRequest::default()
            };
            requests.send(request).await?;
        }
        let responses = client.delta_aggregated_resources(ReceiverStream::new(queue)).await?.into_inner();
        Ok(Self { requests, responses })
    }

    async fn next(&mut self) -> Result<Update> {
        let response = self.responses.message().await?.context("the server ended the stream")?;
        let kind = Kind::of(&response.type_url)?;
        let versions = response.resources.iter();
        let versions = versions.map(|one| (one.name.clone(), one.version.clone())).collect();
        // A resource without content is one the server does not have, or that did not change but in its TTL.
        let resources = response.resources.into_iter().filter_map(|resource| resource.resource).collect();
        Ok(Update {
            kind,
            resources,
            removed: response.removed_resources,
            versions,
            is_whole_state: false,
            version: response.system_version_info,
            nonce: response.nonce,
        })
    }

    async fn answer(&mut self, update: &Update, error_detail: Option<Status>) -> Result<()> {
        let request = DeltaDiscoveryRequest {
            type_url: update.kind.type_url(),
            response_nonce: update.nonce.clone(),
            error_detail,
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }

    async fn subscribe(
        &mut self,
        kind: Kind,
        before: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
    ) -> Result<()> {
        let request = DeltaDiscoveryRequest {
            type_url: kind.type_url(),
            resource_names_subscribe: wanted.difference(before).cloned().collect(),
            resource_names_unsubscribe: before.difference(wanted).cloned().collect(),
            ..DeltaDiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }
}

/// One HTTP/2 connection as the service that the generated client calls.
struct Channel {
    sender: http2::SendRequest<BoxBody>,
    authorization: Option<HeaderValue>,
}

impl Channel {
    async fn open<S>(io: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await?;
        // Ends when the sender and all streams are gone; errors reach us through the streams.
        tokio::spawn(connection);
        Ok(Self { sender, authorization: None })
    }

    async fn open_secure(secure: &SecureAddress) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(secure.authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder_with_protocol_versions(&[&rustls::version::TLS13])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(secure.server_name.clone())?;
        let io = TcpStream::connect(secure.address).await?;
        let mut channel = Self::open(TlsConnector::from(Arc::new(config)).connect(name, io).await?).await?;
        if !secure.token.is_empty() {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", secure.token))?;
            value.set_sensitive(true);
            channel.authorization = Some(value);
        }
        Ok(channel)
    }
}

impl Service<Request<BoxBody>> for Channel {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<BoxBody>) -> Self::Future {
        if let Some(value) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        Box::pin(self.sender.send_request(request))
    }
}
