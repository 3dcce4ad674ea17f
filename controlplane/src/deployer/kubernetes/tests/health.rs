//! What is told of Deployments and pods: when a Gateway counts as programmed, and in which words if not.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::ProxyHealth;
use super::super::health::{DeploymentFacts, HealthEvent, PodFacts, Seen, Watched};
use super::super::pod::trouble;
use super::run::proxies;

fn pod(name: &str, status: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "default"}, "status": status}))
        .unwrap()
}

fn container(state: Value, last: Value) -> Value {
    json!({"phase": "Running", "containerStatuses": [{
        "name": "envoy", "image": "envoy:x", "imageID": "", "ready": false, "restartCount": 0,
        "state": state, "lastState": last,
    }]})
}

fn text(status: Value) -> String {
    trouble(&pod("p", status)).text().to_owned()
}

#[test]
fn a_pod_says_itself_what_keeps_it_from_being_ready() {
    let ended = json!({"terminated": {"exitCode": 1, "reason": "Error", "containerID": "containerd://0123456789abcdef"}});
    let waiting = |reason: &str, message: &str| json!({"waiting": {"reason": reason, "message": message}});
    let rows = [
        (json!({}), "is Pending: it is not ready yet"),
        (
            json!({"phase": "Pending", "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
            }]}),
            "is Pending: no nodes are available: Insufficient cpu",
        ),
        (
            container(waiting("ContainerCreating", ""), json!({})),
            "is Running: container envoy: ContainerCreating",
        ),
        (container(json!({"running": {}}), json!({})), "is Running: container envoy: it is not ready yet"),
        (
            container(waiting("ErrImagePull", "failed to pull \"envoy:x\": resolve: not found"), json!({})),
            "is Running: container envoy: ErrImagePull: image \"envoy:x\" cannot be pulled",
        ),
        (
            container(
                waiting("ImagePullBackOff", "Back-off pulling image \"envoy:x\": ErrImagePull: not found"),
                json!({}),
            ),
            "is Running: container envoy: ErrImagePull: image \"envoy:x\" cannot be pulled",
        ),
        (
            container(waiting("CreateContainerConfigError", "secret \"x\" not found"), json!({})),
            "is Running: container envoy: CreateContainerConfigError: secret \"x\" not found",
        ),
        (
            container(waiting("CreateContainerError", "name in use by 0123456789abcdef0123"), json!({})),
            "is Running: container envoy: CreateContainerError: name in use by ...",
        ),
        (
            json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}),
            "is Failed: Evicted: The node was low on resource: memory.",
        ),
        (
            json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady",
                "message": "corresponding condition of pod readiness gate \"g\" does not exist."}]}),
            "is Running: ReadinessGatesNotReady: corresponding condition of pod readiness gate \"g\" does not exist.",
        ),
    ];
    for (status, expected) in rows {
        assert_eq!(text(status.clone()), expected, "{status}");
    }
    // Whatever of its life it is in, a container that ends again and again says the same.
    let waits =
        |wait: u32| waiting("CrashLoopBackOff", &format!("back-off {wait}s restarting failed container"));
    let states = [
        (ended.clone(), json!({})),
        (waits(10), ended.clone()),
        (json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}}), ended.clone()),
        (waits(40), ended.clone()),
        (waiting("RunContainerError", "containerd 0123456789abcdef"), ended),
    ];
    for (state, last) in states {
        let told = text(container(state.clone(), last));
        let expected = "is Running: container envoy: CrashLoopBackOff: it ended with exit code 1 (Error)";
        assert_eq!(told, expected, "{state}");
    }
}

/// The Deployment `web` of the Gateway `web`.
fn deployment(uid: &str, wanted: i64, ready: Option<i64>, failure: Option<&str>) -> DeploymentFacts {
    let mut conditions = vec![json!({"type": "Available", "status": "False"})];
    conditions.extend(
        failure.map(|message| json!({"type": "ReplicaFailure", "status": "True", "message": message})),
    );
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "ownerReferences": [{
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": "web", "uid": uid,
        }]},
        "spec": {"replicas": wanted},
        "status": {"readyReplicas": ready, "conditions": conditions},
    });
    DeploymentFacts::new(&serde_json::from_value::<DynamicObject>(object).unwrap())
}

fn name(name: &str) -> (String, String) {
    ("default".to_owned(), name.to_owned())
}

fn facts(pod: &Pod) -> PodFacts {
    PodFacts { deployment: "web".to_owned(), trouble: trouble(pod) }
}

/// What is told of the Gateway `web`; an outer `None` if nothing may be told yet.
fn told(health: &ProxyHealth) -> Option<Option<String>> {
    let unready = health.unready(&proxies(&["web"]))?;
    Some(unready.into_values().next())
}

fn watched(deployment: DeploymentFacts, pods: &[Pod]) -> Watched {
    let mut watched = Watched::default();
    watched.take_in(HealthEvent::Deployment(Seen::Present(name("web"), deployment)));
    watched.take_in(HealthEvent::Deployment(Seen::All([name("web")].into())));
    for pod in pods {
        let name = name(pod.metadata.name.as_deref().unwrap());
        watched.take_in(HealthEvent::Pod(Seen::Present(name, facts(pod))));
    }
    let names: BTreeSet<_> = pods.iter().map(|pod| name(pod.metadata.name.as_deref().unwrap())).collect();
    watched.take_in(HealthEvent::Pod(Seen::All(names)));
    watched
}

#[test]
fn nothing_is_told_before_all_is_listed_and_pods_that_cannot_be_listed_only_cost_the_words() {
    let mut watched = Watched::default();
    assert_eq!(told(&watched.health()), None);
    let web = deployment("uid-of-web", 1, None, None);
    watched.take_in(HealthEvent::Deployment(Seen::Present(name("web"), web)));
    assert_eq!(told(&watched.health()), None);
    watched.take_in(HealthEvent::Deployment(Seen::All([name("web")].into())));
    assert_eq!(told(&watched.health()), None, "pods are not listed");
    watched.take_in(HealthEvent::Pod(Seen::Failing));
    assert_eq!(told(&watched.health()), Some(Some("Deployment web has no pod yet".to_owned())));
    let mut unreadable = Watched::default();
    unreadable.take_in(HealthEvent::Deployment(Seen::Failing));
    assert_eq!(told(&unreadable.health()), Some(None), "what the translation says stands");
}

#[test]
fn a_deployment_says_what_no_pod_can() {
    let quota = "pods \"web-5f7b9-x7k2p\" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=7, limited: cpu=7";
    let rows = [
        (deployment("uid-of-web", 1, Some(1), Some("no")), None),
        (deployment("uid-of-web", 0, None, None), Some("Deployment web has 0 replicas")),
        (deployment("uid-of-web", 2, Some(0), None), Some("Deployment web has no pod yet")),
        (
            deployment("uid-of-web", 1, None, Some(quota)),
            Some("Deployment web cannot make a pod: forbidden: exceeded quota: q, requested: cpu=1"),
        ),
        (deployment("an-earlier-one", 1, Some(1), None), Some("Deployment web does not exist yet")),
    ];
    for (deployment, expected) in rows {
        let health = watched(deployment.clone(), &[]).health();
        assert_eq!(told(&health), Some(expected.map(str::to_owned)), "{deployment:?}");
    }
}

/// What the scheduler says of a pod when so many nodes lack something.
fn unscheduled(counts: &[(&str, u16)], preemption: bool) -> String {
    let all: u32 = counts.iter().map(|(_, count)| u32::from(*count)).sum();
    let causes: Vec<String> = counts.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
    let more = format!(
        " preemption: 0/{all} nodes are available: {all} No preemption victims found for incoming pod."
    );
    let more = if preemption { more.as_str() } else { "" };
    let message = format!("0/{all} nodes are available: {}.{more}", causes.join(", "));
    text(json!({"phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
    }]}))
}

/// What is told when an image cannot be pulled, in either of the states between which the kubelet swings.
fn not_pulled(reason: &str, message: &str) -> String {
    text(container(json!({"waiting": {"reason": reason, "message": message}}), json!({})))
}

proptest! {
    /// Nodes come and go, and other pods take their room: that is no news.
    #[test]
    fn how_many_nodes_cannot_take_a_pod_is_not_told(
        counts in prop::collection::vec(("[A-Z][a-z]{1,6} [a-z]{1,6}", 1..99_u16, 1..99_u16), 1..4),
        preemption in any::<bool>(),
    ) {
        let one: Vec<_> = counts.iter().map(|(cause, count, _)| (cause.as_str(), *count)).collect();
        let other: Vec<_> = counts.iter().rev().map(|(cause, _, count)| (cause.as_str(), *count)).collect();
        let said = unscheduled(&one, false);
        prop_assert_eq!(&unscheduled(&other, preemption), &said);
        for (cause, _) in one {
            prop_assert!(said.contains(cause), "{}", said);
        }
        prop_assert!(!said.contains(|letter: char| letter.is_ascii_digit()), "{}", said);
    }

    /// With and without a cause, as newer and older kubelets write it; and whatever a registry has answered.
    #[test]
    fn attempts_to_pull_an_image_are_told_in_the_same_words(answer in "[a-z0-9:/?=&. ]{0,40}") {
        let said = not_pulled("ErrImagePull", &format!("failed to pull: {answer} https://x.example/blob?sig=canary"));
        prop_assert!(!said.contains("canary"), "{}", said);
        for message in ["Back-off pulling image".to_owned(), format!("Back-off: ErrImagePull: {answer}")] {
            prop_assert_eq!(&not_pulled("ImagePullBackOff", &message), &said);
        }
    }
}

/// Any status that a pod may have.
fn any_status() -> impl Strategy<Value = Value> {
    let state = prop_oneof![
        Just(json!({"running": {}})),
        any::<i32>().prop_map(|code| json!({"terminated": {"exitCode": code}})),
        prop_oneof![
            "ErrImagePull",
            "ImagePullBackOff",
            "CrashLoopBackOff",
            "ContainerCreating",
            "[A-Z][a-z]{1,8}"
        ]
        .prop_map(|reason| json!({"waiting": {"reason": reason, "message": "a: b"}})),
        Just(json!(null)),
    ];
    let phase = prop_oneof!["Pending", "Running", "Failed", "Succeeded", "Unknown"];
    let container = (state.clone(), state, any::<bool>(), "[a-c]");
    let containers = prop::collection::vec(container, 0..3);
    (phase, containers, any::<Option<bool>>()).prop_map(|(phase, containers, scheduled)| {
        let container = |(state, last, ready, name): (Value, Value, bool, String)| {
            json!({"name": name, "image": "i", "imageID": "", "ready": ready, "restartCount": 7, "state": state, "lastState": last})
        };
        let containers: Vec<Value> = containers.into_iter().map(container).collect();
        let scheduled = scheduled.map(|is| if is { "True" } else { "False" });
        let conditions: Vec<Value> =
            scheduled.map(|status| json!({"type": "PodScheduled", "status": status, "message": "no node"})).into_iter().collect();
        json!({"phase": phase, "containerStatuses": containers, "conditions": conditions})
    })
}

proptest! {
    #[test]
    fn programmed_is_true_if_and_only_if_a_pod_is_ready_and_the_words_depend_on_no_order(
        statuses in prop::collection::vec(any_status(), 0..6),
        ready in 0_i64..3,
        order in any::<u64>(),
    ) {
        let pods: Vec<Pod> =
            statuses.iter().enumerate().map(|(index, status)| pod(&format!("web-{index}"), status.clone())).collect();
        let deployment = deployment("uid-of-web", 3, Some(ready), None);
        let one = told(&watched(deployment.clone(), &pods).health()).unwrap();
        prop_assert_eq!(one.is_none(), ready > 0);
        let mut shuffled = pods.clone();
        shuffled.sort_by_key(|pod| {
            let index: u64 = pod.metadata.name.as_ref().unwrap()[4..].parse().unwrap();
            order.rotate_left(u32::try_from(index).unwrap() * 7) ^ index
        });
        for pod in &mut shuffled {
            let containers = pod.status.as_mut().and_then(|status| status.container_statuses.as_mut());
            if let Some(containers) = containers {
                containers.reverse();
                containers.iter_mut().for_each(|container| container.restart_count += 1);
            }
        }
        let other = told(&watched(deployment, &shuffled).health()).unwrap();
        prop_assert_eq!(&one, &other);
        if let Some(why) = one {
            let names_a_pod = why.starts_with("pod web-");
            prop_assert_eq!(names_a_pod, !pods.is_empty(), "{}", why);
        }
    }
}
