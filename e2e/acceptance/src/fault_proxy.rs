//! An HTTP proxy in front of the API server that answers some lists and watches as an API server in trouble does.
//!
//! It stands in the cluster's network, takes plain HTTP/1.1 and passes everything on by TLS, the credentials of
//! the caller included. Faults are by kind; they hit requests for all objects of the kind, and nothing else.

mod relay;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::relay::Relay;
use crate::{ApiServer, Collection, Network};

/// What the lists and watches of a kind get instead of their answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, at once; watches that are open end in good order.
    Status(u16),
    /// No answer before the fault is taken back, and then the right one.
    Delayed,
    /// Watches, the open ones too, get nothing more and never end, not even when the fault is taken back;
    /// lists get no answer.
    HalfOpen,
    /// Each watch breaks in the midst of its next event.
    Truncated,
    /// Open watches, and those that go on at a version, are told that they are too far behind (an event of type
    /// ERROR with code 410).
    Expired,
    /// An answer as if there were no objects.
    Empty,
}

/// A list or a watch of all objects of a kind.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Of which kind.
    pub collection: Collection,
    /// Whether it is a watch.
    pub is_watch: bool,
    /// Whether it is a watch that begins with a list.
    pub is_streamed_list: bool,
    /// When it came.
    pub at: Instant,
}

/// A running proxy. Ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    server: ApiServer,
    collections: &'static [Collection],
    faults: watch::Sender<Faults>,
    asked: Mutex<Vec<Asked>>,
    /// Paths of watches of other kinds.
    strangers: Mutex<BTreeSet<String>>,
}

#[derive(Clone, Debug, Default)]
struct Faults {
    by_collection: BTreeMap<Collection, Fault>,
    refuses_streamed_lists: bool,
}

impl FaultProxy {
    /// Starts in front of `server`, without faults; they may be set for the kinds of `collections`.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn start(network: &Network, server: &ApiServer, collections: &'static [Collection]) -> Self {
        let listener = network.run(async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await });
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let faults = watch::Sender::new(Faults::default());
        let (asked, strangers) = (Mutex::default(), Mutex::default());
        let state = Arc::new(State { server: server.clone(), collections, faults, asked, strangers });
        let task = network.spawn(accept(listener, Arc::clone(&state)));
        Self { address, state, task }
    }

    /// Where it listens, in the cluster's network.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the fault of a kind, or takes it back.
    pub fn set(&self, collection: Collection, fault: Option<Fault>) {
        self.state.faults.send_modify(|faults| match fault {
            Some(fault) => drop(faults.by_collection.insert(collection, fault)),
            None => drop(faults.by_collection.remove(&collection)),
        });
    }

    /// Whether watches that begin with a list are refused, as by an API server that is too old for them.
    pub fn refuse_streamed_lists(&self, refuses: bool) {
        self.state.faults.send_modify(|faults| faults.refuses_streamed_lists = refuses);
    }

    /// Every list and watch so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked().clone()
    }

    /// The paths of watches of all objects of a kind that faults cannot be set for.
    #[must_use]
    pub fn strangers(&self) -> BTreeSet<String> {
        self.state.strangers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is asked, if it is something that a fault can hit.
    fn understand(&self, method: &Method, uri: &Uri) -> Option<Asked> {
        let query = uri.query().unwrap_or_default();
        // With a selector of labels it is somebody who looks after objects of their own.
        if *method != Method::GET || query.contains("labelSelector=") {
            return None;
        }
        let Some(collection) = self.collections.iter().find(|collection| collection.has_path(uri.path()))
        else {
            self.note_stranger(uri.path(), query);
            return None;
        };
        Some(Asked {
            collection: *collection,
            is_watch: query.contains("watch=true"),
            is_streamed_list: query.contains("sendInitialEvents=true"),
            at: Instant::now(),
        })
    }

    fn note_stranger(&self, path: &str, query: &str) {
        if query.contains("watch=true") && !path.contains("/namespaces/") {
            self.strangers.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
    }
}

impl Faults {
    fn of(&self, collection: Collection) -> Option<Fault> {
        self.by_collection.get(&collection).copied()
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => drop(connections.spawn(serve(stream, Arc::clone(&state)))),
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move {
            let answer = answer(&state, request).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|error| status(503, &format!("{error:#}"))))
        }
    });
    // The caller may go at any time, and a truncated answer is meant to end in an error.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: &State, request: Request<Incoming>) -> Result<Response<Relay>> {
    let Some(asked) = state.understand(request.method(), request.uri()) else {
        let answer = forward(&state.server, request).await?;
        return Ok(answer.map(Relay::plain));
    };
    state.asked().push(asked);
    let mut faults = state.faults.subscribe();
    let now = faults.wait_for(|faults| faults.of(asked.collection) != Some(Fault::Delayed)).await?.clone();
    match now.of(asked.collection) {
        Some(Fault::Status(code)) => return Ok(status(code, "a fault")),
        Some(Fault::HalfOpen) if asked.is_watch => return Ok(Response::new(Relay::silent())),
        Some(Fault::HalfOpen) => std::future::pending().await,
        Some(Fault::Expired) if asked.is_watch && !asked.is_streamed_list => {
            return Ok(Response::new(Relay::expired()));
        }
        _ if now.refuses_streamed_lists && asked.is_streamed_list => {
            return Ok(status(422, "sendInitialEvents is forbidden"));
        }
        Some(Fault::Empty) => {
            let answer = forward(&state.server, without_objects(request)?).await?;
            return Ok(answer.map(Relay::plain));
        }
        Some(Fault::Expired | Fault::Truncated | Fault::Delayed) | None => {}
    }
    let answer = forward(&state.server, request).await?;
    let is_watched = asked.is_watch && answer.status().is_success();
    Ok(answer.map(|body| match is_watched {
        true => Relay::watched(body, asked.collection, faults),
        false => Relay::plain(body),
    }))
}

/// The same request, for objects with a label that none has.
fn without_objects(mut request: Request<Incoming>) -> Result<Request<Incoming>> {
    let uri = request.uri();
    let query = uri.query().unwrap_or_default();
    let none = format!("{}?{query}&labelSelector=chancery.test%2Fnone%3Dnone", uri.path());
    *request.uri_mut() = none.parse()?;
    Ok(request)
}

/// Passes a request on, over a connection of its own.
async fn forward(server: &ApiServer, request: Request<Incoming>) -> Result<Response<Incoming>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut sender = server.dial().await?;
    Ok(sender.send_request(Request::from_parts(parts, Full::new(body))).await?)
}

/// An error as the API server gives it.
fn status(code: u16, message: &str) -> Response<Relay> {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        422 => "Invalid",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    });
    let mut response = Response::new(Relay::whole(Bytes::from(body.to_string())));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    if code == 429 {
        headers.insert("retry-after", http::HeaderValue::from_static("1"));
    }
    response
}
