//! One stream of the delta protocol.

use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;

use crate::ledger::Verdict;
use crate::observation::Observation;
use crate::response::Response;
use crate::session::{Protocol, Session, Settings};
use crate::snapshot::Snapshot;

/// The server's side of one `DeltaAggregatedResources` stream, without its IO and its clock.
///
/// Requests, snapshots and the passage of time go in; [`take_responses`](Self::take_responses) gives what is
/// to be sent, in order.
#[derive(Debug)]
pub struct DeltaConnection {
    session: Session,
}

impl DeltaConnection {
    /// A stream on which nothing has been said.
    pub fn new(settings: Settings) -> Self {
        Self { session: Session::new(Protocol::Delta, settings) }
    }

    /// Takes a request: an answer to a response, a change of subscription, or both.
    pub fn on_request(&mut self, request: &DeltaDiscoveryRequest, now: Instant) {
        let Some(kind) = self.session.served_type(&request.type_url) else { return };
        let verdict = match &request.error_detail {
            Some(error) => Verdict::Rejected(&error.message),
            None => Verdict::Accepted,
        };
        self.session.settle(kind, &request.response_nonce, verdict, now);

        let (subscribe, unsubscribe) =
            (&request.resource_names_subscribe, &request.resource_names_unsubscribe);
        let ledger = self.session.ledger(kind);
        if ledger.opened {
            let change = ledger.subscription.change_delta(subscribe, unsubscribe);
            self.session.apply(kind, change);
        } else {
            let change = ledger.subscription.begin_delta(subscribe, unsubscribe);
            self.session.apply(kind, change);
            self.session.ledger(kind).adopt(request.initial_resource_versions.iter());
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
