//! A TLS client for loopback addresses, whose server name and Host may differ.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::http::{EXCHANGE_LIMIT, Response, exchange, read, request, within};

/// Does the handshake on a connection.
///
/// # Errors
/// The server refuses, its certificate is not trusted, or the name is none.
pub async fn handshake(
    io: TcpStream,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let server_name = ServerName::try_from(name.to_owned())?;
    Ok(TlsConnector::from(Arc::clone(config)).connect(server_name, io).await?)
}

/// Opens a connection to `address` and does the handshake with `name` as server name.
///
/// # Errors
/// No connection, or no handshake.
pub async fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<TlsStream<TcpStream>> {
    let io = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    let handshake = tokio::time::timeout(EXCHANGE_LIMIT, handshake(io, name, config));
    handshake.await.context("no handshake in time")?.with_context(|| format!("no handshake for {name}"))
}

/// The certificate that is shown for a server name, DER.
///
/// # Errors
/// No connection, or no handshake.
pub async fn certificate(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<Vec<u8>> {
    let stream = connect(address, name, config).await?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    Ok(shown.context("no certificate")?.as_ref().to_vec())
}

/// `GET path` over a new connection with `name` as server name and `host` as Host, by the protocol that the handshake
/// settles.
///
/// # Errors
/// No connection, no handshake, or no answer.
pub async fn get(
    address: SocketAddr,
    name: &str,
    host: &str,
    path: &str,
    config: &Arc<ClientConfig>,
) -> Result<Response> {
    let stream = connect(address, name, config).await?;
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        return Http2::begin(stream).await?.get(host, path).await;
    }
    exchange(stream, request(Method::GET, host, path, &[], Bytes::new())?).await
}

/// An HTTP/2 connection.
#[derive(Debug)]
pub struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
}

impl Http2 {
    /// Begins HTTP/2 on a connection.
    ///
    /// # Errors
    /// The server does not speak it.
    pub async fn begin(stream: TlsStream<TcpStream>) -> Result<Self> {
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.context("no HTTP/2")?;
        // Ends with the sender; its errors reach us through the request.
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Whether the server has not said that it will close the connection.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.sender.is_ready()
    }

    /// `GET path` with `host` as `:authority`.
    ///
    /// # Errors
    /// No answer within 15 s.
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Response> {
        let request = Request::builder().uri(format!("https://{host}{path}")).body(Full::default())?;
        let exchange = async { read(self.sender.send_request(request).await?).await };
        within(EXCHANGE_LIMIT, &format!("GET {path} of {host}"), exchange).await
    }
}
