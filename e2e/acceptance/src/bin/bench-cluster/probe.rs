//! One edit, and how long until Envoy serves it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use acceptance::{ApiConnection, ApiServer};
use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Between two requests through Envoy.
const POLL: Duration = Duration::from_micros(500);

/// An edit that is not served by then is not going to be.
const LIMIT: Duration = Duration::from_secs(60);

/// Kept connections to the API server and to Envoy.
pub(crate) struct Probe {
    api: ApiConnection,
    envoy: SendRequest<Full<Bytes>>,
}

/// What Envoy answers.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// How long an edit took.
#[derive(Clone, Copy)]
pub(crate) struct Latency {
    /// Until the API server had answered.
    pub(crate) written: Duration,
    /// Until Envoy served it.
    pub(crate) served: Duration,
}

impl Probe {
    pub(crate) async fn connect(api: &ApiServer, gateway: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        let (envoy, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { api: api.connect().await?, envoy })
    }

    /// Writes to the API server.
    pub(crate) async fn write(&mut self, path: &str, way: &str, body: &Value) -> Result<()> {
        self.api.patch(path, way, body).await.map(drop)
    }

    /// Makes the edit `write` (path, way, body), and asks `target` (host, path) until the answer shows it.
    pub(crate) async fn time(
        &mut self,
        write: (String, &str, Value),
        target: &(String, String),
        is_served: impl Fn(&Answer) -> bool,
    ) -> Result<Latency> {
        let Self { api, envoy } = self;
        let (path, way, body) = write;
        // So that the first of the answers is not slow for a reason of its own.
        ensure!(!is_served(&ask(envoy, target).await?), "{path} is as it shall be already");
        let started = Instant::now();
        let writing = async {
            api.patch(&path, way, &body).await?;
            anyhow::Ok(started.elapsed())
        };
        let serving = async {
            while !is_served(&ask(envoy, target).await?) {
                ensure!(started.elapsed() < LIMIT, "{path} is not served within {LIMIT:?}");
                tokio::time::sleep(POLL).await;
            }
            Ok(started.elapsed())
        };
        let (written, served) = tokio::try_join!(writing, serving)?;
        Ok(Latency { written, served })
    }
}

async fn ask(envoy: &mut SendRequest<Full<Bytes>>, (host, path): &(String, String)) -> Result<Answer> {
    let request = e2e::http::request(Method::GET, host, path, &[], Bytes::new())?;
    envoy.ready().await?;
    let (head, body) = envoy.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    ensure!(head.status == 200, "{host}{path}: {}", head.status);
    Ok(Answer { headers: head.headers, body })
}
