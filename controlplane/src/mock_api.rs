//! A small API server for tests, behind kube's client: lists, watches, reads and writes of any kind, and
//! faults on demand. No socket, no real time.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Frames = mpsc::UnboundedSender<Bytes>;
type MockResponse = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>>;

/// What a request gets instead of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This error.
    Status(u16),
    /// 404 with a text, as for paths that an API server does not know.
    PlainNotFound,
    /// No answer.
    Hang,
    /// As a server without streamed lists: those watches are refused.
    NoStreamedLists,
}

/// A request that changes something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Write {
    pub method: Method,
    pub path: String,
    pub body: Value,
    pub code: u16,
}

#[derive(Clone)]
pub(crate) struct MockApi {
    state: Arc<Mutex<State>>,
    /// How many writes came.
    writes: Arc<watch::Sender<usize>>,
}

#[derive(Default)]
struct State {
    version: u64,
    /// By path of the collection (of all namespaces), then by path of the object.
    collections: BTreeMap<String, BTreeMap<String, Value>>,
    watchers: BTreeMap<String, Vec<Frames>>,
    /// Watches that are open and hear nothing.
    silenced: Vec<Frames>,
    /// Every event since the last expiry, by collection.
    history: BTreeMap<String, Vec<(u64, Bytes)>>,
    /// The versions that watches can no longer begin at, by collection.
    expired: BTreeMap<String, u64>,
    /// By prefix of the path.
    faults: BTreeMap<String, Fault>,
    write_faults: Vec<Fault>,
    writes: Vec<Write>,
    lists: BTreeMap<String, usize>,
    /// When objects were made, and when they were deleted last, by path; as versions.
    created: BTreeMap<String, Vec<u64>>,
    deleted: BTreeMap<String, u64>,
    /// Every request that reads, by path.
    reads: BTreeMap<String, usize>,
}

impl MockApi {
    /// A server that knows every kind of ours.
    pub(crate) fn new() -> Self {
        let mut state = State::default();
        for kind in crds::KINDS {
            for version in kind.versions {
                state.collections.insert(collection_path(kind.group, version, kind.plural), BTreeMap::new());
            }
        }
        Self { state: Arc::new(Mutex::new(state)), writes: Arc::new(watch::Sender::new(0)) }
    }

    pub(crate) fn client(&self) -> Client {
        let this = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let this = this.clone();
            async move { Ok::<_, Infallible>(this.answer(request).await) }
        });
        Client::new(service, "default")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    // --- what tests do to it ---

    /// Creates or replaces; gives the object as it is then.
    pub(crate) fn apply(&self, object: Value) -> Value {
        self.state().put(object)
    }

    pub(crate) fn delete(&self, path: &str) {
        let mut state = self.state();
        let collection = collection_of(path);
        let mut object = state.collections.get_mut(&collection).unwrap().remove(path).unwrap();
        state.version += 1;
        object["metadata"]["resourceVersion"] = state.version.to_string().into();
        let version = state.version;
        state.deleted.insert(path.to_owned(), version);
        state.tell(&collection, "DELETED", &object);
    }

    /// Takes the object out without telling anybody, as if the event were lost.
    pub(crate) fn lose(&self, path: &str) {
        self.state().collections.get_mut(&collection_of(path)).unwrap().remove(path);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.state().collections.get(&collection_of(path))?.get(path).cloned()
    }

    /// Removes a kind: as if its CRD were deleted.
    pub(crate) fn remove_kind(&self, collection: &str) {
        let mut state = self.state();
        state.collections.remove(collection);
        state.watchers.remove(collection);
    }

    pub(crate) fn add_kind(&self, collection: &str) {
        self.state().collections.entry(collection.to_owned()).or_default();
    }

    /// Every request below the path gets the fault, until it is taken back.
    pub(crate) fn set_fault(&self, prefix: &str, fault: Option<Fault>) {
        let mut state = self.state();
        match fault {
            Some(fault) => drop(state.faults.insert(prefix.to_owned(), fault)),
            None => drop(state.faults.remove(prefix)),
        }
    }

    /// The next writes get these faults, in this order.
    pub(crate) fn fail_writes(&self, faults: &[Fault]) {
        self.state().write_faults.extend(faults);
    }

    /// Tells watchers that they are too far behind, and forgets what happened until now.
    pub(crate) fn expire_watches(&self, collection: &str) {
        let mut state = self.state();
        for watcher in state.watchers.remove(collection).into_iter().flatten() {
            let _ = watcher.send(expired());
        }
        state.history.remove(collection);
        state.version += 1;
        let version = state.version;
        state.expired.insert(collection.to_owned(), version);
    }

    /// Leaves the watches open, and tells them nothing more.
    pub(crate) fn silence_watches(&self, collection: &str) {
        let mut state = self.state();
        let watchers = state.watchers.remove(collection).into_iter().flatten();
        let watchers: Vec<Frames> = watchers.collect();
        state.silenced.extend(watchers);
    }

    /// Ends the watches in the midst of an event.
    pub(crate) fn break_watches(&self, collection: &str) {
        let mut state = self.state();
        for watcher in state.watchers.remove(collection).into_iter().flatten() {
            let _ = watcher.send(Bytes::from_static(b"{\"type\":\"ADDED\",\"object\":{\"met"));
        }
    }

    pub(crate) fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// Waits until so many writes have come.
    pub(crate) async fn has_writes(&self, count: usize) -> Vec<Write> {
        self.writes.subscribe().wait_for(|writes| *writes >= count).await.unwrap();
        self.writes()
    }

    /// When an object was made, each time; comparable with [`Self::deleted`].
    pub(crate) fn created(&self, path: &str) -> Vec<u64> {
        self.state().created.get(path).cloned().unwrap_or_default()
    }

    /// When an object was deleted last.
    pub(crate) fn deleted(&self, path: &str) -> Option<u64> {
        self.state().deleted.get(path).copied()
    }

    /// How often a collection was listed, streamed or not.
    pub(crate) fn lists(&self, collection: &str) -> usize {
        self.state().lists.get(collection).copied().unwrap_or_default()
    }

    /// How often a path was read, with whatever outcome.
    pub(crate) fn reads(&self, path: &str) -> usize {
        self.state().reads.get(path).copied().unwrap_or_default()
    }

    // --- what it answers ---

    async fn answer(&self, request: Request<Body>) -> MockResponse {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let is_write = parts.method != Method::GET;
        if !is_write {
            *self.state().reads.entry(path.clone()).or_default() += 1;
        }
        let fault = self.state().fault(&path, is_write);
        if fault == Some(Fault::Hang) {
            std::future::pending::<()>().await;
        }
        let streams = query.contains("sendInitialEvents=true");
        if fault == Some(Fault::PlainNotFound) {
            let body = http_body_util::Full::new(Bytes::from_static(b"404 page not found\n"));
            return Response::builder().status(404).body(body.boxed_unsync()).unwrap();
        }
        let fault = match fault {
            Some(Fault::Status(code)) => Some(code),
            Some(Fault::NoStreamedLists) if streams => Some(422),
            _ => None,
        };
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        let is_apply =
            content_type.is_some_and(|content_type| *content_type == "application/apply-patch+yaml");
        let answer = match fault {
            Some(code) => status(code),
            None if query.contains("watch=true") => return self.state().watch(&path, &query),
            None if is_apply => self.state().apply(body.clone()),
            None => self.state().serve(&parts.method, &path, &body),
        };
        if is_write {
            let code = answer.get("code").filter(|_| answer["kind"] == "Status");
            let code = code.and_then(Value::as_u64).map_or(200, |code| u16::try_from(code).unwrap());
            self.state().writes.push(Write { method: parts.method, path, body, code });
            self.writes.send_modify(|writes| *writes += 1);
        }
        respond(&answer)
    }
}

impl State {
    fn fault(&mut self, path: &str, is_write: bool) -> Option<Fault> {
        if is_write && !self.write_faults.is_empty() {
            return Some(self.write_faults.remove(0));
        }
        self.faults.iter().find(|(prefix, _)| path.starts_with(*prefix)).map(|(_, fault)| *fault)
    }

    fn serve(&mut self, method: &Method, path: &str, body: &Value) -> Value {
        if *method == Method::POST {
            let mut object = body.clone();
            if let Some(prefix) = object["metadata"]["generateName"].as_str() {
                let name = format!("{prefix}{}", self.version);
                object["metadata"]["name"] = name.into();
            }
            let namespace = path.split_once("/namespaces/").and_then(|(_, rest)| rest.split('/').next());
            if let Some(namespace) = namespace {
                object["metadata"]["namespace"] = namespace.into();
            }
            return match self.find(&object_path(&object)) {
                Some(_) => status(409),
                None => self.put(object),
            };
        }
        let (object_path, subresource) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        if *method == Method::GET {
            return match namespaced_collection(path) {
                Some(collection) => self.list(&collection, &format!("{path}/")),
                None if self.collections.contains_key(path) => self.list(path, ""),
                None if self.kinds_in(path).next().is_some() => {
                    let resources: Vec<Value> = self.kinds_in(path).map(|plural| json!({
                        "name": plural, "singularName": "", "namespaced": true, "kind": "X", "verbs": [],
                    })).collect();
                    json!({"kind": "APIResourceList", "groupVersion": "x", "resources": resources})
                }
                None => self.find(object_path).unwrap_or_else(|| status(404)),
            };
        }
        let Some(mut object) = self.find(object_path) else { return status(404) };
        if body.is_array() {
            return match patched(&object, body) {
                Some(patched) => self.put(patched),
                None => status(422),
            };
        }
        let expected = body.pointer("/metadata/resourceVersion");
        if expected.is_some_and(|expected| *expected != object["metadata"]["resourceVersion"]) {
            return status(409);
        }
        match subresource {
            true => object["status"] = body["status"].clone(),
            false => {
                let metadata = object["metadata"].clone();
                object = body.clone();
                object["metadata"] = metadata;
            }
        }
        self.put(object)
    }

    /// The plurals of the kinds in a version of a group, by the path of that.
    fn kinds_in(&self, version: &str) -> impl Iterator<Item = &str> {
        let plural = move |path: &'_ String| path.strip_prefix(version)?.strip_prefix('/').map(str::len);
        self.collections
            .keys()
            .filter_map(move |path| Some(&path[path.len() - plural(path)?..]))
            .filter(|plural| !plural.contains('/'))
    }

    fn find(&self, path: &str) -> Option<Value> {
        self.collections.get(&collection_of(path))?.get(path).cloned()
    }

    /// Server-side apply: with a uid, to that very object or not at all.
    fn apply(&mut self, object: Value) -> Value {
        let uid = &object["metadata"]["uid"];
        let known = self.find(&object_path(&object)).map(|known| known["metadata"]["uid"].clone());
        match uid.is_null() || known.as_ref() == Some(uid) {
            true => self.put(object),
            false => status(409),
        }
    }

    fn put(&mut self, mut object: Value) -> Value {
        let path = object_path(&object);
        let collection = collection_of(&path);
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let objects = self.collections.entry(collection.clone()).or_default();
        if object["metadata"]["uid"].is_null() {
            let known = objects.get(&path).map(|known| known["metadata"]["uid"].clone());
            object["metadata"]["uid"] = known.unwrap_or_else(|| format!("uid-{}", self.version).into());
        }
        let event = if objects.insert(path.clone(), object.clone()).is_some() { "MODIFIED" } else { "ADDED" };
        if event == "ADDED" {
            self.created.entry(path).or_default().push(self.version);
        }
        self.tell(&collection, event, &object);
        object
    }

    fn tell(&mut self, collection: &str, event: &str, object: &Value) {
        let frame = frame(event, object);
        self.history.entry(collection.to_owned()).or_default().push((self.version, frame.clone()));
        let watchers = self.watchers.entry(collection.to_owned()).or_default();
        watchers.retain(|watcher| watcher.send(frame.clone()).is_ok());
    }

    /// The objects whose paths begin with `prefix`.
    fn list(&mut self, collection: &str, prefix: &str) -> Value {
        *self.lists.entry(collection.to_owned()).or_default() += 1;
        let bare = |object: &Value| {
            let mut object = object.clone();
            object.as_object_mut().unwrap().retain(|key, _| key != "apiVersion" && key != "kind");
            object
        };
        let within = self.collections[collection].iter().filter(|(path, _)| path.starts_with(prefix));
        let items: Vec<Value> = within.map(|(_, object)| bare(object)).collect();
        json!({"kind": "List", "metadata": {"resourceVersion": self.version.to_string()}, "items": items})
    }

    fn watch(&mut self, collection: &str, query: &str) -> MockResponse {
        let Some(objects) = self.collections.get(collection) else { return respond(&status(404)) };
        let (sender, receiver) = mpsc::unbounded_channel();
        if query.contains("sendInitialEvents=true") {
            *self.lists.entry(collection.to_owned()).or_default() += 1;
            for object in objects.values() {
                sender.send(frame("ADDED", object)).unwrap();
            }
            let bookmark = json!({"apiVersion": "v1", "kind": "X", "metadata": {
                "resourceVersion": self.version.to_string(),
                "annotations": {"k8s.io/initial-events-end": "true"},
            }});
            sender.send(frame("BOOKMARK", &bookmark)).unwrap();
        } else {
            let from = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
            let from: u64 = from.unwrap().parse().unwrap();
            if self.expired.get(collection).is_some_and(|expired| from < *expired) {
                sender.send(expired()).unwrap();
            }
            for (_, frame) in self.history.get(collection).into_iter().flatten().filter(|(at, _)| *at > from)
            {
                sender.send(frame.clone()).unwrap();
            }
        }
        self.watchers.entry(collection.to_owned()).or_default().push(sender);
        let frames = UnboundedReceiverStream::new(receiver).map(|bytes| Ok(http_body::Frame::data(bytes)));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

/// The object after a JSON patch; `None` if a condition of the patch does not hold.
fn patched(object: &Value, operations: &Value) -> Option<Value> {
    let operations: json_patch::Patch = serde_json::from_value(operations.clone()).ok()?;
    let mut object = object.clone();
    json_patch::patch(&mut object, &operations).ok()?;
    Some(object)
}

/// `/apis/GROUP/VERSION/PLURAL`.
pub(crate) fn collection_path(group: &str, version: &str, plural: &str) -> String {
    match group {
        "" => format!("/api/{version}/{plural}"),
        group => format!("/apis/{group}/{version}/{plural}"),
    }
}

/// Where an object stands.
pub(crate) fn object_path(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").split_once('/').unwrap_or(("", text("/apiVersion")));
    let known = crds::KINDS.iter().find(|known| known.kind == text("/kind"));
    let plural =
        known.map_or_else(|| format!("{}s", text("/kind").to_lowercase()), |known| known.plural.to_owned());
    let collection = collection_path(group, version, &plural);
    let (root, _) = collection.rsplit_once('/').unwrap();
    match text("/metadata/namespace") {
        "" => format!("{collection}/{}", text("/metadata/name")),
        namespace => format!("{root}/namespaces/{namespace}/{plural}/{}", text("/metadata/name")),
    }
}

/// The collection of all namespaces that an object of this path is in.
fn collection_of(path: &str) -> String {
    let (rest, _) = path.rsplit_once('/').unwrap();
    match rest.split_once("/namespaces/") {
        Some((root, rest)) => format!("{root}/{}", rest.split_once('/').unwrap().1),
        None => rest.to_owned(),
    }
}

/// The collection of all namespaces, of a path that means its part in one.
fn namespaced_collection(path: &str) -> Option<String> {
    let (root, rest) = path.split_once("/namespaces/")?;
    let (_, plural) = rest.split_once('/')?;
    (!plural.contains('/')).then(|| format!("{root}/{plural}"))
}

fn frame(event: &str, object: &Value) -> Bytes {
    Bytes::from(json!({"type": event, "object": object}).to_string() + "\n")
}

fn expired() -> Bytes {
    frame("ERROR", &json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
}

fn status(code: u16) -> Value {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        422 => "Invalid",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": "mock"})
}

fn respond(answer: &Value) -> MockResponse {
    let is_error = answer["kind"] == "Status";
    let code = answer["code"].as_u64().filter(|_| is_error).unwrap_or(200);
    let body = http_body_util::Full::new(Bytes::from(answer.to_string()));
    Response::builder().status(u16::try_from(code).unwrap()).body(body.boxed_unsync()).unwrap()
}
