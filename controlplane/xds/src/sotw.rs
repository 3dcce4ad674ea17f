//! One stream of the state-of-the-world protocol.

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;

use crate::ledger::Verdict;
use crate::observation::Observation;
use crate::response::Response;
use crate::session::{Protocol, Session, Settings};
use crate::snapshot::Snapshot;

/// The server's side of one `StreamAggregatedResources` stream, without its IO and its clock.
///
/// It is used like [`DeltaConnection`](crate::DeltaConnection). Clusters and listeners are always listed in
/// full, other types in part.
#[derive(Debug)]
pub struct SotwConnection {
    session: Session,
}

impl SotwConnection {
    /// A stream on which nothing has been said.
    pub fn new(settings: Settings) -> Self {
        Self { session: Session::new(Protocol::Sotw, settings) }
    }

    /// Takes a request, which states the whole subscription anew. Its names count even if its nonce is stale.
    pub fn on_request(&mut self, request: &DiscoveryRequest, now: Instant) {
        let Some(kind) = self.session.served_type(&request.type_url) else { return };
        let verdict = match &request.error_detail {
            Some(error) => Verdict::Rejected(&error.message),
            None => Verdict::Accepted,
        };
        self.session.settle(kind, &request.response_nonce, verdict, now);

        let ledger = self.session.ledger(kind);
        let change = ledger.subscription.restate(&request.resource_names);
        self.session.apply(kind, change);
        let ledger = self.session.ledger(kind);
        if !ledger.opened {
            // A list in full that has this version is all the client could want. Of a type sent in parts
            // the version says nothing: the client may have dropped a part since, and needs it again.
            // (One gap remains: Envoy applies what is good of a list that it rejects, yet still states the
            // version before. If just that comes back while the stream is down, the good part stays.)
            ledger.resume = request.version_info.parse().ok().filter(|_| kind.is_listed_in_full());
            ledger.has_unknown = !request.version_info.is_empty();
            self.session.open(kind);
        }
        self.session.advance(now);
    }

    /// Takes the newest snapshot; it replaces any earlier one, sent or not.
    pub fn on_snapshot(&mut self, snapshot: Arc<Snapshot>, now: Instant) {
        self.session.on_snapshot(snapshot, now);
    }

    /// Lets time pass; see [`next_deadline`](Self::next_deadline).
    pub fn on_tick(&mut self, now: Instant) {
        self.session.advance(now);
    }

    /// When [`on_tick`](Self::on_tick) is to be called if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    /// Takes what is to be sent, in order.
    pub fn take_responses(&mut self) -> Vec<Response> {
        self.session.take_responses()
    }

    /// Takes what was learned about the client.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        self.session.take_observations()
    }
}
