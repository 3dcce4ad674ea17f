//! Upgrades, restarts, uninstallation and reinstallation, under load: no request fails, and nothing stays behind.

use std::collections::BTreeSet;

use acceptance::{DEADLINE, EchoGateway, RELEASE, SYSTEM, Setup, Traffic, World, wait_for_answer};
use cluster::Error;

const NAMESPACE: &str = "restarts";

/// Every object of the cluster, but for what is no object of anybody's.
type Objects = BTreeSet<String>;

#[test]
fn no_request_fails_when_anything_is_upgraded_restarted_or_uninstalled_and_nothing_stays_behind() {
    let world = World::start(&Setup { install: false, ..Setup::default() });
    let world = &world;
    let gateway = EchoGateway::new(NAMESPACE);
    world.prepare();
    gateway.deploy_backend(world);
    let before = objects(world);

    world.helm("install", &[]);
    let address = gateway.deploy_gateway(world);
    upgrades_and_restarts(world, &gateway, &address);
    the_proxies_outlive_the_release(world, &gateway, &address);

    println!("the Gateway is deleted after the release");
    uninstall(world);
    delete_gateway(world, &gateway);
    assert_nothing_is_left(world, &before);

    println!("the Gateway is deleted before the release");
    world.helm("install", &[]);
    let _ = gateway.deploy_gateway(world);
    delete_gateway(world, &gateway);
    uninstall(world);
    assert_nothing_is_left(world, &before);
}

fn upgrades_and_restarts(world: &World, gateway: &EchoGateway, address: &str) {
    let during = |what: &str, happening: &dyn Fn()| {
        Traffic::during(world, what, address, EchoGateway::HOST, happening);
    };
    let changes = ["podAnnotations.upgraded=yes".to_owned(), "logLevel=debug".to_owned()];
    let first = world.control_planes();
    during("helm upgrade", &|| world.helm("upgrade", &changes));
    let second = world.control_planes();
    assert!(first.iter().all(|pod| !second.contains(pod)), "new pods: {first:?}, {second:?}");

    during("restart of the control plane", &|| restart(world, RELEASE, SYSTEM));
    let third = world.control_planes();
    assert!(second.iter().all(|pod| !third.contains(pod)), "new pods: {second:?}, {third:?}");

    let envoys = gateway.envoys(world);
    assert_eq!(envoys.len(), 2, "{envoys:?}");
    during("restart of Envoy", &|| restart(world, "echo-gateway", NAMESPACE));
    let restarted = gateway.envoys(world);
    assert!(envoys.iter().all(|pod| !restarted.contains(pod)), "new pods: {envoys:?}, {restarted:?}");

    during("helm upgrade that changes nothing", &|| world.helm("upgrade", &changes));
    assert_eq!(world.control_planes(), third, "the pods stay");
    assert_eq!(gateway.envoys(world), restarted, "the pods stay");
}

/// Who uninstalls a control plane while Gateways are there keeps what serves them: traffic must not depend on it.
/// The next installation takes the proxies over as they are.
fn the_proxies_outlive_the_release(world: &World, gateway: &EchoGateway, address: &str) {
    let envoys = gateway.envoys(world);
    let during = |what: &str, happening: &dyn Fn()| {
        Traffic::during(world, what, address, EchoGateway::HOST, happening);
    };
    during("helm uninstall with a Gateway", &|| uninstall(world));
    during("helm install with a Gateway", &|| {
        world.helm("install", &[]);
        let patch = r#"{"spec": {"hostnames": ["echo.example.com", "reinstalled.example.com"]}}"#;
        let arguments = ["patch", "httproute", "echo", "-n", NAMESPACE, "--type=merge", "-p", patch];
        world.cluster.kubectl(&arguments).expect("a patch");
        // Only the new control plane can make this host known to the old proxies.
        wait_for_answer(world, address, "reinstalled.example.com");
    });
    assert_eq!(gateway.envoys(world), envoys, "the pods stay");
}

fn restart(world: &World, deployment: &str, namespace: &str) {
    let deployment = format!("deployment/{deployment}");
    let timeout = format!("--timeout={}s", DEADLINE.as_secs());
    let kubectl = |arguments: &[&str]| world.cluster.kubectl(arguments).expect("it restarts");
    kubectl(&["rollout", "restart", &deployment, "-n", namespace]);
    kubectl(&["rollout", "status", &deployment, "-n", namespace, &timeout]);
    all_that_ends_has_ended(world, namespace);
}

/// The old pods go on for a while after the new ones are ready.
fn all_that_ends_has_ended(world: &World, namespace: &str) {
    let ended = || {
        let pods = world.cluster.kubectl_json(&["get", "pods", "-n", namespace])?;
        let ending = pods["items"].as_array().into_iter().flatten();
        match ending.filter(|pod| !pod["metadata"]["deletionTimestamp"].is_null()).count() {
            0 => Ok(()),
            count => Err(Error::Unexpected(format!("{count} pods are about to end"))),
        }
    };
    world.cluster.wait_until("the end of the old pods", DEADLINE, ended).expect("they end");
}

fn uninstall(world: &World) {
    let arguments = ["uninstall", RELEASE, "--namespace", SYSTEM, "--wait", "--timeout", "120s"];
    world.cluster.helm(&arguments).expect("it is uninstalled");
    all_that_ends_has_ended(world, SYSTEM);
}

fn delete_gateway(world: &World, gateway: &EchoGateway) {
    world
        .cluster
        .kubectl(&[
            "delete",
            "gateways,httproutes,gatewayparameters.gateway.kgateway.dev",
            "--all",
            "-n",
            &gateway.namespace,
        ])
        .expect("they are deleted");
    let gone = || match gateway.envoys(world) {
        envoys if envoys.is_empty() => Ok(()),
        envoys => Err(Error::Unexpected(format!("{envoys:?}"))),
    };
    world.cluster.wait_until("the end of the proxies", DEADLINE, gone).expect("they end");
}

/// The garbage collector and the endless cycles of the cluster itself take their time.
fn assert_nothing_is_left(world: &World, before: &Objects) {
    let is_clean = || {
        let now = objects(world);
        let left: Vec<_> = now.difference(before).filter(|object| !is_crd_of_ours(object)).collect();
        let lost: Vec<_> = before.difference(&now).collect();
        match (&left[..], &lost[..]) {
            ([], []) => Ok(now.len()),
            _ => Err(Error::Unexpected(format!("left: {left:?}, lost: {lost:?}"))),
        }
    };
    let count = world.cluster.wait_until("nothing but CRDs", DEADLINE, is_clean).expect("nothing is left");
    println!("nothing of ours but the CRDs is among the {count} objects of the cluster");
}

/// Our CRDs, and what the API server itself makes of them.
fn is_crd_of_ours(object: &str) -> bool {
    let groups = [
        ".chancery.dev",
        ".gateway.kgateway.dev",
        ".gateway.gloo.solo.io",
        ".gateway.solo.io",
        ".gloo.solo.io",
        ".ratelimit.solo.io",
    ];
    let kinds = ["CustomResourceDefinition ", "APIService "];
    kinds.iter().any(|kind| object.starts_with(kind)) && groups.iter().any(|group| object.ends_with(group))
}

/// Kind, namespace and name of every object that can be listed, but for events and the node's sign of life.
fn objects(world: &World) -> Objects {
    let kinds = world.cluster.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).expect("the kinds");
    let kinds: Vec<_> = kinds.lines().filter(|kind| !kind.starts_with("events")).collect();
    assert!(kinds.contains(&"leases.coordination.k8s.io"), "{kinds:?}");
    let columns = "custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name";
    let arguments = ["get", &kinds.join(","), "--all-namespaces", "--no-headers", "-o", columns];
    let lines = world.cluster.kubectl(&arguments).expect("the objects");
    let objects = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    objects.filter(|object| object != "Lease kube-node-lease node").collect()
}
