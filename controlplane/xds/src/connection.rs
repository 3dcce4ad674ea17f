//! One stream, without its IO and its clock: what both protocols have in common.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Instant;

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::google::rpc;

use crate::ledger::Verdict;
use crate::observation::Observation;
use crate::resource_type::ResourceType;
use crate::response::Response;
use crate::session::{Form, Session, Settings};
use crate::snapshot::Snapshot;

/// One of the two protocols of an aggregated discovery stream. Only this crate knows any: [`Delta`] and
/// [`Sotw`].
///
/// [`Delta`]: crate::Delta
/// [`Sotw`]: crate::Sotw
pub trait Protocol: private::Sealed + fmt::Debug + Send + 'static {
    /// What clients send.
    type Request: prost::Message + Default + 'static;

    /// For metrics and logs.
    const NAME: &'static str;

    /// What the session is to know of it.
    #[doc(hidden)]
    const FORM: Form;

    /// What both kinds of request have.
    #[doc(hidden)]
    fn head(request: &Self::Request) -> Head<'_>;

    /// Takes the node out of a request.
    #[doc(hidden)]
    fn take_node(request: &mut Self::Request) -> Option<Node>;

    /// Takes note of what the request says about the subscription to a type.
    #[doc(hidden)]
    fn subscribe(session: &mut Session, kind: ResourceType, request: &Self::Request);
}

/// What both kinds of request have.
#[derive(Debug)]
pub struct Head<'a> {
    pub(crate) type_url: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) error: Option<&'a rpc::Status>,
}

pub(crate) mod private {
    /// Keeps others from speaking protocols of their own.
    pub trait Sealed {}
}

/// The server's side of one stream, without its IO and its clock.
///
/// Requests, snapshots and the passage of time go in; [`take_responses`](Self::take_responses) gives what is
/// to be sent, in order.
#[derive(Debug)]
pub struct Connection<P> {
    session: Session,
    protocol: PhantomData<fn() -> P>,
}

impl<P: Protocol> Connection<P> {
    /// A stream on which nothing has been said.
    pub fn new(settings: Settings) -> Self {
        Self { session: Session::new(P::FORM, settings), protocol: PhantomData }
    }

    /// Takes a request: an answer to a response, a change of subscription, or both. Its names count even if
    /// its nonce is stale.
    pub fn on_request(&mut self, request: &P::Request, now: Instant) {
        let Head { type_url, nonce, error } = P::head(request);
        let Some(kind) = self.session.served_type(type_url) else { return };
        let verdict = match error {
            Some(error) => Verdict::Rejected(&error.message),
            None => Verdict::Accepted,
        };
        self.session.settle(kind, nonce, verdict, now);
        P::subscribe(&mut self.session, kind, request);
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
