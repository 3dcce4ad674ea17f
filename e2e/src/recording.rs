//! What a mock server saw, to be asked and awaited by tests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::sync::watch;

use crate::server::Connection;

/// Headers whose values are credentials, and the query parameter that can be one.
const CREDENTIAL_HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "x-goog-api-key", "x-api-key", "api-key"];
const CREDENTIAL_PARAMETER: &str = "key=";

/// One request, as it arrived.
///
/// Its `Debug` output does not show credentials; [`header`](Self::header) does.
#[derive(Clone)]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The path and, if there is one, the query.
    pub uri: Uri,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The Host header (HTTP/1.1) or `:authority` (HTTP/2), with a port if one was sent.
    pub host: String,
    /// The server name of the TLS handshake.
    pub sni: Option<String>,
    /// All header fields, credentials included.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When the body had arrived.
    pub at: Instant,
}

impl RecordedRequest {
    /// Reads a request to its end.
    pub(crate) async fn read(
        request: http::Request<Incoming>,
        connection: &Connection,
    ) -> Result<Self, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let authority = head.uri.authority().map(ToString::to_string);
        let host_header = || head.headers.get(http::header::HOST)?.to_str().ok().map(str::to_owned);
        let host = authority.or_else(host_header).unwrap_or_default();
        Ok(Self {
            method: head.method,
            uri: head.uri,
            version: head.version,
            host,
            sni: connection.sni.clone(),
            headers: head.headers,
            body,
            at: Instant::now(),
        })
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The path with the query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |both| both.as_str())
    }

    /// The value of the header `name`; `None` when it is absent, not text, or sent more than once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        match self.header_values(name)[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// All values of the header `name` that are text.
    #[must_use]
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// The body as JSON, or `Null`.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// How often `needle` appears in it: in the target, the host, a header's value or the body.
    ///
    /// For tests that a credential is sent upstream once, or not at all.
    #[must_use]
    pub fn occurrences(&self, needle: &str) -> usize {
        let texts = [self.path_and_query(), &self.host];
        let headers = self.headers.values().map(|value| value.as_bytes());
        texts
            .iter()
            .map(|text| text.as_bytes())
            .chain(headers)
            .chain([&self.body[..]])
            .map(|text| String::from_utf8_lossy(text).matches(needle).count())
            .sum()
    }

    /// The target with the value of a `key` query parameter replaced.
    fn redacted_target(&self) -> String {
        let Some(query) = self.uri.query() else { return self.path().to_owned() };
        let parameters = query.split('&').map(|parameter| {
            if parameter.starts_with(CREDENTIAL_PARAMETER) { "key=(redacted)" } else { parameter }
        });
        format!("{}?{}", self.path(), parameters.collect::<Vec<_>>().join("&"))
    }
}

/// One line without any credential's value: `POST /v1/chat/completions host=… sni=… 42 bytes, …`.
impl fmt::Display for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sni = self.sni.as_deref().unwrap_or("-");
        write!(f, "{} {} host={} sni={sni}", self.method, self.redacted_target(), self.host)?;
        write!(f, " {:?} {} bytes", self.version, self.body.len())?;
        for name in CREDENTIAL_HEADERS.iter().filter(|name| self.headers.contains_key(**name)) {
            write!(f, " {name}=(redacted)")?;
        }
        Ok(())
    }
}

impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(http::HeaderName::as_str).collect();
        write!(f, "[{self} headers={names:?}]")
    }
}

/// All requests that a server saw, oldest first. Clones share one list.
#[derive(Clone, Debug)]
pub struct Recording {
    requests: Arc<Mutex<Vec<Arc<RecordedRequest>>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self { requests: Arc::default(), count: Arc::new(watch::Sender::new(0)) }
    }

    pub(crate) fn push(&self, request: RecordedRequest) {
        let mut requests = self.lock();
        requests.push(Arc::new(request));
        self.count.send_replace(requests.len());
    }

    /// All requests so far.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<RecordedRequest>> {
        self.lock().clone()
    }

    /// How many requests there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    /// The newest request.
    #[must_use]
    pub fn last(&self) -> Option<Arc<RecordedRequest>> {
        self.lock().last().cloned()
    }

    /// Takes all requests out, so that the next ones start a new list.
    #[must_use]
    pub fn take(&self) -> Vec<Arc<RecordedRequest>> {
        let mut requests = self.lock();
        self.count.send_replace(0);
        std::mem::take(&mut *requests)
    }

    /// Waits until there are at least `count` requests, and returns all.
    ///
    /// # Errors
    /// `deadline` passes; the error lists what was seen, without credentials.
    pub async fn wait_for(&self, count: usize, deadline: Duration) -> Result<Vec<Arc<RecordedRequest>>> {
        let mut seen = self.count.subscribe();
        // The sender lives in `self`, so the only failure is the deadline.
        if tokio::time::timeout(deadline, seen.wait_for(|seen| *seen >= count)).await.is_err() {
            let seen = self.all();
            bail!("{} of {count} requests within {deadline:?}: {seen:?}", seen.len());
        }
        Ok(self.all())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Arc<RecordedRequest>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
