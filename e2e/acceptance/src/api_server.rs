//! A kept connection to the API server, for what must not pay for the start of a kubectl each time.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use cluster::Cluster;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The media type of server-side apply; its body is YAML, of which JSON is a part.
pub const APPLY: &str = "application/apply-patch+yaml";

/// The media type of a merge patch.
pub const MERGE: &str = "application/merge-patch+json";

/// Where the API server is, and how to show that one is its administrator.
#[derive(Clone)]
pub struct ApiServer {
    address: SocketAddr,
    authority: String,
    token: String,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

impl ApiServer {
    /// Reads the administrator's kubeconfig.
    ///
    /// # Errors
    /// It is not as the cluster writes it.
    pub fn of(cluster: &Cluster) -> Result<Self> {
        let kubeconfig: Value = serde_json::from_slice(&std::fs::read(cluster.kubeconfig())?)?;
        let text = |pointer: &str| {
            kubeconfig.pointer(pointer).and_then(Value::as_str).with_context(|| pointer.to_owned())
        };
        let server = text("/clusters/0/cluster/server")?;
        let address = server.strip_prefix("https://").context("https")?.parse()?;
        let authority = cluster.exec_inside("cat", &[text("/clusters/0/cluster/certificate-authority")?])?;
        Ok(Self { address, authority, token: text("/users/0/user/token")?.to_owned() })
    }

    /// Connects; to be called in the cluster's network.
    ///
    /// # Errors
    /// No connection.
    pub async fn connect(&self) -> Result<ApiConnection> {
        Ok(ApiConnection { sender: self.dial().await?, server: self.clone() })
    }

    /// A connection for requests that bring their own credentials.
    pub(crate) async fn dial(&self) -> Result<SendRequest<Full<Bytes>>> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.authority.as_bytes()) {
            roots.add(certificate?)?;
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.address.ip().into());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; its errors reach us through the requests.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A connection, for one request at a time.
#[derive(Debug)]
pub struct ApiConnection {
    sender: SendRequest<Full<Bytes>>,
    server: ApiServer,
}

impl ApiConnection {
    /// Reads an object or a list.
    ///
    /// # Errors
    /// No answer, or not with success.
    pub async fn get(&mut self, path: &str) -> Result<Value> {
        self.send(Method::GET, path, "application/json", &Value::Null).await
    }

    /// Changes an object, in one of the ways [`APPLY`] and [`MERGE`].
    ///
    /// # Errors
    /// No answer, or not with success.
    pub async fn patch(&mut self, path: &str, way: &str, body: &Value) -> Result<Value> {
        self.send(Method::PATCH, path, way, body).await
    }

    /// Asks to create an object; the status and the answer, whatever they are.
    ///
    /// # Errors
    /// No answer.
    pub async fn create(&mut self, path: &str, body: &Value) -> Result<(StatusCode, Value)> {
        let (status, answer) = self.exchange(Method::POST, path, "application/json", body).await?;
        Ok((status, serde_json::from_slice(&answer)?))
    }

    async fn send(&mut self, method: Method, path: &str, content_type: &str, body: &Value) -> Result<Value> {
        let what = format!("{method} {path}");
        let (status, body) = self.exchange(method, path, content_type, body).await?;
        if !status.is_success() {
            bail!("{what}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(serde_json::from_slice(&body)?)
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &Value,
    ) -> Result<(StatusCode, Bytes)> {
        let what = format!("{method} {path}");
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.server.address.to_string())
            .header("authorization", format!("Bearer {}", self.server.token))
            .header("content-type", content_type)
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await.with_context(|| what)?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
