//! A plain-HTTP backend that answers with what it received, and who it is.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::recording::{RecordedRequest, Recording};
use crate::server::{Body, Connection, Server};

/// A request header that asks for an answer after this many milliseconds.
pub const DELAY_HEADER: &str = "x-echo-delay-ms";
/// A request header that asks for an answer with this status.
pub const STATUS_HEADER: &str = "x-echo-status";
/// A request header that asks for an answer with this `retry-after`.
pub const RETRY_AFTER_HEADER: &str = "x-echo-retry-after";

/// The answer's body, as JSON.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Echo {
    /// Which backend answered: the label it was started with.
    pub identity: String,
    /// The request's method.
    pub method: String,
    /// The request's path and query.
    pub path: String,
    /// The Host header or `:authority`.
    pub host: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// All headers, names in lower case.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body, as text.
    pub body: String,
}

/// A running echo backend (HTTP/1.1 and, with prior knowledge, HTTP/2). It stops when dropped.
#[derive(Debug)]
pub struct EchoBackend {
    server: Server,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    identity: String,
    recording: Mutex<Option<Recording>>,
    served: AtomicU64,
    failure: Mutex<Option<(NonZeroU64, StatusCode)>>,
}

impl EchoBackend {
    /// Starts on a free loopback port.
    ///
    /// # Errors
    /// No port.
    pub async fn start(identity: &str) -> Result<Self> {
        Self::start_on((Ipv4Addr::LOCALHOST, 0).into(), identity).await
    }

    /// Starts on `listen`.
    ///
    /// # Errors
    /// `listen` is taken.
    pub async fn start_on(listen: SocketAddr, identity: &str) -> Result<Self> {
        Self::start_with(listen, None, identity).await
    }

    /// Starts on a free loopback port, with TLS.
    ///
    /// # Errors
    /// No port.
    pub async fn start_tls(identity: &str, tls: Arc<rustls::ServerConfig>) -> Result<Self> {
        Self::start_with((Ipv4Addr::LOCALHOST, 0).into(), Some(tls), identity).await
    }

    async fn start_with(
        listen: SocketAddr,
        tls: Option<Arc<rustls::ServerConfig>>,
        identity: &str,
    ) -> Result<Self> {
        let state = Arc::new(State {
            identity: identity.to_owned(),
            recording: Mutex::default(),
            served: AtomicU64::new(0),
            failure: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        let handler = move |request, connection| handle(Arc::clone(&shared), request, connection);
        Ok(Self { server: Server::start(listen, tls, handler).await?, state })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// How many requests it has answered.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.state.served.load(Ordering::Relaxed)
    }

    /// Records every request from now on. Off at first: under load the list would grow for minutes.
    #[must_use]
    pub fn record(&self) -> Recording {
        let mut recording = self.state.recording.lock().unwrap_or_else(PoisonError::into_inner);
        recording.get_or_insert_with(Recording::new).clone()
    }

    /// Answers every `nth` request with `status` from now on.
    pub fn fail_every(&self, nth: NonZeroU64, status: StatusCode) {
        *self.state.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some((nth, status));
    }

    /// Lets open exchanges end, then closes all connections.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl State {
    fn record(&self, request: &RecordedRequest) {
        if let Some(recording) = &*self.recording.lock().unwrap_or_else(PoisonError::into_inner) {
            recording.push(request.clone());
        }
    }

    /// The status of the next answer.
    fn next_status(&self, request: &RecordedRequest) -> StatusCode {
        let number = self.served.fetch_add(1, Ordering::Relaxed) + 1;
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            Some((nth, status)) if number % nth == 0 => status,
            _ => parse_header(request, STATUS_HEADER).unwrap_or(StatusCode::OK),
        }
    }

    fn echo(&self, request: &RecordedRequest) -> Echo {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &request.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            headers.entry(name.to_string()).or_default().push(value);
        }
        Echo {
            identity: self.identity.clone(),
            method: request.method.to_string(),
            path: request.path_and_query().to_owned(),
            host: request.host.clone(),
            protocol: format!("{:?}", request.version),
            headers,
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }
}

async fn handle(
    state: Arc<State>,
    request: http::Request<Incoming>,
    connection: Arc<Connection>,
) -> Response<Body> {
    let Ok(request) = RecordedRequest::read(request, &connection).await else {
        // The client went away; nobody reads this.
        return respond(StatusCode::BAD_REQUEST, String::new());
    };
    state.record(&request);
    if let Some(delay) = parse_header(&request, DELAY_HEADER) {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    let body = serde_json::to_string(&state.echo(&request)).unwrap_or_default();
    let mut response = respond(state.next_status(&request), body);
    if let Some(wait) = parse_header(&request, RETRY_AFTER_HEADER) {
        response.headers_mut().insert(http::header::RETRY_AFTER, wait);
    }
    response
}

fn parse_header<T: std::str::FromStr>(request: &RecordedRequest, name: &str) -> Option<T> {
    request.header(name)?.parse().ok()
}

fn respond(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Full::from(body).boxed_unsync());
    *response.status_mut() = status;
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}
