//! Row A53: references that do not resolve.

use std::net::SocketAddr;

use acceptance::{DEADLINE, EchoApp, World, restricted_namespace};
use cluster::Error;

use crate::guide::port_8080;

/// A broken route, what its status says, and what heals it.
struct Broken {
    route: &'static str,
    reason: &'static str,
    message: &'static str,
    cure: &'static str,
}

const BROKEN: [Broken; 3] = [
    Broken {
        route: "missing",
        reason: "BackendNotFound",
        message: "Backend a53/nowhere does not exist",
        cure: r#"{"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "Backend",
            "metadata": {"name": "nowhere", "namespace": "a53"},
            "spec": {"type": "Static", "static": {"hosts": [{"host": "echo.a53.svc", "port": 8080}]}}}"#,
    },
    Broken {
        route: "keyless",
        reason: "BackendNotFound",
        message: "Backend a53/keyless cannot be used: Secret a53/key does not exist",
        cure: r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "a53"},
            "stringData": {"Authorization": "canary-a53"}}"#,
    },
    Broken {
        route: "foreign",
        reason: "RefNotPermitted",
        message: "Service a53-other/echo is in another namespace, and no ReferenceGrant there permits HTTPRoute from a53",
        cure: r#"{"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "ReferenceGrant",
            "metadata": {"name": "from-a53", "namespace": "a53-other"},
            "spec": {
                "from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "a53"}],
                "to": [{"group": "", "kind": "Service", "name": "echo"}]}}"#,
    },
];

const CONDITIONS: &str = ".status.parents[0].conditions";

fn statuses(world: &World, address: SocketAddr) -> Vec<u16> {
    let paths = BROKEN.iter().map(|broken| format!("/{}", broken.route));
    paths.map(|path| world.ask(address, &path).expect("an answer").status).collect()
}

fn assert_good_rules_answer(world: &World, address: SocketAddr) {
    let same_route = BROKEN.iter().map(|broken| format!("/good/{}", broken.route));
    for path in same_route.chain(["/neighbour".to_owned()]) {
        let answer = world.ask(address, &path).expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
}

#[test]
fn a53_a_broken_reference_is_500_on_its_rule_alone_until_it_is_put_right() {
    let (world, _guard) = World::shared();
    for namespace in ["a53", "a53-other"] {
        world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
        EchoApp::new("echo", namespace).deploy(&world.cluster);
    }
    world.cluster.apply(include_str!("references.yaml")).expect("the routes");
    let address = port_8080(&world.programmed("references", "a53"));
    world.ask_until(address, "/neighbour", 200);
    let mut wanted = [500; BROKEN.len()];
    let has = |wanted: &[u16]| {
        assert_good_rules_answer(world, address);
        match statuses(world, address) {
            found if found == wanted => Ok(()),
            found => Err(Error::Unexpected(format!("{found:?}"))),
        }
    };
    world.cluster.wait_until("500 of all three", DEADLINE, || has(&wanted)).expect("500");
    for broken in &BROKEN {
        let route = ["httproute", broken.route, "-n", "a53"];
        let expected = format!("False {}", broken.reason);
        world.wait_for_condition(&route, CONDITIONS, "ResolvedRefs", &expected);
        assert_eq!(world.condition(&route, CONDITIONS, "Accepted"), "True Accepted", "{}", broken.route);
        let message = world.field(&route, &format!("{CONDITIONS}[?(@.type==\"ResolvedRefs\")].message"));
        assert_eq!(message, format!("spec.rules[0].backendRefs[0]: {}", broken.message));
    }
    let keyless = ["backends.gateway.kgateway.dev", "keyless", "-n", "a53"];
    assert_eq!(world.condition(&keyless, ".status.conditions", "Accepted"), "False SecretNotFound");

    for (index, broken) in BROKEN.iter().enumerate() {
        world.cluster.apply(broken.cure).expect("the cure");
        wanted[index] = 200;
        world.cluster.wait_until(broken.route, DEADLINE, || has(&wanted)).expect("it heals");
        let route = ["httproute", broken.route, "-n", "a53"];
        world.wait_for_condition(&route, CONDITIONS, "ResolvedRefs", "True ResolvedRefs");
        println!("A53: {} is {wanted:?} and says so", broken.route);
    }
    assert_eq!(world.condition(&keyless, ".status.conditions", "Accepted"), "True Accepted");

    // A grant that is taken back counts no longer.
    let grant = ["delete", "referencegrant", "from-a53", "-n", "a53-other"];
    world.cluster.kubectl(&grant).expect("deleted");
    wanted[2] = 500;
    world.cluster.wait_until("500 again", DEADLINE, || has(&wanted)).expect("500 without the grant");
    let foreign = ["httproute", "foreign", "-n", "a53"];
    world.wait_for_condition(&foreign, CONDITIONS, "ResolvedRefs", "False RefNotPermitted");
}
