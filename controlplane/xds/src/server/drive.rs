//! The loop of one stream.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, Streaming};

use super::Events;
use crate::cache::SnapshotWatch;
use crate::delta::DeltaConnection;
use crate::event::{Client, ClientEvent};
use crate::metrics::Metrics;
use crate::observation::Observation;
use crate::response::Response;
use crate::session::Protocol;
use crate::snapshot::Snapshot;
use crate::sotw::SotwConnection;
use crate::wire::Message;

/// Responses that may wait to be written before requests are no longer read.
const MAX_OUTBOX: usize = 64;

/// What both protocols have in common for the loop.
pub(super) trait Connection: Send + 'static {
    type Request: prost::Message + Default + 'static;
    const PROTOCOL: Protocol;
    /// For metrics.
    const NAME: &'static str;

    fn node(request: &mut Self::Request) -> Option<Node>;
    fn on_request(&mut self, request: &Self::Request, now: Instant);
    fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, now: Instant);
    fn on_tick(&mut self, now: Instant);
    fn next_deadline(&self) -> Option<Instant>;
    fn take_responses(&mut self) -> Vec<Response>;
    fn take_observations(&mut self) -> Vec<Observation>;
}

/// Forwards to the inherent methods of the same names.
macro_rules! connection {
    ($connection:ty, $request:ty, $protocol:expr, $name:literal) => {
        impl Connection for $connection {
            type Request = $request;
            const PROTOCOL: Protocol = $protocol;
            const NAME: &'static str = $name;

            fn node(request: &mut $request) -> Option<Node> {
                request.node.take()
            }
            fn on_request(&mut self, request: &$request, now: Instant) {
                self.on_request(request, now);
            }
            fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, now: Instant) {
                self.on_snapshot(snapshot, now);
            }
            fn on_tick(&mut self, now: Instant) {
                self.on_tick(now);
            }
            fn next_deadline(&self) -> Option<Instant> {
                self.next_deadline()
            }
            fn take_responses(&mut self) -> Vec<Response> {
                self.take_responses()
            }
            fn take_observations(&mut self) -> Vec<Observation> {
                self.take_observations()
            }
        }
    };
}

connection!(DeltaConnection, DeltaDiscoveryRequest, Protocol::Delta, "delta");
connection!(SotwConnection, DiscoveryRequest, Protocol::Sotw, "sotw");

/// One stream and everything it touches.
pub(super) struct Stream<C: Connection> {
    pub(super) connection: C,
    pub(super) requests: Streaming<C::Request>,
    pub(super) snapshots: SnapshotWatch,
    pub(super) messages: mpsc::Sender<Result<Message, Status>>,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) metrics: Metrics,
    pub(super) events: Option<Events>,
    pub(super) client: Arc<Client>,
}

impl<C: Connection> Stream<C> {
    pub(super) async fn run(mut self) {
        let _open = self.metrics.open_stream(C::NAME);
        let end = self.carry().await;
        tracing::debug!(group = %self.client.group, node = self.client.node, end = ?end, "xDS stream ended");
        if let Err(status) = end {
            // The client may be gone, and then nobody needs to know.
            let _ = self.messages.send(Err(status)).await;
        }
        self.tell(ClientEvent::Disconnected { client: self.client.clone() });
    }

    /// Carries messages until the client leaves (`Ok`) or the stream must end.
    ///
    /// While a response waits to be written, newer snapshots are left in the cache: a slow client gets the
    /// newest, not all.
    async fn carry(&mut self) -> Result<(), Status> {
        let mut outbox = VecDeque::new();
        let (messages, mut closing) = (self.messages.clone(), self.closing.clone());
        loop {
            let deadline = self.connection.next_deadline();
            let idle = outbox.is_empty();
            tokio::select! {
                () = closed(&mut closing) => {
                    return Err(Status::unavailable("the control plane is shutting down"));
                }
                () = messages.closed() => return Ok(()),
                request = self.requests.message(), if outbox.len() < MAX_OUTBOX => match request? {
                    Some(request) => self.on_request(request),
                    None => return Ok(()),
                },
                permit = messages.reserve(), if !idle => {
                    let Ok(permit) = permit else { return Ok(()) };
                    if let Some(response) = outbox.pop_front() {
                        let message = Message::new(&response, C::PROTOCOL)?;
                        self.metrics.record_response(&response, message.len());
                        permit.send(Ok(message));
                    }
                }
                snapshot = self.snapshots.next(), if idle => match snapshot {
                    Some(snapshot) => self.connection.on_snapshot(snapshot, Instant::now()),
                    None => return Err(Status::unavailable("there is no configuration for this node")),
                },
                () = sleep_until(deadline), if idle => self.connection.on_tick(Instant::now()),
            }
            outbox.extend(self.connection.take_responses());
            for observation in self.connection.take_observations() {
                self.observe(observation);
            }
        }
    }

    fn on_request(&mut self, mut request: C::Request) {
        if let Some(node) = C::node(&mut request)
            && self.client.node.is_empty()
            && !node.id.is_empty()
        {
            let build = build_version(&node);
            let Client { group, stream, .. } = (*self.client).clone();
            tracing::debug!(%group, node = node.id, build, protocol = C::NAME, "xDS stream");
            self.client = Arc::new(Client { group, node: node.id, build, stream });
        }
        self.connection.on_request(&request, Instant::now());
    }

    fn observe(&self, observation: Observation) {
        self.metrics.record_observation(&observation);
        let client = self.client.clone();
        match observation {
            Observation::Acked { .. } => {}
            Observation::Accepted { resource_type, resources } => {
                self.tell(ClientEvent::Accepted { client, resource_type, resources });
            }
            Observation::Nacked(rejection) => {
                tracing::warn!(
                    group = %client.group,
                    node = client.node,
                    resource_type = %rejection.resource_type,
                    culprits = ?rejection.culprits,
                    message = rejection.message,
                    "client rejected its configuration and keeps the one before"
                );
                self.tell(ClientEvent::Nack { client, rejection });
            }
            Observation::InSync { resource_type, version } => {
                self.tell(ClientEvent::Ack { client, resource_type, version });
            }
            Observation::Recovered { resource_type, names } => {
                self.tell(ClientEvent::Recovered { client, resource_type, names });
            }
            Observation::GateTimeout { clusters } => {
                tracing::warn!(
                    group = %client.group,
                    node = client.node,
                    ?clusters,
                    "sent routes although clusters were not acknowledged in time"
                );
            }
        }
    }

    fn tell(&self, event: ClientEvent) {
        if let Some(events) = &self.events {
            events(event);
        }
    }
}

/// The version that a node states of itself: "major.minor.patch", or nothing.
fn build_version(node: &Node) -> String {
    let Some(UserAgentVersionType::UserAgentBuildVersion(build)) = &node.user_agent_version_type else {
        return String::new();
    };
    let version = build.version.as_ref().map(|v| (v.major_number, v.minor_number, v.patch));
    version.map(|(major, minor, patch)| format!("{major}.{minor}.{patch}")).unwrap_or_default()
}

async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server itself is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Decodes requests.
#[derive(Debug)]
pub(super) struct Decode<T> {
    message: PhantomData<fn() -> T>,
}

impl<T> Decode<T> {
    pub(super) fn new() -> Self {
        Self { message: PhantomData }
    }
}

impl<T: prost::Message + Default> Decoder for Decode<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        T::decode(source)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("malformed discovery request: {error}")))
    }
}
