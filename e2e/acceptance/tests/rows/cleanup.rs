//! Row A51: what the guides' cleanup deletes by label is gone, and nothing else.

use std::net::SocketAddr;

use acceptance::{DEADLINE, EchoApp, World, restricted_namespace};
use cluster::Error;

use crate::guide::{Seed, port_8080};

const NEIGHBOURS: &str = include_str!("cleanup.yaml");

/// Deletes, and waits until the path is 404; all the while the others are 200.
fn delete_and_look(world: &World, delete: &[&[&str]], address: SocketAddr, gone: &str, kept: &[&str]) {
    let mut looks = 0;
    let mut look = || {
        looks += 1;
        for path in kept {
            let answer = world.ask(address, path).expect("an answer");
            assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        }
        world.ask(address, gone).expect("an answer").status
    };
    for arguments in delete {
        let deleted = world.cluster.kubectl(arguments).expect("deleted");
        assert!(deleted.contains("deleted"), "{arguments:?}: {deleted:?}");
        look();
    }
    let is_gone = || match look() {
        404 => Ok(()),
        status => Err(Error::Unexpected(status.to_string())),
    };
    world.cluster.wait_until("404", DEADLINE, is_gone).expect("404");
    for _ in 0..10 {
        assert_eq!(look(), 404);
    }
    println!("A51: {gone} is 404; {} answers of each of {kept:?} are 200", looks);
}

#[test]
fn a51_what_is_deleted_by_label_is_404_and_the_others_never_notice() {
    let (world, _guard) = World::shared();
    let namespace = "a51-cleanup";
    let seed = Seed::kgateway(namespace, "canary-a51");
    world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    seed.apply_gateway(world);
    seed.apply_route(world);
    EchoApp::new("echo", namespace).deploy(&world.cluster);
    world.cluster.apply(&NEIGHBOURS.replace("@NAMESPACE@", namespace)).expect("the neighbours");
    let address = port_8080(&world.programmed("ai-gateway", namespace));
    for path in ["/gemini", "/model", "/neighbour"] {
        world.ask_until(address, path, 200);
    }
    let by_label = |kinds, label| ["delete", kinds, "-n", namespace, "-l", label];
    let failover = by_label("backend,httproute", "app=model-failover");
    delete_and_look(world, &[&failover], address, "/model", &["/gemini", "/neighbour"]);
    // Another order: first what the route needs, then the route.
    let seed = ["backend,httproute", "secret"].map(|kinds| by_label(kinds, "app=ai-gateway"));
    delete_and_look(world, &[&seed[0], &seed[1]], address, "/gemini", &["/neighbour"]);
    let left = ["get", "secret,backend,httproute", "-n", namespace, "-o", "name"];
    let left = world.cluster.kubectl(&left).expect("what is left");
    assert_eq!(left.trim(), "httproute.gateway.networking.k8s.io/neighbour");
}

#[test]
fn a51_gloos_cleanup_leaves_the_gateway_and_its_neighbours() {
    let (world, _guard) = World::shared();
    let namespace = "a51-gloo";
    let seed = Seed::gloo(namespace, "canary-a51-gloo");
    world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    seed.apply_gateway(world);
    seed.apply_route(world);
    EchoApp::new("echo", namespace).deploy(&world.cluster);
    let (neighbour, _) = NEIGHBOURS.split_once("---\n").expect("the first document");
    world.cluster.apply(&neighbour.replace("@NAMESPACE@", namespace)).expect("the neighbour");
    let address = port_8080(&world.programmed("ai-gateway", namespace));
    for path in ["/gemini", "/neighbour"] {
        world.ask_until(address, path, 200);
    }
    let label = ["-n", namespace, "-l", "app=ai-gateway"];
    let delete = [&["delete", "httproute,upstream,secret"], label.as_slice()].concat();
    delete_and_look(world, &[&delete], address, "/gemini", &["/neighbour"]);
}
