//! Follows the objects of ours in the cluster, so that a hand's edit is seen.

use std::collections::BTreeSet;

use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::manifest::MANAGED_BY;
use super::object::{ManifestKind, ObjectKey, Observed};

/// What was seen in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Observation {
    /// It is there, like this.
    Present(ObjectKey, Observed),
    /// It is gone.
    Gone(ObjectKey),
    /// These are all of one kind.
    All(ManifestKind, BTreeSet<ObjectKey>),
}

/// Watches every kind until the result is dropped. An API server that is away is waited for.
pub(super) fn start(client: &Client, observations: &mpsc::UnboundedSender<Observation>) -> JoinSet<()> {
    let watches = ManifestKind::ALL.map(|kind| follow(client.clone(), kind, observations.clone()));
    watches.into_iter().collect()
}

async fn follow(client: Client, kind: ManifestKind, observations: mpsc::UnboundedSender<Observation>) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.api_resource());
    let (label, value) = MANAGED_BY;
    let config = watcher::Config::default().labels(&format!("{label}={value}"));
    let mut events = Box::pin(watcher(api, config).default_backoff());
    let mut listed = BTreeSet::new();
    while let Some(event) = events.next().await {
        let observation = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                let Some(key) = key(kind, &object) else { continue };
                listed.insert(key.clone());
                Observation::Present(key, Observed::new(&object))
            }
            Ok(Event::InitDone) => Observation::All(kind, std::mem::take(&mut listed)),
            Ok(Event::Apply(object)) => {
                let Some(key) = key(kind, &object) else { continue };
                Observation::Present(key, Observed::new(&object))
            }
            Ok(Event::Delete(object)) => {
                let Some(key) = key(kind, &object) else { continue };
                Observation::Gone(key)
            }
            Err(error) => {
                tracing::debug!(kind = kind.kind(), %error, "cannot watch; trying again");
                continue;
            }
        };
        if observations.send(observation).is_err() {
            return;
        }
    }
}

fn key(kind: ManifestKind, object: &DynamicObject) -> Option<ObjectKey> {
    let namespace = object.metadata.namespace.clone()?;
    Some(ObjectKey { kind, namespace, name: object.metadata.name.clone()? })
}
