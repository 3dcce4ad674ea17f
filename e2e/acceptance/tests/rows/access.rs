//! Rows A37 to A40: tokens, rights by claim, and limits of tokens and requests, in both dialects.

use std::net::SocketAddr;

use acceptance::{DEADLINE, QUESTION, World, restricted_namespace, workspace};
use cluster::Error;
use e2e::http::{Response, post_json};
use serde_json::Value;

use crate::guide::port_8080;

const NAMESPACE: &str = "access";

/// A token of `examples/jwt`.
fn token(name: &str) -> String {
    let path = workspace().join("examples/jwt").join(format!("{name}.token"));
    std::fs::read_to_string(path).expect("a token").trim().to_owned()
}

/// Posts the guides' request, with a token if there is one.
fn ask(world: &World, address: SocketAddr, path: &str, token: Option<&str>) -> Response {
    let (path, question) = (path.to_owned(), serde_json::from_str::<Value>(QUESTION).expect("JSON"));
    let credential = token.map(|token| format!("Bearer {token}"));
    let answer = world.network.run(async move {
        let headers: Vec<(&str, &str)> =
            credential.iter().map(|credential| ("authorization", credential.as_str())).collect();
        post_json(address, &address.to_string(), &path, &headers, &question).await
    });
    answer.expect("an answer")
}

/// Asks until the answer has this status.
fn ask_until(world: &World, address: SocketAddr, path: &str, token: Option<&str>, wanted: u16) -> Response {
    let answer = || match ask(world, address, path, token) {
        answer if answer.status == wanted => Ok(answer),
        answer => Err(Error::Unexpected(format!("{}: {}", answer.status, answer.text()))),
    };
    world.cluster.wait_until(&format!("{wanted} of {path}"), DEADLINE, answer).expect("the answer")
}

#[test]
fn tokens_rights_and_limits() {
    let (world, _guard) = World::shared();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    world.cluster.apply(include_str!("access.yaml")).expect("the objects");
    let (alice, bob) = (token("alice"), token("bob"));
    for gateway in ["kgateway", "gloo"] {
        let address = port_8080(&world.programmed(gateway, NAMESPACE));
        // A37: without a token nothing passes, and with one of another key neither.
        let refused = ask_until(world, address, "/chat", None, 401);
        assert_eq!(refused.text(), "Jwt is missing");
        assert!(refused.header("www-authenticate").is_some(), "{gateway}");
        let forged = format!("{}AAAA", &alice[..alice.len() - 4]);
        assert_eq!(ask(world, address, "/chat", Some(&forged)).status, 401, "{gateway}");
        // A38: by the claim `team`.
        ask_until(world, address, "/chat", Some(&alice), 200);
        let denied = ask(world, address, "/chat", Some(&bob));
        assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"), "{gateway}");
    }
    let gloo = port_8080(&world.programmed("gloo", NAMESPACE));
    // A39: what alice has spent is hers.
    assert_eq!(ask(world, gloo, "/spent", Some(&alice)).status, 200);
    let limited = ask_until(world, gloo, "/spent", Some(&alice), 429);
    assert_eq!(limited.header("x-envoy-ratelimited"), Some("true"));
    assert!(limited.header("retry-after").is_some());
    assert_eq!(ask(world, gloo, "/spent", Some(&bob)).status, 200);
    // A40: shared by all proxies, and of one proxy. Without a store, each of the two replicas of the control plane counts two
    // requests for itself, and which of them a worker of the proxy asks is the Service's choice.
    let counted = [(); 8].map(|()| ask(world, gloo, "/counted", Some(&bob)).status);
    let passed = counted.iter().filter(|status| **status == 200).count();
    let refused = counted.iter().filter(|status| **status == 429).count();
    assert!((2..=4).contains(&passed) && passed + refused == counted.len(), "{counted:?}");
    let statuses = |address, path| [(); 5].map(|()| ask(world, address, path, Some(&bob)).status);
    assert_eq!(ask(world, gloo, "/counted", Some(&alice)).status, 200);
    let kgateway = port_8080(&world.programmed("kgateway", NAMESPACE));
    assert_eq!(statuses(kgateway, "/few"), [200, 200, 200, 429, 429]);
    world.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).expect("deleted");
}
