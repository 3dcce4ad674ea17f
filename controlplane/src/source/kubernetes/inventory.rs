//! Which objects the source holds, for whoever compares them with what the API server holds.

use std::sync::Arc;

use crds::ObjectRef;
use tokio::sync::{mpsc, oneshot};

/// Questions that may wait for an answer.
const MAX_WAITING: usize = 8;

/// An object that the source holds: which one and in which version, never what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldObject {
    /// Which one.
    pub object: ObjectRef,
    /// `metadata.resourceVersion` as it was read last.
    pub resource_version: Arc<str>,
    /// Whether it could be read, and so is translated.
    pub is_readable: bool,
}

/// Asks a source what it holds. A clone asks the same one.
#[derive(Clone, Debug)]
pub struct Inventory(mpsc::Sender<oneshot::Sender<Vec<HeldObject>>>);

/// The source's end of an [`Inventory`].
#[derive(Debug)]
pub(super) struct Questions(mpsc::Receiver<oneshot::Sender<Vec<HeldObject>>>);

pub(super) fn inventory() -> (Inventory, Questions) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Inventory(sender), Questions(receiver))
}

impl Inventory {
    /// Every object that was read and given to the translation, in order; `None` if the source has ended.
    pub async fn objects(&self) -> Option<Vec<HeldObject>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}

impl Questions {
    /// The next question; never one when nobody can ask any more.
    pub(super) async fn next(&mut self) -> oneshot::Sender<Vec<HeldObject>> {
        match self.0.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }
}
