//! Whether the proxies of each Gateway are ready, and if none is, why: from the Deployments and pods as they are
//! watched. Known on every replica, since any may come to write statuses.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ir::GatewayName;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::sync::{mpsc, watch as channel};
use translator::Proxy;

use super::object::{Owner, owner};
use super::pod::{Trouble, stable};

/// Namespace and name of a Deployment or a pod.
pub(super) type Name = (String, String);

/// How the proxies are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ProxyHealth {
    /// Not known yet: nothing may be said about any Gateway.
    #[default]
    Unknown,
    /// It cannot be known: the API server does not let us list Deployments.
    Unreadable,
    /// By namespace and name of the Deployment.
    Known(Arc<BTreeMap<(String, String), DeploymentHealth>>),
}

/// How the proxies of one Deployment are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentHealth {
    owner: Option<Owner>,
    /// Why no pod is ready; `None` if one is.
    unready: Option<String>,
}

impl ProxyHealth {
    /// The Gateways of which no proxy is ready, and why; `None` while nothing is known.
    pub fn unready(
        &self,
        proxies: &BTreeMap<GatewayName, Arc<Proxy>>,
    ) -> Option<BTreeMap<GatewayName, String>> {
        let known = match self {
            Self::Unknown => return None,
            Self::Unreadable => return Some(BTreeMap::new()),
            Self::Known(known) => known,
        };
        let unready = proxies.iter().filter_map(|(gateway, output)| {
            let found = known.get(&(gateway.namespace.clone(), output.infra.name.clone()));
            // One that an earlier Gateway of this name has left is not ours.
            let is_ours = |found: &&DeploymentHealth| {
                found.owner.as_ref().is_some_and(|owner| {
                    owner.gateway == *gateway && output.infra.uid.as_ref().is_none_or(|uid| *uid == owner.uid)
                })
            };
            let Some(found) = found.filter(is_ours) else {
                return Some((
                    gateway.clone(),
                    format!("Deployment {} does not exist yet", output.infra.name),
                ));
            };
            found.unready.clone().map(|why| (gateway.clone(), why))
        });
        Some(unready.collect())
    }
}

/// What is read of a Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DeploymentFacts {
    owner: Option<Owner>,
    wanted: i64,
    ready: i64,
    /// Why no pod can be made.
    failure: Option<String>,
}

impl DeploymentFacts {
    pub(super) fn new(deployment: &DynamicObject) -> Self {
        let number = |pointer| deployment.data.pointer(pointer).and_then(Value::as_i64);
        let conditions = deployment.data.pointer("/status/conditions").and_then(Value::as_array);
        let failure = conditions
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == "ReplicaFailure" && condition["status"] == "True");
        Self {
            owner: owner(deployment),
            wanted: number("/spec/replicas").unwrap_or(1),
            ready: number("/status/readyReplicas").unwrap_or_default(),
            failure: failure.map(|condition| failure_text(condition["message"].as_str().unwrap_or_default())),
        }
    }
}

/// Without the name of the pod that could not be made, which is another each time, and without how much of a quota
/// others use.
fn failure_text(message: &str) -> String {
    let why = message.split_once("\" is forbidden: ").map_or(message, |(_, why)| why);
    let is_quota = why.starts_with("exceeded quota");
    let told = why.split(", used:").next().filter(|_| is_quota).unwrap_or(why);
    let kind = if why.len() < message.len() { "forbidden: " } else { "" };
    stable(&format!("{kind}{told}"))
}

/// What is read of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodFacts {
    /// The name of its Deployment.
    pub(super) deployment: String,
    pub(super) trouble: Trouble,
}

/// What was seen of one kind.
#[derive(Clone, Debug)]
pub(super) enum Seen<T> {
    Present(Name, T),
    Gone(Name),
    All(BTreeSet<Name>),
    /// The kind cannot be listed or watched at this time.
    Failing,
}

/// News of either kind.
#[derive(Clone, Debug)]
pub(super) enum HealthEvent {
    Deployment(Seen<DeploymentFacts>),
    Pod(Seen<PodFacts>),
}

/// The objects of one kind.
#[derive(Debug)]
struct Listing<T> {
    objects: BTreeMap<Name, T>,
    is_listed: bool,
    is_failing: bool,
}

impl<T> Default for Listing<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), is_listed: false, is_failing: false }
    }
}

impl<T> Listing<T> {
    fn take_in(&mut self, seen: Seen<T>) {
        match seen {
            Seen::Present(name, object) => drop(self.objects.insert(name, object)),
            Seen::Gone(name) => drop(self.objects.remove(&name)),
            Seen::All(names) => {
                self.objects.retain(|name, _| names.contains(name));
                (self.is_listed, self.is_failing) = (true, false);
            }
            Seen::Failing => self.is_failing = true,
        }
    }
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Watched {
    deployments: Listing<DeploymentFacts>,
    pods: Listing<PodFacts>,
}

impl Watched {
    pub(super) fn take_in(&mut self, event: HealthEvent) {
        match event {
            HealthEvent::Deployment(seen) => self.deployments.take_in(seen),
            HealthEvent::Pod(seen) => self.pods.take_in(seen),
        }
    }

    /// How the proxies are.
    pub(super) fn health(&self) -> ProxyHealth {
        let Self { deployments, pods } = self;
        if !deployments.is_listed {
            return if deployments.is_failing { ProxyHealth::Unreadable } else { ProxyHealth::Unknown };
        }
        // Pods only say why: what they do not say is told without them.
        if !pods.is_listed && !pods.is_failing {
            return ProxyHealth::Unknown;
        }
        let mut by_deployment: BTreeMap<(&str, &str), Vec<(&str, &Trouble)>> = BTreeMap::new();
        for ((namespace, name), pod) in &pods.objects {
            by_deployment.entry((namespace, &pod.deployment)).or_default().push((name, &pod.trouble));
        }
        let of_one = |(name, facts): (&Name, &DeploymentFacts)| {
            let pods = by_deployment.get(&(name.0.as_str(), name.1.as_str()));
            let unready = unready(&name.1, facts, pods.map_or(&[], Vec::as_slice));
            (name.clone(), DeploymentHealth { owner: facts.owner.clone(), unready })
        };
        ProxyHealth::Known(Arc::new(deployments.objects.iter().map(of_one).collect()))
    }
}

/// Why no pod of a Deployment is ready; `None` if one is. Of several pods the one is told that explains most.
fn unready(name: &str, deployment: &DeploymentFacts, pods: &[(&str, &Trouble)]) -> Option<String> {
    if deployment.ready > 0 {
        return None;
    }
    if deployment.wanted == 0 {
        return Some(format!("Deployment {name} has 0 replicas"));
    }
    let told = pods.iter().max_by(|(one, of_one), (other, of_other)| {
        of_one.rank().cmp(&of_other.rank()).then_with(|| other.cmp(one))
    });
    Some(match (told, &deployment.failure) {
        (Some((pod, trouble)), None) => format!("pod {pod} {}", trouble.text()),
        (Some((pod, trouble)), Some(_)) if !trouble.is_over() => format!("pod {pod} {}", trouble.text()),
        (_, Some(failure)) => format!("Deployment {name} cannot make a pod: {failure}"),
        (None, None) => format!("Deployment {name} has no pod yet"),
    })
}

/// Publishes how the proxies are, at every change of it, until no more news come.
pub(super) async fn follow(
    mut events: mpsc::UnboundedReceiver<HealthEvent>,
    health: channel::Sender<ProxyHealth>,
) {
    let mut watched = Watched::default();
    while let Some(event) = events.recv().await {
        watched.take_in(event);
        while let Ok(event) = events.try_recv() {
            watched.take_in(event);
        }
        let now = watched.health();
        health.send_if_modified(|before| {
            let is_new = *before != now;
            *before = now;
            is_new
        });
    }
}
