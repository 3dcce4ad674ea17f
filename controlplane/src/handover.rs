//! What one replica has read, for another that cannot read it.
//!
//! A right that is missing, or a kind that the API server cannot serve, must not stop everything when a replica starts.
//! The others go on with what they read before (`source/kubernetes/watch.rs`), so that a new one may as well: it asks
//! them at their admin ports for the objects of the kind. These may hold credentials, so that the answer is sealed with a
//! key that only replicas have, together with a number that the asking one made up: nobody else can read an answer, make
//! one up or repeat an old one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use crds::{KINDS, Kind, KindInfo};
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::replicas::{self, Replicas};
use crate::source::kubernetes::{Inventory, KnownElsewhere, QuestionToOthers, can_be_read};
use crate::xds_trust::ReplicaKey;

/// Where a replica answers: with a kind, as `KIND.GROUP`, and a number that is never used twice.
pub const PATH: &str = "/handover/{kind}/{number}";

/// How long one replica may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than the objects of one kind ever take, in bytes: etcd holds 8 GiB at most, of which this is a part that fits.
const LONGEST_ANSWER: usize = 256 << 20;

/// How long a replica that ends waits for another to ask for what only replicas still know.
const LAST_PATIENCE: Duration = Duration::from_secs(15);

/// What a replica says of a kind.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    /// These are all objects, as they were read last.
    Objects(Vec<Value>),
    /// It has not read the kind either.
    NotReadYet,
    /// Its version of the program does not know the kind.
    UnknownKind,
}

/// The answering side of a replica.
#[derive(Clone, Debug)]
pub struct Handover {
    inventory: Inventory,
    key: watch::Receiver<Option<ReplicaKey>>,
    /// The kinds that were asked for.
    asked: watch::Sender<BTreeSet<Kind>>,
}

impl Handover {
    /// Hands on what `inventory` holds, to who has the same key.
    pub fn new(inventory: Inventory, key: watch::Receiver<Option<ReplicaKey>>) -> Self {
        Self { inventory, key, asked: watch::Sender::new(BTreeSet::new()) }
    }

    /// The sealed answer to a question; `None` where there is no key yet.
    pub(crate) async fn answer(&self, kind: &str, number: &str) -> Option<Vec<u8>> {
        let key = self.key.borrow().clone()?;
        let known = KINDS.iter().find(|known| known.group_kind().to_string() == kind);
        let answer = match known {
            None => Answer::UnknownKind,
            Some(kind) => self.inventory.documents(kind).await.map_or(Answer::NotReadYet, Answer::Objects),
        };
        if let (Some(kind), Answer::Objects(_)) = (known, &answer) {
            self.asked.send_if_modified(|asked| asked.insert(kind.id));
        }
        key.seal(&subject(kind, number), &serde_json::to_vec(&answer).ok()?)
    }

    /// Waits, at the end of this replica, until another has asked for the kinds that it will not be able to read; not long,
    /// and not at all where the API server gives everything.
    pub async fn finish(&self, client: &Client) {
        let mut trials: JoinSet<Option<Kind>> = JoinSet::new();
        for kind in KINDS {
            let (inventory, client) = (self.inventory.clone(), client.clone());
            trials.spawn(async move {
                let is_lost = inventory.documents(kind).await.is_some() && !can_be_read(&client, kind).await;
                is_lost.then_some(kind.id)
            });
        }
        let unreadable: BTreeSet<Kind> = trials.join_all().await.into_iter().flatten().collect();
        if unreadable.is_empty() {
            return;
        }
        let names: Vec<String> = unreadable.iter().map(|kind| kind.info().group_kind().to_string()).collect();
        tracing::warn!(
            kinds = names.join(", "),
            "cannot be read any more: waiting for another replica to take over"
        );
        let mut asked = self.asked.subscribe();
        let taken = asked.wait_for(|asked| asked.is_superset(&unreadable));
        if timeout(LAST_PATIENCE, taken).await.is_err() {
            tracing::warn!("no other replica has taken over what cannot be read any more");
        }
    }
}

/// The asking side of a replica.
pub struct Asker {
    replicas: Replicas,
    key: watch::Receiver<Option<ReplicaKey>>,
}

impl Asker {
    /// Asks these replicas, and believes who has the same key.
    pub fn new(replicas: Replicas, key: watch::Receiver<Option<ReplicaKey>>) -> Self {
        Self { replicas, key }
    }

    /// Passes questions on, until nobody has any.
    pub async fn run(self, mut questions: mpsc::Receiver<QuestionToOthers>) {
        while let Some((kind, answer)) = questions.recv().await {
            match self.ask_all(kind).await {
                // Who asked may have gone.
                Ok(Some(known)) => drop(answer.send(known)),
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(kind = %kind.group_kind(), %error, "the other replicas cannot be asked");
                }
            }
        }
    }

    async fn ask_all(&self, kind: &KindInfo) -> Result<Option<KnownElsewhere>> {
        let key = self.key.borrow().clone().context("the key of the replicas is not known yet")?;
        let addresses = self.replicas.addresses().await?;
        let mut answers = Vec::new();
        for address in addresses {
            answers.push(ask(address, kind, &key).await);
        }
        Ok(together(answers))
    }
}

/// What all answers come to. That a kind was never read is believed only if none of the others is silent: that one might
/// serve with objects of the kind.
fn together(answers: Vec<Result<Answer>>) -> Option<KnownElsewhere> {
    let mut is_unknown = false;
    let mut is_complete = true;
    for answer in answers {
        match answer {
            Ok(Answer::Objects(objects)) => return Some(KnownElsewhere::Objects(objects)),
            Ok(Answer::UnknownKind) => is_unknown = true,
            Ok(Answer::NotReadYet) => {}
            Err(error) => {
                tracing::debug!(%error, "a replica does not say what it has read");
                is_complete = false;
            }
        }
    }
    (is_unknown && is_complete).then_some(KnownElsewhere::NeverRead)
}

async fn ask(address: SocketAddr, kind: &KindInfo, key: &ReplicaKey) -> Result<Answer> {
    let mut number = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut number)
        .ok()
        .context("there is no randomness")?;
    let (kind, number) = (kind.group_kind().to_string(), format!("{:032x}", u128::from_ne_bytes(number)));
    let path = PATH.replace("{kind}", &kind).replace("{number}", &number);
    let sealed = timeout(PATIENCE, replicas::get(address, &path, LONGEST_ANSWER)).await;
    let sealed = sealed.context("it does not answer")??;
    let opened = key.open(&subject(&kind, &number), &sealed).context("its answer is not a replica's")?;
    serde_json::from_slice(&opened).context("its answer is not understood")
}

/// What an answer is sealed with.
fn subject(kind: &str, number: &str) -> String {
    format!("{kind} {number}")
}

#[cfg(test)]
mod tests;
