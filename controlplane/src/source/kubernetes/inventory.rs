//! What the source holds, for whoever compares it with what the API server holds, and for another replica that cannot
//! read it.

use std::sync::Arc;

use crds::{KindInfo, ObjectRef};
use serde_json::Value;
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
pub struct Inventory(mpsc::Sender<Question>);

/// The source's end of an [`Inventory`].
#[derive(Debug)]
pub(super) struct Questions(mpsc::Receiver<Question>);

/// What is asked, and where the answer goes.
#[derive(Debug)]
pub(super) enum Question {
    /// Which objects are held.
    Held(oneshot::Sender<Vec<HeldObject>>),
    /// The objects of a kind, as documents.
    Documents(&'static KindInfo, oneshot::Sender<Option<Vec<Value>>>),
}

pub(super) fn inventory() -> (Inventory, Questions) {
    let (sender, receiver) = mpsc::channel(MAX_WAITING);
    (Inventory(sender), Questions(receiver))
}

impl Inventory {
    /// Every object that was read and given to the translation, in order; `None` if the source has ended.
    pub async fn objects(&self) -> Option<Vec<HeldObject>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Held(answer)).await.ok()?;
        answered.await.ok()
    }

    /// All objects of a kind as documents, which may hold credentials; `None` if they are not known, or if the kind is not
    /// one that is handed on.
    pub async fn documents(&self, kind: &'static KindInfo) -> Option<Vec<Value>> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Question::Documents(kind, answer)).await.ok()?;
        answered.await.ok()?
    }
}

impl Questions {
    /// The next question; never one when nobody can ask any more.
    pub(super) async fn next(&mut self) -> Question {
        match self.0.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }
}
