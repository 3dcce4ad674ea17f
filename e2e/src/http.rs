//! A small HTTP/1.1 client for loopback addresses, and polling with a deadline.

use std::fmt::Debug;
use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::echo::Echo;

/// How long one exchange may take before it counts as failed.
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(15);

/// An answer with its whole body.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code, for example 200.
    pub status: u16,
    /// The header fields in the order of arrival.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The first value of the header `name`, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The body is not JSON; the error shows status and body.
    pub fn json(&self) -> Result<Value> {
        self.read("JSON")
    }

    /// What an echo backend says that it received.
    ///
    /// # Errors
    /// The answer is not that of an echo backend; the error shows status and body.
    pub fn echo(&self) -> Result<Echo> {
        self.read("the answer of an echo backend")
    }

    fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("not {what} (status {}): {}", self.status, self.text()))
    }
}

/// Sends `GET path` to `address` with `host` as the Host header.
///
/// # Errors
/// No connection, no answer within 15 s, or not HTTP.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Result<Response> {
    send(address, request(Method::GET, host, path, &[], Bytes::new())?).await
}

/// Sends `body` as JSON with `POST path` to `address` with `host` as the Host header.
///
/// # Errors
/// No connection, no answer within 15 s, or not HTTP.
pub async fn post_json(
    address: SocketAddr,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &Value,
) -> Result<Response> {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    send(address, request(Method::POST, host, path, &all, body.to_string().into())?).await
}

/// Builds a request with an origin-form target (`/path?query`) and a Host header.
///
/// # Errors
/// A path or a header that HTTP does not allow.
pub fn request(
    method: Method,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Result<Request<Full<Bytes>>> {
    let mut builder = Request::builder().method(method).uri(path).header("host", host);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    Ok(builder.body(Full::new(body))?)
}

/// Sends one request over a new TCP connection.
///
/// # Errors
/// No connection, no answer within 15 s, or not HTTP.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Result<Response> {
    send_within(EXCHANGE_LIMIT, address, request).await
}

/// Sends one request over a new TCP connection, for an answer that may take as long as `limit`.
///
/// # Errors
/// No connection, no answer in time, or not HTTP.
pub async fn send_within(
    limit: Duration,
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<Response> {
    let io = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    exchange_within(limit, io, request).await
}

/// Sends one request over `io`, which is a fresh connection of any kind (TCP, TLS, Unix socket).
///
/// # Errors
/// No answer within 15 s, or not HTTP.
pub async fn exchange<S>(io: S, request: Request<Full<Bytes>>) -> Result<Response>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    exchange_within(EXCHANGE_LIMIT, io, request).await
}

async fn exchange_within<S>(limit: Duration, io: S, request: Request<Full<Bytes>>) -> Result<Response>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let what = format!("{} {}", request.method(), request.uri());
    let exchange = async {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
        // Its error reaches us through the request as well.
        let driver = tokio::spawn(connection);
        let answer = read(sender.send_request(request).await?).await;
        driver.abort();
        answer
    };
    within(limit, &what, exchange).await
}

/// The answer with all of its body.
pub(crate) async fn read(answer: http::Response<Incoming>) -> Result<Response> {
    let (head, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
}

/// What `exchange` comes to, or an error that names `what` was asked for.
pub(crate) async fn within(
    limit: Duration,
    what: &str,
    exchange: impl Future<Output = Result<Response>>,
) -> Result<Response> {
    match tokio::time::timeout(limit, exchange).await {
        Ok(answer) => answer.with_context(|| format!("{what} failed")),
        Err(_) => bail!("{what}: no answer within {limit:?}"),
    }
}

/// Repeats `attempt` until it succeeds, and returns what it returned.
///
/// # Errors
/// `deadline` passes: the error is the last attempt's, with the number of attempts.
pub async fn eventually<T, E, F, Fut>(deadline: Duration, mut attempt: F) -> Result<T>
where
    E: Into<anyhow::Error> + Debug,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let mut pause = Duration::from_millis(2);
    let mut attempts = 0_u32;
    loop {
        attempts += 1;
        let left = deadline.saturating_sub(started.elapsed());
        // An attempt that hangs must not outlive the deadline for ever; it gets one more second.
        let failure = match tokio::time::timeout(left + Duration::from_secs(1), attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error.into(),
            Err(_) => anyhow::anyhow!("the attempt itself hung"),
        };
        if started.elapsed() + pause > deadline {
            return Err(failure).with_context(|| format!("not within {deadline:?} ({attempts} attempts)"));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// A port of loopback at which nobody listens.
///
/// # Errors
/// No port.
pub fn closed_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
