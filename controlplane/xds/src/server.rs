//! The gRPC service: it carries messages between sockets and connections, and keeps the clock for them.

mod drive;
mod serve;

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response as HttpResponse, header};
use http_body::Body;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::body::Body as GrpcBody;
use tonic::codec::Streaming;
use tonic::codegen::Service;
use tonic::metadata::{GRPC_CONTENT_TYPE, MetadataMap};

use self::drive::{Decode, Stream};
pub use self::serve::{serve_tcp, serve_unix};
use crate::cache::SnapshotCache;
use crate::connection::{Connection, Protocol};
use crate::delta::Delta;
use crate::event::{Client, ClientEvent};
use crate::identity::Identify;
use crate::metrics::Metrics;
use crate::session::Settings;
use crate::sotw::Sotw;
use crate::wire::MessageBody;

const DELTA_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const SOTW_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// The largest request accepted: a reconnecting Envoy names every resource that it holds.
const MAX_REQUEST_LEN: usize = 16 * 1024 * 1024;

/// What becomes of a call.
type Answer = Pin<Box<dyn Future<Output = Result<HttpResponse<GrpcBody>, Infallible>> + Send>>;

/// Another service of the same port.
type Neighbour = Arc<dyn Fn(Request<GrpcBody>) -> Answer + Send + Sync>;

/// Who is told about clients.
type Events = Arc<dyn Fn(ClientEvent) + Send + Sync>;

/// The aggregated discovery service, as a tower service for tonic's transport. Cheap to clone.
///
/// The generated service trait is not used, because its codec would encode every message anew for every
/// client.
pub struct AdsServer {
    cache: SnapshotCache,
    identify: Arc<dyn Identify>,
    settings: Settings,
    metrics: Metrics,
    events: Option<Events>,
    /// True once streams are to end.
    closing: Arc<watch::Sender<bool>>,
    /// Takes the calls of paths that begin so.
    neighbour: Option<(&'static str, Neighbour)>,
}

impl AdsServer {
    /// Serves the snapshots of `cache` to those whom `identify` lets in.
    pub fn new(cache: SnapshotCache, identify: impl Identify) -> Self {
        Self {
            cache,
            identify: Arc::new(identify),
            settings: Settings::default(),
            metrics: Metrics::default(),
            events: None,
            closing: Arc::new(watch::Sender::new(false)),
            neighbour: None,
        }
    }

    /// Passes calls of paths that begin with `prefix` on to another gRPC service, which is asked for by the same clients.
    #[must_use]
    pub fn with_neighbour<S>(mut self, prefix: &'static str, service: S) -> Self
    where
        S: Service<Request<GrpcBody>, Response = HttpResponse<GrpcBody>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        // A gRPC service of tonic's is always ready.
        let call = move |request| Box::pin(service.clone().call(request)) as Answer;
        self.neighbour = Some((prefix, Arc::new(call)));
        self
    }

    /// Uses these waits instead of the default ones.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Counts into these metrics.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Calls `events` with what is learned about clients. The streams call it themselves, at the same time,
    /// and wait for it: it should take note and return. Of one stream, events come in order.
    #[must_use]
    pub fn with_events(mut self, events: impl Fn(ClientEvent) + Send + Sync + 'static) -> Self {
        self.events = Some(Arc::new(events));
        self
    }

    /// Ends all streams, present and future, with "unavailable".
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    fn answer<B>(&self, request: Request<B>) -> Result<HttpResponse<GrpcBody>, Status>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        match request.uri().path() {
            DELTA_PATH => self.open::<Delta, _>(request),
            SOTW_PATH => self.open::<Sotw, _>(request),
            _ => Err(Status::unimplemented("only the aggregated discovery service is served")),
        }
    }

    /// Starts a stream, as a task of its own that ends with the call.
    fn open<P, B>(&self, request: Request<B>) -> Result<HttpResponse<GrpcBody>, Status>
    where
        P: Protocol,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        /// Gives every stream of the process its number.
        static STREAMS: AtomicU64 = AtomicU64::new(1);

        let (parts, body) = request.into_parts();
        let metadata = MetadataMap::from_headers(parts.headers);
        let group = self.identify.identify(&metadata, &parts.extensions).inspect_err(|status| {
            self.metrics.refuse_stream();
            tracing::warn!(code = ?status.code(), "refused an xDS stream");
        })?;

        // One message waits while another is being written; more is never prepared ahead.
        let (sender, receiver) = mpsc::channel(1);
        let stream = Stream {
            connection: Connection::<P>::new(self.settings),
            requests: Streaming::new_request(Decode::new(), body, None, Some(MAX_REQUEST_LEN)),
            snapshots: self.cache.subscribe(&group),
            messages: sender,
            closing: self.closing.subscribe(),
            metrics: self.metrics.clone(),
            events: self.events.clone(),
            client: Arc::new(Client {
                group,
                node: String::new(),
                build: String::new(),
                stream: STREAMS.fetch_add(1, Ordering::Relaxed),
            }),
        };
        tokio::spawn(stream.run());

        let mut response = HttpResponse::new(GrpcBody::new(MessageBody::new(receiver)));
        response.headers_mut().insert(header::CONTENT_TYPE, GRPC_CONTENT_TYPE);
        Ok(response)
    }
}

impl<B> Service<Request<B>> for AdsServer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = HttpResponse<GrpcBody>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &self.neighbour {
            Some((prefix, neighbour)) if request.uri().path().starts_with(prefix) => {
                neighbour(request.map(GrpcBody::new))
            }
            _ => Box::pin(ready(Ok(self.answer(request).unwrap_or_else(Status::into_http)))),
        }
    }
}

impl Clone for AdsServer {
    fn clone(&self) -> Self {
        Self {
            cache: self.cache.clone(),
            identify: self.identify.clone(),
            settings: self.settings,
            metrics: self.metrics.clone(),
            events: self.events.clone(),
            closing: self.closing.clone(),
            neighbour: self.neighbour.clone(),
        }
    }
}

impl fmt::Debug for AdsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdsServer").field("settings", &self.settings).finish_non_exhaustive()
    }
}
