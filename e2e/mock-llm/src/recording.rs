//! What arrived, to be asked and awaited by tests.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, Version};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::route::{Provider, route};
use crate::server::Connection;

/// One request, as it arrived.
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// The path and, if there is one, the query.
    pub uri: Uri,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
    /// The server name of the TLS handshake.
    pub sni: Option<Arc<str>>,
    /// All header fields, credentials included.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    disconnected: AtomicBool,
    answered: AtomicBool,
}

impl Recorded {
    /// The path with the query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |both| both.as_str())
    }

    /// The Host header (HTTP/1.1) or `:authority` (HTTP/2), with a port if one was sent.
    #[must_use]
    pub fn host(&self) -> &str {
        let authority = self.uri.authority().map(|authority| authority.as_str());
        authority.or(self.header("host")).unwrap_or_default()
    }

    /// The value of the header `name`; `None` when it is absent, not text, or sent more than once.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        if values.next().is_some() { None } else { first.to_str().ok() }
    }

    /// The body as JSON, or `Null`.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The provider that was asked; `None` when its path is none of theirs.
    #[must_use]
    pub fn provider(&self) -> Option<Provider> {
        let body = self.json();
        let model = body.get("model").and_then(Value::as_str);
        route(&self.method, self.uri.path(), model).map(|route| route.provider)
    }

    /// Whether the client went away before it had the whole answer.
    #[must_use]
    pub fn disconnected(&self) -> bool {
        self.disconnected.load(Ordering::Acquire)
    }

    /// Whether the whole answer was handed to the connection.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    /// For the admin endpoint. Header values that are no text, and bodies that are none, are made so with
    /// replacement characters.
    pub(crate) fn to_json(&self) -> Value {
        let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
            json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())])
        };
        json!({
            "method": self.method.as_str(),
            "path": self.path_and_query(),
            "host": self.host(),
            "version": format!("{:?}", self.version),
            "sni": self.sni.as_deref(),
            "headers": self.headers.iter().map(header).collect::<Vec<_>>(),
            "body": String::from_utf8_lossy(&self.body),
            "disconnected": self.disconnected(),
            "answered": self.answered(),
        })
    }
}

/// One line without any credential's value.
impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(http::HeaderName::as_str).collect();
        write!(f, "[{} {} {} bytes", self.method, self.uri.path(), self.body.len())?;
        write!(f, " disconnected={} headers={names:?}]", self.disconnected())
    }
}

/// All requests that a mock saw, oldest first. Clones share one list.
#[derive(Clone, Debug)]
pub struct Recording {
    requests: Arc<Mutex<Vec<Arc<Recorded>>>>,
    // Every change of the list or of one of its members.
    changes: Arc<watch::Sender<u64>>,
}

impl Recording {
    pub(crate) fn new() -> Self {
        Self { requests: Arc::default(), changes: Arc::new(watch::Sender::new(0)) }
    }

    /// Enters a request; what is returned watches its answer.
    pub(crate) fn push(&self, head: &http::request::Parts, connection: &Connection, body: Bytes) -> Exchange {
        let record = Arc::new(Recorded {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
            sni: connection.sni.clone(),
            headers: head.headers.clone(),
            body,
            disconnected: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        });
        self.lock().push(Arc::clone(&record));
        self.changed();
        Exchange { recording: self.clone(), record }
    }

    /// All requests so far.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Recorded>> {
        self.lock().clone()
    }

    /// The newest request.
    #[must_use]
    pub fn last(&self) -> Option<Arc<Recorded>> {
        self.lock().last().cloned()
    }

    /// Takes all requests out, so that the next ones start a new list.
    pub fn take(&self) -> Vec<Arc<Recorded>> {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until what was recorded satisfies `enough`, and returns it.
    ///
    /// # Errors
    /// `deadline` passes; the error lists what was seen, without credentials.
    pub async fn wait_for<F>(&self, deadline: Duration, enough: F) -> Result<Vec<Arc<Recorded>>>
    where
        F: Fn(&[Arc<Recorded>]) -> bool + Send,
    {
        let mut changes = self.changes.subscribe();
        let seen = async {
            loop {
                changes.mark_unchanged();
                let all = self.all();
                if enough(&all) {
                    return all;
                }
                // The sender lives in `self`, so this ends by a change only.
                let _ = changes.changed().await;
            }
        };
        match tokio::time::timeout(deadline, seen).await {
            Ok(all) => Ok(all),
            Err(_) => bail!("not what was waited for within {deadline:?}: {:?}", self.all()),
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Recorded>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An exchange that goes on. Dropped before its end, the client has gone.
#[derive(Debug)]
pub(crate) struct Exchange {
    recording: Recording,
    record: Arc<Recorded>,
}

impl Exchange {
    /// The answer is complete, or was ended by the mock on purpose.
    pub(crate) fn end(&self) {
        self.record.answered.store(true, Ordering::Release);
        self.recording.changed();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.record.answered() {
            self.record.disconnected.store(true, Ordering::Release);
            self.recording.changed();
        }
    }
}
