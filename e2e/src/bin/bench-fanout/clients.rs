//! The clients: each subscribes as Envoy does, acknowledges everything and keeps nothing.
//!
//! Commands come on the standard input: `open` opens a stream for each client, `reopen` ends all streams and has
//! each client come back with what it had, `received` answers with the bytes of all responses so far.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Request, header};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost013::Message as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use xds::ResourceType::{self, Cluster, Endpoint, Listener, Route};
use xds_api::pb::envoy::config::core::v3::Node;
use xds_api::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::message::{Reader, Versions};
use crate::state;

const URI: &str =
    "http://localhost/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Between attempts to connect while the socket's queue is full.
const PAUSE: Duration = Duration::from_millis(5);

/// What all clients have in common.
#[derive(Debug)]
struct Fleet {
    socket: PathBuf,
    received: AtomicU64,
    /// What each of them has: all have the same.
    versions: Mutex<Versions>,
    /// The subscription to all load assignments, and to the route table.
    endpoints: Bytes,
    routes: Bytes,
}

/// Carries out commands until there are none.
pub(crate) async fn run(socket: PathBuf, count: usize) -> Result<()> {
    let fleet = Arc::new(Fleet {
        socket,
        received: AtomicU64::new(0),
        versions: Mutex::default(),
        endpoints: encode(&subscription(Endpoint)),
        routes: encode(&subscription(Route)),
    });
    // What a client that comes back says first; empty for one that has nothing yet.
    let rounds = watch::Sender::new(Bytes::new());
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = lines.next_line().await? {
        match command.as_str() {
            "open" => (0..count).for_each(|i| drop(tokio::spawn(live(fleet.clone(), i, rounds.subscribe())))),
            "reopen" => drop(rounds.send_replace(fleet.resumption())),
            "received" => println!("{}", fleet.received.load(Ordering::Relaxed)),
            other => bail!("{other}: no such command"),
        }
    }
    Ok(())
}

/// One client. It has a stream at all times, and another one with each round.
async fn live(fleet: Arc<Fleet>, number: usize, mut rounds: watch::Receiver<Bytes>) {
    loop {
        let resumption = rounds.borrow_and_update().clone();
        tokio::select! {
            end = fleet.stream(number, resumption) => {
                eprintln!("bench-fanout: client {number}: {end:?}");
                // The server waits for it; there is nothing to measure any more.
                std::process::exit(1);
            }
            changed = rounds.changed() => if changed.is_err() {
                return;
            },
        }
    }
}

impl Fleet {
    /// One stream: until the server ends it.
    async fn stream(&self, number: usize, resumption: Bytes) -> Result<()> {
        let (sender, receiver) = mpsc::channel::<Bytes>(8);
        let is_new = resumption.is_empty();
        if is_new {
            sender.send(first_request(number)).await?;
            sender.send(encode(&subscription(Listener))).await?;
        } else {
            sender.send(resumption).await?;
        }
        let body = ReceiverStream::new(receiver).map(|data| Ok::<_, Infallible>(Frame::data(data)));
        let request = Request::post(URI)
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(StreamBody::new(body))?;

        let io = TokioIo::new(self.connect().await?);
        let (mut requests, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        let mut responses = requests.send_request(request).await?.into_body();
        let mut reader = Reader::new(number == 0);
        let (mut knows_endpoints, mut knows_routes) = (!is_new, !is_new);
        while let Some(frame) = responses.frame().await {
            let Ok(data) = frame?.into_data() else { bail!("the server ended the stream") };
            self.received.fetch_add(data.len() as u64, Ordering::Relaxed);
            let complete = {
                let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
                reader.take(&data, &mut versions)?
            };
            for head in complete {
                let is = |kind: ResourceType| head.type_url == kind.type_url();
                let follows_clusters = is(Cluster) && !std::mem::replace(&mut knows_endpoints, true);
                let follows_listeners = is(Listener) && !std::mem::replace(&mut knows_routes, true);
                sender.send(encode(&acknowledgement(head.type_url, head.nonce))).await?;
                if follows_clusters {
                    sender.send(self.endpoints.clone()).await?;
                }
                if follows_listeners {
                    sender.send(self.routes.clone()).await?;
                }
            }
        }
        bail!("the stream ended")
    }

    async fn connect(&self) -> Result<UnixStream> {
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(PAUSE).await,
                result => return result.context("connecting"),
            }
        }
    }

    /// What a client says that comes back with everything.
    fn resumption(&self) -> Bytes {
        let versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = BytesMut::new();
        for kind in [Cluster, Endpoint, Listener, Route] {
            let held = versions.get(kind.type_url()).cloned().unwrap_or_default();
            let request = DeltaDiscoveryRequest {
                initial_resource_versions: held.into_iter().collect(),
                ..subscription(kind)
            };
            all.extend_from_slice(&encode(&request));
        }
        all.freeze()
    }
}

/// The first request of a type: what is listed by wildcard names nothing.
fn subscription(kind: ResourceType) -> DeltaDiscoveryRequest {
    let names = match kind {
        Endpoint => (0..state::ROUTES).map(state::name).collect(),
        Route => vec![state::TABLE.to_owned()],
        _ => Vec::new(),
    };
    DeltaDiscoveryRequest {
        type_url: kind.type_url().to_owned(),
        resource_names_subscribe: names,
        ..DeltaDiscoveryRequest::default()
    }
}

fn first_request(number: usize) -> Bytes {
    let node = Some(Node { id: format!("client-{number}"), ..Node::default() });
    encode(&DeltaDiscoveryRequest { node, ..subscription(Cluster) })
}

fn acknowledgement(type_url: String, response_nonce: String) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest { type_url, response_nonce, ..DeltaDiscoveryRequest::default() }
}

/// The message as gRPC frames it.
fn encode(request: &DeltaDiscoveryRequest) -> Bytes {
    let len = request.encoded_len();
    let mut framed = BytesMut::with_capacity(len + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    framed.put_slice(&request.encode_to_vec());
    framed.freeze()
}
