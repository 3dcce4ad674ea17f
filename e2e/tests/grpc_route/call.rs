//! Calls of gRPC by tonic, and a backend that answers them. Messages are texts, so that no code is generated.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BufMut as _};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::{Request, Response, Status};

/// What a backend heard of a call; the message of its answer.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Heard {
    /// Which backend answers.
    pub(crate) identity: String,
    /// `/service/method`.
    pub(crate) path: String,
    /// `HTTP/2.0`.
    pub(crate) protocol: String,
    /// The metadata, with `:authority` as `host`.
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A backend that stops when dropped. It takes HTTP/2 alone.
pub(crate) struct GrpcBackend {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl GrpcBackend {
    /// Starts on a free loopback port.
    pub(crate) async fn start(identity: &str) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, identity) = (listener.local_addr()?, identity.to_owned());
        let task = tokio::spawn(async move {
            while let Ok((io, _)) = listener.accept().await {
                // Else each answer waits for an acknowledgement that the peer delays.
                let _ = io.set_nodelay(true);
                let identity = identity.clone();
                let service = service_fn(move |request| answer(identity.clone(), request));
                let builder = auto::Builder::new(TokioExecutor::new()).http2_only();
                let connection = builder.serve_connection(TokioIo::new(io), service).into_owned();
                // A client that goes away is no fault of the server.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { address, task })
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}

impl Drop for GrpcBackend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    identity: String,
    request: http::Request<hyper::body::Incoming>,
) -> Result<http::Response<tonic::body::Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let host = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let protocol = format!("{:?}", request.version());
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    let metadata = headers.chain([("host".to_owned(), host)]).collect();
    let heard = Heard { identity, path, protocol, metadata };
    let service = tower::service_fn(move |_: Request<String>| {
        let text = serde_json::to_string(&heard).map_err(|error| Status::internal(error.to_string()));
        async move { text.map(Response::new) }
    });
    Ok(tonic::server::Grpc::new(Texts).unary(service, request).await)
}

/// Makes a call on a connection of its own: HTTP/2 without TLS and without an upgrade.
pub(crate) async fn call(
    address: SocketAddr,
    authority: &str,
    path: &str,
    metadata: &[(&str, &str)],
) -> Result<Result<(Heard, MetadataMap), Status>> {
    let io = TcpStream::connect(address).await?;
    io.set_nodelay(true)?;
    let io = TokioIo::new(io);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    let service = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let mut sender = sender.clone();
        async move { sender.send_request(request).await }
    });
    let mut client = tonic::client::Grpc::with_origin(service, format!("http://{authority}").parse()?);
    let mut request = Request::new("hello".to_owned());
    for (name, value) in metadata {
        let name = MetadataKey::from_bytes(name.as_bytes()).context("a name of metadata")?;
        request.metadata_mut().insert(name, value.parse()?);
    }
    client.ready().await?;
    let answer = client.unary(request, path.parse()?, Texts).await;
    Ok(match answer {
        Err(status) => Err(status),
        Ok(answer) => {
            let (metadata, message, _) = answer.into_parts();
            Ok((serde_json::from_str(&message)?, metadata))
        }
    })
}

/// Messages that are texts.
#[derive(Clone, Copy)]
struct Texts;

impl Codec for Texts {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Texts {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, text: String, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(text.as_bytes());
        Ok(())
    }
}

impl Decoder for Texts {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
