//! Lists and watches one kind, for as long as the program runs.
//!
//! Not kube's `watcher`: it begins its streamed list again, unseen, when the stream breaks within it
//! (an object that was deleted meanwhile would stay with us), and never gets past a 410 that answers the
//! start of a watch. Here a list is passed on only when it is complete.

use std::time::Duration;

use crds::KindInfo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Client;
use kube::api::WatchEvent;
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::end::End;
use super::event_stream::EventStream;
use super::kind_api::{KindApi, install_hint, is_optional};
use super::others::{KnownElsewhere, Others};
use crate::backoff::{Backoff, jitter};
use crate::telemetry::{KindLabel, Metrics};

/// The annotation of the bookmark that ends a streamed list.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A streamed list in which nothing comes for this long is given up.
const LIST_PATIENCE: Duration = Duration::from_secs(30);
/// The API server sends a bookmark every minute: a watch in which nothing comes for longer is dead.
const WATCH_PATIENCE: Duration = Duration::from_secs(100);
/// How often to look for a kind that does not exist.
const ABSENT_RETRY: Duration = Duration::from_secs(2);
/// A kind that was there is taken for gone only after it could not be found for this long.
const ABSENCE_GRACE: Duration = Duration::from_secs(10);
/// A watch that ends earlier is none: the next attempt waits.
const MIN_SESSION: Duration = Duration::from_secs(5);
/// Between attempts. The most is little: what was edited while the API server was away is to be served
/// a few seconds after it is back.
const MIN_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(4);
/// Before a list that replaces a watch that fell behind.
const RELIST_WAIT: Duration = Duration::from_millis(800);
/// How often to repeat in the log that a kind still cannot be read.
const REPETITION: Duration = Duration::from_secs(300);
/// After so many failures in a row the watch does not resume, but lists again.
const MAX_RESUMPTIONS: u32 = 4;

/// How long a kind may fail to be read before what other replicas have read of it is used instead.
const OWN_PATIENCE: Duration = Duration::from_secs(10);

/// What became of a kind.
#[derive(Debug)]
pub(super) enum KindEvent {
    /// These objects are all that there are.
    Listed(Vec<Value>),
    /// The kind cannot be read, and these are all objects that another replica read last.
    Handed(Vec<Value>),
    /// One is new or other than before.
    Applied(Value),
    /// One is gone.
    Deleted(Value),
    /// The API server does not know the kind: there are none.
    Absent,
    /// The kind cannot be read at this time, and why.
    Failing(String),
    /// The kind can be read again; what was said before holds.
    Recovered,
}

/// The task that follows one kind.
pub(super) struct KindWatch {
    client: Client,
    kind: &'static KindInfo,
    events: mpsc::Sender<(&'static KindInfo, KindEvent)>,
    /// Index of the version that is read.
    version: usize,
    streams_lists: bool,
    /// Where to go on watching; `None` to list first.
    resume: Option<String>,
    /// Whether objects were listed and not taken back by [`KindEvent::Absent`].
    is_listed: bool,
    not_found_since: Option<Instant>,
    /// Since when there might have been a first list.
    unread_since: Instant,
    /// What other replicas said of it meanwhile.
    known_elsewhere: Option<KnownElsewhere>,
    others: Others,
    /// What was said last to be wrong.
    failing: Option<String>,
    /// When that was logged.
    logged_at: Option<Instant>,
    metrics: Metrics,
    backoff: Backoff,
}

#[derive(Debug, Deserialize)]
struct Page {
    metadata: ListMeta,
    // A null stands for an empty list of Go.
    items: Option<Vec<Value>>,
}

impl KindWatch {
    pub(super) fn new(
        client: Client,
        kind: &'static KindInfo,
        metrics: Metrics,
        events: mpsc::Sender<(&'static KindInfo, KindEvent)>,
        others: Others,
    ) -> Self {
        Self {
            client,
            kind,
            events,
            version: 0,
            streams_lists: true,
            resume: None,
            is_listed: false,
            not_found_since: None,
            unread_since: Instant::now(),
            known_elsewhere: None,
            others,
            failing: None,
            logged_at: None,
            metrics,
            backoff: Backoff::new(MIN_RETRY, MAX_RETRY),
        }
    }

    /// Follows the kind until nobody listens.
    pub(super) async fn run(mut self) {
        loop {
            let started = Instant::now();
            let end = self.session().await;
            let end = match end {
                End::Forbidden(_) if self.api().is_absent(&self.client).await => End::NotFound,
                end => end,
            };
            tracing::debug!(kind = self.kind.kind, ?end, "a watch ended");
            let wait = match end {
                End::Closed => return,
                End::Ended if started.elapsed() > MIN_SESSION => jitter(Duration::from_millis(100)),
                End::Ended => self.backoff.next(),
                End::NoStreamedLists => {
                    self.streams_lists = false;
                    Duration::ZERO
                }
                End::Gone => {
                    self.resume = None;
                    // Lists are dear: one that says so itself, again and again, is asked for less often.
                    jitter(RELIST_WAIT).max(self.backoff.next())
                }
                End::NotFound => match self.on_not_found().await {
                    Some(wait) => wait,
                    None => return,
                },
                End::Failed(message) | End::Forbidden(message) | End::Refused(message) => {
                    if self.backoff.attempts() >= MAX_RESUMPTIONS {
                        self.resume = None;
                    }
                    if !self.say_failing(message).await || self.ask_others().await.is_err() {
                        return;
                    }
                    self.backoff.next()
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = self.events.closed() => return,
            }
        }
    }

    /// Lists if that is needed, then watches.
    async fn session(&mut self) -> End {
        let result = match (self.resume.clone(), self.streams_lists) {
            (Some(version), _) => self.watch_from(&version).await,
            (None, true) => self.list_and_watch().await,
            (None, false) => self.list_then_watch().await,
        };
        match result {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// The streamed list, and the watch that it goes over into.
    async fn list_and_watch(&mut self) -> Result<Never, End> {
        let request = self.api().list_and_watch().map_err(|error| End::from(&error))?;
        let opened = EventStream::open(&self.client, request, LIST_PATIENCE).await;
        let mut stream = opened.map_err(|end| match end {
            End::Refused(_) => End::NoStreamedLists,
            end => end,
        })?;
        let mut objects = Vec::new();
        loop {
            match stream.next(LIST_PATIENCE).await {
                // It may be one that leaves out the bookmark at the end.
                Err(End::Ended) => return Err(End::NoStreamedLists),
                Err(end) => return Err(end),
                Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => objects.push(object),
                Ok(WatchEvent::Bookmark(mark))
                    if mark.metadata.annotations.contains_key(INITIAL_EVENTS_END) =>
                {
                    self.say_listed(objects, mark.metadata.resource_version).await?;
                    return self.follow(stream).await;
                }
                Ok(WatchEvent::Bookmark(_)) => {}
                Ok(WatchEvent::Deleted(_)) => {
                    return Err(End::Failed("a deletion within the list".to_owned()));
                }
                Ok(WatchEvent::Error(status)) => return Err(End::of_status(status.code, &status)),
            }
        }
    }

    /// The list in pages, and then a watch.
    async fn list_then_watch(&mut self) -> Result<Never, End> {
        let api = self.api();
        let (mut objects, mut token) = (Vec::new(), None);
        let version = loop {
            let request = api.list(token).map_err(|error| End::from(&error))?;
            let page = timeout(LIST_PATIENCE, self.client.request::<Page>(request)).await;
            let page = page.map_err(|_| End::silent())?;
            let Page { metadata, items } = page.map_err(|error| End::from(&error))?;
            objects.extend(items.unwrap_or_default());
            token = metadata.continue_.filter(|token| !token.is_empty());
            if token.is_none() {
                break metadata.resource_version.unwrap_or_default();
            }
        };
        self.say_listed(objects, version.clone()).await?;
        self.watch_from(&version).await
    }

    async fn watch_from(&mut self, version: &str) -> Result<Never, End> {
        let request = self.api().watch(version).map_err(|error| End::from(&error))?;
        let stream = EventStream::open(&self.client, request, LIST_PATIENCE).await?;
        self.not_found_since = None;
        self.say_recovered().await?;
        self.follow(stream).await
    }

    /// Passes on what changes, until the stream ends.
    async fn follow(&mut self, mut stream: EventStream) -> Result<Never, End> {
        loop {
            let event = match stream.next(WATCH_PATIENCE).await? {
                WatchEvent::Bookmark(mark) => {
                    self.backoff.reset();
                    self.resume = Some(mark.metadata.resource_version);
                    continue;
                }
                WatchEvent::Error(status) => return Err(End::of_status(status.code, &status)),
                WatchEvent::Added(object) | WatchEvent::Modified(object) => KindEvent::Applied(object),
                WatchEvent::Deleted(object) => KindEvent::Deleted(object),
            };
            let (KindEvent::Applied(object) | KindEvent::Deleted(object)) = &event else { continue };
            let version =
                object.pointer("/metadata/resourceVersion").and_then(Value::as_str).map(str::to_owned);
            self.say(event).await?;
            self.backoff.reset();
            // Without a version there is no place to go on at; then the list says what is.
            self.resume = version;
        }
    }

    /// What to do about a kind that is not found; `None` if nobody listens any more.
    async fn on_not_found(&mut self) -> Option<Duration> {
        self.resume = None;
        self.version += 1;
        if self.version < self.kind.versions.len() {
            return Some(Duration::ZERO);
        }
        self.version = 0;
        let since = *self.not_found_since.get_or_insert_with(Instant::now);
        let is_believed = is_optional(self.kind) && (!self.is_listed || since.elapsed() >= ABSENCE_GRACE);
        let told = if is_believed {
            self.say_absent().await.is_ok()
        } else {
            self.say_failing("the API server does not know this kind".to_owned()).await
        };
        told.then(|| jitter(ABSENT_RETRY))
    }

    /// What another replica has read of a kind is taken where it cannot be read here, as what was read before stays in use.
    /// It is asked for at once, since that replica may be about to end.
    async fn ask_others(&mut self) -> Result<(), End> {
        if self.is_listed || !self.kind.id.is_handed_on() {
            return Ok(());
        }
        if self.known_elsewhere.is_none() {
            self.known_elsewhere = self.others.ask(self.kind).await;
        }
        if self.unread_since.elapsed() < OWN_PATIENCE {
            return Ok(());
        }
        let kind = self.kind.group_kind();
        let objects = match self.known_elsewhere.take() {
            None => return Ok(()),
            Some(KnownElsewhere::Objects(objects)) => {
                let count = objects.len();
                tracing::warn!(%kind, objects = count, "cannot be read; what another replica read before is in use");
                objects
            }
            Some(KnownElsewhere::NeverRead) => {
                tracing::warn!(%kind, "cannot be read, and no replica ever has: objects of this kind have no effect");
                Vec::new()
            }
        };
        self.is_listed = true;
        self.say(KindEvent::Handed(objects)).await
    }

    // --- telling ---

    async fn say_listed(&mut self, mut objects: Vec<Value>, version: String) -> Result<(), End> {
        // The items of a page do not repeat what they are.
        let api_version = self.api().api_version();
        for object in objects.iter_mut().filter_map(Value::as_object_mut) {
            object.entry("apiVersion").or_insert_with(|| api_version.clone().into());
            object.entry("kind").or_insert_with(|| self.kind.kind.into());
        }
        tracing::debug!(kind = self.kind.kind, objects = objects.len(), "listed");
        self.say(KindEvent::Listed(objects)).await?;
        self.resume = Some(version);
        self.is_listed = true;
        self.not_found_since = None;
        self.known_elsewhere = None;
        self.failing = None;
        self.log_recovered();
        self.backoff.reset();
        Ok(())
    }

    async fn say_absent(&mut self) -> Result<(), End> {
        const ABSENT: &str = "absent";
        let is_news = self.failing.as_deref() != Some(ABSENT);
        self.failing = Some(ABSENT.to_owned());
        self.is_listed = false;
        (self.unread_since, self.known_elsewhere) = (Instant::now(), None);
        // It cannot be read now either, which is as it should be.
        self.end_failing();
        if !is_news {
            return Ok(());
        }
        match install_hint(self.kind) {
            Some(hint) => tracing::error!(kind = %self.kind.group_kind(), "{hint}"),
            None => {
                tracing::info!(kind = %self.kind.group_kind(), "no such kind in this cluster; watching for it")
            }
        }
        self.say(KindEvent::Absent).await
    }

    /// Says what is wrong unless it was said; `false` if nobody listens any more.
    async fn say_failing(&mut self, message: String) -> bool {
        self.log_failing(&message);
        if self.failing.as_ref() == Some(&message) {
            return true;
        }
        self.failing = Some(message.clone());
        self.say(KindEvent::Failing(message)).await.is_ok()
    }

    async fn say_recovered(&mut self) -> Result<(), End> {
        self.log_recovered();
        match self.failing.take() {
            Some(_) => self.say(KindEvent::Recovered).await,
            None => Ok(()),
        }
    }

    /// At once when it begins or has another reason, and sparingly while it lasts. The beginning of a failure of what
    /// was read before is a finding, which is logged as such.
    fn log_failing(&mut self, message: &str) {
        self.gauge().set(1);
        let is_news = self.failing.as_deref() != Some(message);
        if !is_news && self.logged_at.is_some_and(|at| at.elapsed() < REPETITION) {
            return;
        }
        self.logged_at = Some(Instant::now());
        let kind = self.kind.group_kind();
        match (self.is_listed, is_news) {
            (true, true) => {}
            (true, false) => {
                tracing::warn!(%kind, "still cannot be read; what was read before stays in use: {message}");
            }
            (false, _) => tracing::warn!(%kind, "cannot be read, and is waited for: {message}"),
        }
    }

    fn log_recovered(&mut self) {
        if self.end_failing() {
            tracing::info!(kind = %self.kind.group_kind(), "can be read");
        }
    }

    /// Whether something was said to be wrong until now.
    fn end_failing(&mut self) -> bool {
        let was_failing = self.logged_at.take().is_some();
        if was_failing {
            self.gauge().set(0);
        }
        was_failing
    }

    fn gauge(&self) -> Gauge {
        let label = KindLabel { kind: self.kind.group_kind().to_string() };
        self.metrics.unreadable_kinds.get_or_create(&label).clone()
    }

    async fn say(&self, event: KindEvent) -> Result<(), End> {
        self.events.send((self.kind, event)).await.map_err(|_| End::Closed)
    }

    fn api(&self) -> KindApi {
        let version = self.kind.versions.get(self.version).or(self.kind.versions.first());
        KindApi { kind: self.kind, version: version.copied().unwrap_or("v1") }
    }
}

/// A session has no good end.
enum Never {}
