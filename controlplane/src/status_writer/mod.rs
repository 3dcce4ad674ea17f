//! Brings statuses into the cluster: the one place that writes to objects which people made.
//!
//! ```text
//! reports (what statuses shall say) ──┐
//! observed (how objects are now) ─────┼──► Board (pure) ──► at most 8 PATCHes of /status at a time
//! leadership ─────────────────────────┘       ▲                        │
//!                                             └── how the object is then
//! ```
//!
//! Level-triggered: what counts is how things are, not what happened. A status that says already what it
//! shall say is not written; so at rest there are no writes. Without leadership everything is remembered
//! and nothing written.

mod board;
mod plan;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crds::{KINDS, ObjectRef};
use kube::Client;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use translator::CONTROLLER_NAME;
use translator::status::Report;

use crate::clock;
use crate::lease::Leadership;
use crate::mailbox;
use crate::source::kubernetes::{Observation, Observed, observed};
use crate::telemetry::Metrics;
use board::{Board, Outcome, StatusUpdate};

/// Writes that may be under way at a time.
const MAX_WRITES: usize = 8;

/// A write that takes longer has failed.
const WRITE_PATIENCE: Duration = Duration::from_secs(15);

/// Writes statuses.
pub struct StatusWriter {
    client: Client,
    board: Board,
    leadership: watch::Receiver<Leadership>,
    metrics: Metrics,
}

impl StatusWriter {
    /// A writer whose entries carry the name `controller`; it writes while `leadership` allows.
    pub fn new(
        client: Client,
        controller: impl Into<String>,
        leadership: watch::Receiver<Leadership>,
        metrics: Metrics,
    ) -> Self {
        Self { client, board: Board::new(controller.into()), leadership, metrics }
    }

    /// Writes until there are no more reports to come.
    pub async fn run(
        mut self,
        mut reports: mailbox::Receiver<ObjectRef, Option<Arc<Report>>>,
        mut observations: mpsc::UnboundedReceiver<Observation>,
    ) {
        let mut writes: JoinSet<(ObjectRef, Outcome)> = JoinSet::new();
        loop {
            // Ends of writes come one after the other; what they are for may be outdated meanwhile.
            while let Ok((object, observed)) = observations.try_recv() {
                self.board.observe(object, observed);
            }
            if let Some(reports) = reports.try_take() {
                self.board.want(reports);
            }
            self.start_writes(&mut writes);
            let due = self.board.next_due().filter(|_| self.may_write(&writes));
            tokio::select! {
                // How objects are comes before what their statuses shall say.
                biased;
                Some((object, observed)) = observations.recv() => self.board.observe(object, observed),
                Some(result) = writes.join_next() => {
                    match result {
                        Ok((object, outcome)) => self.take_in(object, outcome),
                        // Which one it was is not known; to look at all again does no harm.
                        Err(_) => self.board.abandon_writes(),
                    }
                }
                changed = self.leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if !self.leadership.borrow_and_update().is_leader() {
                        writes.shutdown().await;
                        self.board.abandon_writes();
                    }
                }
                changed = reports.take() => match changed {
                    Some(reports) => self.board.want(reports),
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
        }
    }

    fn may_write(&self, writes: &JoinSet<(ObjectRef, Outcome)>) -> bool {
        writes.len() < MAX_WRITES && self.leadership.borrow().is_leader()
    }

    fn start_writes(&mut self, writes: &mut JoinSet<(ObjectRef, Outcome)>) {
        while self.may_write(writes) {
            // The moment up to which nobody else writes: a write that is not done by then is given up.
            let Some(fence) = self.leadership.borrow().deadline() else { return };
            let Some(update) = self.board.next_update(&clock::now()) else { return };
            let deadline = fence.min(Instant::now() + WRITE_PATIENCE);
            let client = self.client.clone();
            writes.spawn(async move {
                let object = update.object.clone();
                let written = timeout_at(deadline, write(&client, &update)).await;
                let late = |_| Outcome::Failed("the API server does not answer".to_owned());
                (object, written.unwrap_or_else(late))
            });
        }
    }

    fn take_in(&mut self, object: ObjectRef, outcome: Outcome) {
        match &outcome {
            Outcome::Written(_) => drop(self.metrics.status_writes.inc()),
            Outcome::Conflict(_) | Outcome::Gone => {}
            Outcome::Failed(message) => {
                self.metrics.status_write_failures.inc();
                tracing::warn!("{object}: cannot write its status, trying again: {message}");
            }
        }
        self.board.done(object, outcome);
    }
}

/// Writes one status, on condition that the object is still as it was seen; if it is not, says how it is.
async fn write(client: &Client, update: &StatusUpdate) -> Outcome {
    match patch(client, update).await {
        Ok(object) => Outcome::Written(read(object)),
        Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
        Err(kube::Error::Api(status)) if status.code == 409 => match get(client, update).await {
            Ok(object) => Outcome::Conflict(read(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
            Err(error) => Outcome::Failed(error.to_string()),
        },
        // Not with the error's debug form, which holds all that the API server sent.
        Err(kube::Error::Api(status)) => {
            Outcome::Failed(format!("{} {}: {}", status.code, status.reason, status.message))
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn patch(client: &Client, update: &StatusUpdate) -> kube::Result<Value> {
    let StatusUpdate { object, observed, status } = update;
    let body = json!({
        "apiVersion": api_version(update),
        "kind": object.kind,
        "metadata": { "uid": observed.uid, "resourceVersion": observed.resource_version },
        "status": status,
    });
    // By this name the API server records what is ours: see `OwnedStatus`.
    let parameters =
        PatchParams { field_manager: Some(CONTROLLER_NAME.to_owned()), ..PatchParams::default() };
    let request = path(update).patch_subresource("status", &object.name, &parameters, &Patch::Merge(body));
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

async fn get(client: &Client, update: &StatusUpdate) -> kube::Result<Value> {
    let request = path(update).get(&update.object.name, &GetParams::default());
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

fn read(mut object: Value) -> Observed {
    let status = object.as_object_mut().and_then(|object| object.remove("status"));
    observed(&object, status)
}

/// The `apiVersion` of the object as it was read.
fn api_version(update: &StatusUpdate) -> String {
    let StatusUpdate { object, observed, .. } = update;
    match &*object.group {
        "" => observed.version.to_string(),
        group => format!("{group}/{}", observed.version),
    }
}

/// The collection that the object stands in.
fn path(update: &StatusUpdate) -> Request {
    let object = &update.object;
    let known = KINDS.iter().find(|known| known.group == object.group && known.kind == object.kind);
    let plural = known.map_or("", |known| known.plural);
    let root = if object.group.is_empty() { "/api" } else { "/apis" };
    let namespace = object.namespace.iter().map(|namespace| format!("namespaces/{namespace}/"));
    Request::new(format!("{root}/{}/{}{plural}", api_version(update), namespace.collect::<String>()))
}
