//! A cluster: every kind that the translator reads is listed and watched; what comes out is the same
//! [`Update`]s as from files.
//!
//! ```text
//! API server ──► KindWatch (one task per kind) ──► Gatherer ──► Update ──► pipeline
//!                list, watch, resume, back off     decode,  └─► Observed (resource version and status
//!                                                  compare       of what we write status to) ──► status writer
//! ```
//!
//! What is stored is a function of what the API server holds and of nothing else: an object that cannot
//! be read is as good as absent (and said), whatever was there before. So all replicas, and the same
//! replica after a restart, translate the same. A kind that cannot be read as a whole stays as it was read last, by this
//! replica or by another ([`Others`]).

mod end;
mod event_stream;
mod gather;
mod inventory;
mod kind_api;
mod object;
mod others;
mod owned;
#[cfg(test)]
mod tests;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crds::{KINDS, KindInfo, ObjectKey};
use kube::Client;
use tokio::sync::{mpsc, watch as channel};

use super::{Source, Update};
use crate::controller_name::ControllerName;
use crate::kept_status::KeptStatus;
use crate::telemetry::Metrics;
pub use inventory::{HeldObject, Inventory};
pub use kind_api::can_be_read;
pub(crate) use object::observed;
pub use others::{KnownElsewhere, Others, QuestionToOthers};
pub use owned::OwnedStatus;

use gather::Gatherer;
use inventory::{Question, Questions, inventory};
use watch::{KindEvent, KindWatch};

/// Events of watches that may wait to be taken in.
const MAX_WAITING_EVENTS: usize = 256;

/// The objects of a cluster.
pub struct KubernetesSource {
    client: Client,
    controller: ControllerName,
    metrics: Metrics,
    observed: mpsc::UnboundedSender<Observation>,
    waiting_for: channel::Sender<Vec<String>>,
    others: Others,
    inventory: Inventory,
    questions: Questions,
}

/// News about an object that carries a status of ours: how it is now, or `None` when it is gone.
pub type Observation = (ObjectKey, Option<Observed>);

/// What a status writer has to know of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The version of its group that it was read in, such as `v1`.
    pub version: Cow<'static, str>,
    /// `metadata.uid`: another object of the same name has another.
    pub uid: Box<str>,
    /// `metadata.resourceVersion`: changes with everything that is written.
    pub resource_version: Arc<str>,
    /// `metadata.generation`: changes with the spec.
    pub generation: i64,
    /// `.status`, by whomever it was written.
    pub status: Option<KeptStatus>,
    /// What of it is ours; of a route, whose status has entries by controller, nothing.
    pub owned: Option<Box<OwnedStatus>>,
}

impl KubernetesSource {
    /// A source that reads with `client` for the control plane `controller`, tells `observed` about objects that carry a status (in their
    /// order, each before the [`Update`] that holds it), and `waiting_for` what the first update waits for. `others` are asked for
    /// what cannot be read here.
    pub fn new(
        client: Client,
        controller: ControllerName,
        metrics: Metrics,
        observed: mpsc::UnboundedSender<Observation>,
        waiting_for: channel::Sender<Vec<String>>,
        others: Others,
    ) -> Self {
        let (inventory, questions) = inventory();
        Self { client, controller, metrics, observed, waiting_for, others, inventory, questions }
    }

    /// One of whose news nobody hears, beside no other replica.
    #[cfg(test)]
    pub(crate) fn for_tests(client: Client) -> Self {
        let metrics = Metrics::register(&mut prometheus_client::registry::Registry::default());
        let (observed, waiting_for) = (mpsc::unbounded_channel().0, channel::Sender::new(Vec::new()));
        Self::new(client, ControllerName::default(), metrics, observed, waiting_for, Others::new().0)
    }

    /// Tells which objects it holds, once it is started.
    pub fn inventory(&self) -> Inventory {
        self.inventory.clone()
    }
}

impl Source for KubernetesSource {
    /// The first [`Update`] comes when every kind has been listed, is known not to exist, or has been taken from another
    /// replica; never a part of it. Must be called within a tokio runtime.
    fn start(self) -> anyhow::Result<mpsc::Receiver<Update>> {
        let (events, received) = mpsc::channel(MAX_WAITING_EVENTS);
        for kind in KINDS {
            let (client, metrics) = (self.client.clone(), self.metrics.clone());
            tokio::spawn(KindWatch::new(client, kind, metrics, events.clone(), self.others.clone()).run());
        }
        let (updates, receiver) = mpsc::channel(1);
        let gatherer = Gatherer::new(KINDS, self.controller);
        tokio::spawn(gather(gatherer, received, updates, self.observed, self.waiting_for, self.questions));
        Ok(receiver)
    }
}

/// Joins the events of all kinds. While the receiver is busy, they become one update.
async fn gather(
    mut gatherer: Gatherer,
    mut events: mpsc::Receiver<(&'static KindInfo, KindEvent)>,
    updates: mpsc::Sender<Update>,
    observed: mpsc::UnboundedSender<Observation>,
    waiting_for: channel::Sender<Vec<String>>,
    mut questions: Questions,
) {
    loop {
        waiting_for.send_if_modified(|shown| {
            let now = gatherer.waiting_for();
            let is_new = *shown != now;
            *shown = now;
            is_new
        });
        tokio::select! {
            biased;
            event = events.recv() => {
                let Some((kind, event)) = event else { return };
                gatherer.take_in(kind, event);
                for observation in gatherer.take_observations() {
                    // Nobody writing statuses is a choice of the receiver's.
                    let _ = observed.send(observation);
                }
            }
            permit = updates.reserve(), if gatherer.has_news() => {
                let Ok(permit) = permit else { return };
                permit.send(gatherer.take_update());
            }
            // After all that was read is passed on: the answer is what the translation has.
            question = questions.next(), if !gatherer.has_news() => {
                // Who asked may have gone.
                match question {
                    Question::Held(answer) => drop(answer.send(gatherer.held_objects())),
                    Question::Documents(kind, answer) => drop(answer.send(gatherer.documents(kind))),
                }
            }
        }
    }
}

/// The kinds by their keys; each is there once.
fn by_kind<T>(kinds: &'static [KindInfo], new: impl Fn() -> T) -> BTreeMap<(&'static str, &'static str), T> {
    kinds.iter().map(|kind| ((kind.group, kind.kind), new())).collect()
}
