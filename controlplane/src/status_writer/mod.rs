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
use translator::status::Report;

use crate::clock;
use crate::controller_name::ControllerName;
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
        controller: ControllerName,
        leadership: watch::Receiver<Leadership>,
        metrics: Metrics,
    ) -> Self {
        Self { client, board: Board::new(controller), leadership, metrics }
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
            let (client, controller) = (self.client.clone(), self.board.controller().clone());
            writes.spawn(async move {
                let object = update.object.clone();
                let written = timeout_at(deadline, write(&client, &update, &controller)).await;
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

/// Writes one status as `controller`, on condition that the status is still as it was seen; if it is not, says how the
/// object is.
async fn write(client: &Client, update: &StatusUpdate, controller: &str) -> Outcome {
    let refused = match patch(client, update, controller).await {
        Ok(object) => return Outcome::Written(read(object, controller)),
        Err(kube::Error::Api(status)) => status,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    // Not with the error's debug form, which holds all that the API server sent.
    let failed = || Outcome::Failed(format!("{} {}: {}", refused.code, refused.reason, refused.message));
    match refused.code {
        404 => Outcome::Gone,
        // A condition of a patch that does not hold is answered with 422, as is a status that is not valid.
        409 | 422 => match get(client, update).await {
            Ok(object) => {
                let now = read(object, controller);
                match refused.code == 409 || !holds(update, &now, controller) {
                    true => Outcome::Conflict(now),
                    false => failed(),
                }
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Outcome::Gone,
            Err(error) => Outcome::Failed(error.to_string()),
        },
        _ => failed(),
    }
}

/// Whether the object is, as far as the write asks for it, still as it was seen.
fn holds(update: &StatusUpdate, now: &Observed, controller: &str) -> bool {
    let before = &update.observed;
    let value = |observed: &Observed| observed.status.as_ref().map(|status| status.value(controller));
    before.uid == now.uid
        && match value(before) {
            Some(status) => Some(status) == value(now),
            None => before.resource_version == now.resource_version,
        }
}

async fn patch(client: &Client, update: &StatusUpdate, controller: &str) -> kube::Result<Value> {
    let StatusUpdate { object, observed, status } = update;
    // Not on the version of the whole object: an edit of the spec, of which there may be many a second, does not
    // concern what the status says, and its own status follows it.
    let before = observed.status.as_ref().map(|status| status.value(controller));
    let condition = match &before {
        Some(before) => json!({"op": "test", "path": "/status", "value": before}),
        None => {
            json!({"op": "test", "path": "/metadata/resourceVersion", "value": observed.resource_version})
        }
    };
    let mut next = before.unwrap_or_else(|| json!({}));
    json_patch::merge(&mut next, status);
    let operations = json!([
        {"op": "test", "path": "/metadata/uid", "value": observed.uid},
        condition,
        {"op": "add", "path": "/status", "value": next},
    ]);
    let operations: json_patch::Patch =
        serde_json::from_value(operations).map_err(kube::Error::SerdeError)?;
    // By this name the API server records what is ours: see `OwnedStatus`.
    let parameters = PatchParams { field_manager: Some(controller.to_owned()), ..PatchParams::default() };
    let request =
        path(update).patch_subresource("status", &object.name, &parameters, &Patch::<()>::Json(operations));
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

async fn get(client: &Client, update: &StatusUpdate) -> kube::Result<Value> {
    let request = path(update).get(&update.object.name, &GetParams::default());
    client.request(request.map_err(kube::Error::BuildRequest)?).await
}

fn read(mut object: Value, controller: &str) -> Observed {
    let status = object.as_object_mut().and_then(|object| object.remove("status"));
    observed(&object, status, controller)
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
