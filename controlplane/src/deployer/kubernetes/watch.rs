//! Follows the objects of ours in the cluster, so that a hand's edit is seen, and their pods.

use std::collections::BTreeSet;

use ir::{CONTROLLER_LABEL, INSTANCE_LABEL};
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::common::MANAGED_BY;
use super::health::{DeploymentFacts, HealthEvent, Name, PodFacts, Seen};
use super::object::{ManifestKind, ObjectKey, Observed};
use super::pod::trouble;
use crate::controller_name::ControllerName;

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

/// Where news go.
#[derive(Clone)]
pub(super) struct News {
    /// What was seen of objects of ours.
    pub(super) objects: mpsc::UnboundedSender<Observation>,
    /// What Deployments and pods say of themselves.
    pub(super) health: mpsc::UnboundedSender<HealthEvent>,
}

/// Watches every kind until the result is dropped. An API server that is away is waited for.
pub(super) fn start(client: &Client, controller: &ControllerName, news: &News) -> JoinSet<()> {
    let ours = watcher::Config::default().labels(&selector(controller));
    let mut watches: JoinSet<()> = ManifestKind::ALL
        .map(|kind| follow(client.clone(), kind, ours.clone(), news.clone()))
        .into_iter()
        .collect();
    watches.spawn(follow_pods(client.clone(), ours, news.health.clone()));
    watches
}

/// Selects what this control plane has made, and nothing that another one in the cluster has.
fn selector(controller: &ControllerName) -> String {
    let (label, value) = MANAGED_BY;
    match controller.label() {
        Some(name) => format!("{label}={value},{CONTROLLER_LABEL}={name}"),
        None => format!("{label}={value},!{CONTROLLER_LABEL}"),
    }
}

async fn follow(client: Client, kind: ManifestKind, ours: watcher::Config, news: News) {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.api_resource());
    let mut events = Box::pin(watcher(api, ours).default_backoff());
    let (mut listed, mut failures) = (BTreeSet::new(), Failures::of(kind.kind()));
    while let Some(event) = events.next().await {
        failures.tell(event.as_ref().err());
        if kind == ManifestKind::Deployment
            && let Some(seen) = health_news(&event, &listed)
        {
            // Whoever does not listen does not write statuses.
            let _ = news.health.send(HealthEvent::Deployment(seen));
        }
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
            Err(_) => continue,
        };
        if news.objects.send(observation).is_err() {
            return;
        }
    }
}

/// What an event says of Deployments.
fn health_news(
    event: &Result<Event<DynamicObject>, watcher::Error>,
    listed: &BTreeSet<ObjectKey>,
) -> Option<Seen<DeploymentFacts>> {
    let name =
        |object: &DynamicObject| key(ManifestKind::Deployment, object).map(|key| (key.namespace, key.name));
    Some(match event {
        Ok(Event::Init) => return None,
        Ok(Event::InitApply(object) | Event::Apply(object)) => {
            Seen::Present(name(object)?, DeploymentFacts::new(object))
        }
        Ok(Event::Delete(object)) => Seen::Gone(name(object)?),
        Ok(Event::InitDone) => {
            Seen::All(listed.iter().map(|key| (key.namespace.clone(), key.name.clone())).collect())
        }
        Err(_) => Seen::Failing,
    })
}

/// Of a pod no more is kept than what is told of it.
async fn follow_pods(client: Client, ours: watcher::Config, news: mpsc::UnboundedSender<HealthEvent>) {
    let mut events = Box::pin(watcher(Api::<Pod>::all(client), ours).default_backoff());
    let (mut listed, mut failures) = (BTreeSet::new(), Failures::of("Pod"));
    while let Some(event) = events.next().await {
        failures.tell(event.as_ref().err());
        let seen = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(pod)) => {
                listed.extend(pod_name(&pod));
                present(&pod)
            }
            Ok(Event::Apply(pod)) => present(&pod),
            Ok(Event::Delete(pod)) => pod_name(&pod).map(Seen::Gone),
            Ok(Event::InitDone) => Some(Seen::All(std::mem::take(&mut listed))),
            Err(_) => Some(Seen::Failing),
        };
        if let Some(seen) = seen
            && news.send(HealthEvent::Pod(seen)).is_err()
        {
            return;
        }
    }
}

fn present(pod: &Pod) -> Option<Seen<PodFacts>> {
    let deployment = pod.metadata.labels.as_ref()?.get(INSTANCE_LABEL)?.clone();
    Some(Seen::Present(pod_name(pod)?, PodFacts { deployment, trouble: trouble(pod) }))
}

fn pod_name(pod: &Pod) -> Option<Name> {
    Some((pod.metadata.namespace.clone()?, pod.metadata.name.clone()?))
}

/// Tells once that a kind cannot be watched, and once that it can be again.
struct Failures {
    kind: &'static str,
    is_failing: bool,
}

impl Failures {
    fn of(kind: &'static str) -> Self {
        Self { kind, is_failing: false }
    }

    fn tell(&mut self, error: Option<&watcher::Error>) {
        let kind = self.kind;
        match (error, std::mem::replace(&mut self.is_failing, error.is_some())) {
            (Some(error), false) => tracing::warn!(kind, %error, "cannot watch; trying again"),
            (Some(error), true) => tracing::debug!(kind, %error, "cannot watch; trying again"),
            (None, true) => tracing::info!(kind, "can be watched again"),
            (None, false) => {}
        }
    }
}

fn key(kind: ManifestKind, object: &DynamicObject) -> Option<ObjectKey> {
    let namespace = object.metadata.namespace.clone()?;
    Some(ObjectKey { kind, namespace, name: object.metadata.name.clone()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two control planes in one cluster must not delete each other's proxies.
    #[test]
    fn control_planes_of_different_names_see_different_objects() {
        let usual = selector(&ControllerName::default());
        assert_eq!(usual, "app.kubernetes.io/managed-by=chancery,!chancery.dev/controller");
        let other = selector(&"example.com/team-a".parse().unwrap());
        assert_eq!(other, "app.kubernetes.io/managed-by=chancery,chancery.dev/controller=example.com_team-a");
    }
}
