//! The loop of one stream.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::config::core::v3::node::UserAgentVersionType;
use tokio::sync::{mpsc, watch};
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, Streaming};

use super::Events;
use crate::cache::SnapshotWatch;
use crate::connection::{Connection, Protocol};
use crate::event::{Client, ClientEvent};
use crate::metrics::Metrics;
use crate::observation::Observation;
use crate::wire::Message;

/// Responses that may wait to be written before requests are no longer read.
const MAX_OUTBOX: usize = 64;

/// One stream and everything it touches.
pub(super) struct Stream<P: Protocol> {
    pub(super) connection: Connection<P>,
    pub(super) requests: Streaming<P::Request>,
    pub(super) snapshots: SnapshotWatch,
    pub(super) messages: mpsc::Sender<Result<Message, Status>>,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) metrics: Metrics,
    pub(super) events: Option<Events>,
    pub(super) client: Arc<Client>,
}

impl<P: Protocol> Stream<P> {
    pub(super) async fn run(mut self) {
        let _open = self.metrics.open_stream(P::NAME);
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
                        let message = Message::new(&response, P::FORM)?;
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

    fn on_request(&mut self, mut request: P::Request) {
        if let Some(node) = P::take_node(&mut request)
            && self.client.node.is_empty()
            && !node.id.is_empty()
        {
            let build = build_version(&node);
            let Client { group, stream, .. } = (*self.client).clone();
            tracing::debug!(%group, node = node.id, build, protocol = P::NAME, "xDS stream");
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
            Observation::NotReady { resource_type, names } => {
                tracing::debug!(
                    group = %client.group,
                    node = client.node,
                    %resource_type,
                    ?names,
                    "client cannot use these yet; they are sent again"
                );
            }
            Observation::Split(rejection) => {
                tracing::info!(
                    group = %client.group,
                    node = client.node,
                    resource_type = %rejection.resource_type,
                    resources = rejection.resources.len(),
                    message = rejection.message,
                    "client rejected a response without a name; its resources are sent one by one"
                );
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
