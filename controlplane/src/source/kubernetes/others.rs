//! What the other replicas have read, for a kind that cannot be read here.

use crds::KindInfo;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// What other replicas know of a kind. Its `Debug` would show credentials, so that it has none.
#[derive(Clone, PartialEq)]
pub enum KnownElsewhere {
    /// All objects of the kind as one of them read them last.
    Objects(Vec<Value>),
    /// The others serve without ever having read the kind: their version of the program does not know it.
    NeverRead,
}

/// A question about a kind, and where the answer goes; no answer is that none of them can tell.
pub type QuestionToOthers = (&'static KindInfo, oneshot::Sender<KnownElsewhere>);

/// Asks the other replicas.
#[derive(Clone, Debug)]
pub struct Others(mpsc::Sender<QuestionToOthers>);

impl Others {
    /// One who asks, and where the questions come.
    pub fn new() -> (Self, mpsc::Receiver<QuestionToOthers>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// What they know of a kind; `None` if none of them can tell.
    pub(super) async fn ask(&self, kind: &'static KindInfo) -> Option<KnownElsewhere> {
        let (answer, answered) = oneshot::channel();
        self.0.send((kind, answer)).await.ok()?;
        answered.await.ok()
    }
}
