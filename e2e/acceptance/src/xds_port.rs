//! A client of the xDS port without manners: any method, any token, any version of TLS or none, and all bytes as
//! they came. For those who behave there is `e2e::ads_client`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::Request;
use http::header::{AUTHORIZATION, HeaderMap};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio_rustls::TlsConnector;

/// A call that has not ended by then was not refused.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

/// The incremental method of ADS.
pub const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// The state-of-the-world method of ADS.
pub const SOTW: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// One replica's xDS port, or the Service of all.
#[derive(Clone, Debug)]
pub struct XdsPort {
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate is for.
    pub server_name: String,
    /// The authority of the certificate, PEM.
    pub authority: String,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The gRPC status code; `None` if there was none, and so an end that is no refusal.
    pub code: Option<u16>,
    /// What came of the body.
    pub body: Vec<u8>,
}

/// A connection to the port.
#[derive(Debug)]
pub struct Caller {
    sender: SendRequest<OpenBody>,
    server_name: String,
}

impl XdsPort {
    /// Connects with TLS of this version.
    ///
    /// # Errors
    /// The handshake fails.
    pub async fn connect(&self, version: &'static SupportedProtocolVersion) -> Result<Caller> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let mut config = ClientConfig::builder_with_protocol_versions(&[version])
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let name = ServerName::try_from(self.server_name.clone())?;
        let stream = TcpStream::connect(self.address).await?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Caller { sender, server_name: self.server_name.clone() })
    }

    /// Sends the beginning of HTTP/2 in plain text; gives all that comes back before the port hangs up.
    ///
    /// # Errors
    /// No connection, or the port does not hang up.
    pub async fn speak_plainly(&self) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
        let mut answer = Vec::new();
        // A reset is an end, too.
        let read = tokio::time::timeout(REFUSAL_LIMIT, stream.read_to_end(&mut answer)).await;
        if read.is_err() {
            bail!("plain text is not hung up on within {REFUSAL_LIMIT:?}");
        }
        Ok(answer)
    }
}

impl Caller {
    /// Calls `method` with this `authorization` header and message, and reads to the end.
    ///
    /// # Errors
    /// The connection breaks, or the call does not end.
    pub async fn call(
        &mut self,
        method: &str,
        authorization: Option<&str>,
        message: Vec<u8>,
    ) -> Result<Ended> {
        let call = self.read(method, authorization, message);
        match tokio::time::timeout(REFUSAL_LIMIT, call).await {
            Ok(ended) => ended,
            Err(_) => bail!("{method} does not end within {REFUSAL_LIMIT:?}"),
        }
    }

    /// Calls `method` and reads for as long as something comes and at least so long; gives all bytes.
    ///
    /// # Errors
    /// The connection breaks.
    pub async fn listen(
        &mut self,
        method: &str,
        authorization: &str,
        message: Vec<u8>,
        quiet: Duration,
    ) -> Result<Ended> {
        let (request, _open) = self.request(method, Some(authorization), message)?;
        let answer = self.sender.send_request(request).await?;
        let (mut code, mut body) = (status_of(answer.headers()), Vec::new());
        let mut incoming = answer.into_body();
        while let Ok(Some(frame)) = tokio::time::timeout(quiet, incoming.frame()).await {
            take_in(frame?, &mut code, &mut body);
        }
        Ok(Ended { code, body })
    }

    async fn read(&mut self, method: &str, authorization: Option<&str>, message: Vec<u8>) -> Result<Ended> {
        let (request, _open) = self.request(method, authorization, message)?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let (mut code, mut body) = (status_of(answer.headers()), Vec::new());
        let mut incoming = answer.into_body();
        while let Some(frame) = incoming.frame().await {
            take_in(frame?, &mut code, &mut body);
        }
        Ok(Ended { code, body })
    }

    /// A request that stays open until the sender is dropped.
    fn request(
        &self,
        method: &str,
        authorization: Option<&str>,
        message: Vec<u8>,
    ) -> Result<(Request<OpenBody>, oneshot::Sender<()>)> {
        let mut request = Request::post(format!("https://{}{method}", self.server_name))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let (open, closed) = oneshot::channel();
        let body = OpenBody { piece: Some(framed(&message)), closed };
        Ok((request.body(body)?, open))
    }
}

fn take_in(frame: Frame<Bytes>, code: &mut Option<u16>, body: &mut Vec<u8>) {
    match frame.into_data() {
        Ok(data) => body.extend(data),
        Err(frame) => *code = code.or(frame.trailers_ref().and_then(status_of)),
    }
}

fn status_of(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// A request body that stays open after its one piece, as that of a stream does, until it is closed.
#[derive(Debug)]
struct OpenBody {
    piece: Option<Bytes>,
    closed: oneshot::Receiver<()>,
}

impl Body for OpenBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.piece.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Pin::new(&mut self.closed).poll(context).map(|_| None),
        }
    }
}

/// A request for these names of a type (none: all of it, where the type has that), as `method` has it, from a
/// node that calls itself `node`. Encoded by hand, so that nothing of ours vouches for itself.
#[must_use]
pub fn discovery_request(method: &str, node: &str, type_url: &str, names: &[String]) -> Vec<u8> {
    let node = [field(1, node.as_bytes()), field(2, node.as_bytes())].concat();
    // DiscoveryRequest: node = 2, resource_names = 3, type_url = 4.
    // DeltaDiscoveryRequest: node = 1, type_url = 2, resource_names_subscribe = 3.
    let (node_number, type_number) = if method == SOTW { (2, 4) } else { (1, 2) };
    let mut message = field(node_number, &node);
    message.extend(field(type_number, type_url.as_bytes()));
    message.extend(names.iter().flat_map(|name| field(3, name.as_bytes())));
    message
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        encoded.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    encoded.push(length as u8);
    encoded.extend(bytes);
    encoded
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], length.as_slice(), message].concat().into()
}
