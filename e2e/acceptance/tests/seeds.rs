//! The seeds in a cluster, byte for byte. All tests share one world; each has its own namespaces.

use std::sync::{Mutex, MutexGuard, PoisonError};

use acceptance::{
    DEADLINE, GEMINI, KEY, World, apply_seed, ask_gemini, ask_gemini_until, assert_native_gemini, header,
};
use cluster::Error;
use serde_json::Value;

/// Requests of different tests must not be mixed in the stand-in's records.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn assert_is_what_gemini_expects(request: &Value, key: &str) {
    assert_eq!(request["method"], "POST");
    assert_eq!(request["path"], "/v1beta/models/gemini-1.5-flash-latest:generateContent");
    assert_eq!((&request["host"], &request["sni"]), (&GEMINI.into(), &GEMINI.into()));
    assert_eq!(header(request, "x-goog-api-key"), [key]);
    assert!(!request.to_string().contains("client-secret"), "{request}");
}

#[test]
fn the_kgateway_seed_is_served_and_follows_its_secret() {
    let (world, _guard) = World::shared();
    let _alone = alone();
    let cluster = &world.cluster;
    let namespace = "kgateway-system";
    let address = apply_seed(world, "seed-kgateway", namespace);
    assert_native_gemini(&ask_gemini_until(cluster, &address, 200));
    assert_is_what_gemini_expects(world.provider_requests().last().expect("a request"), KEY);
    let backend = ["backends.gateway.kgateway.dev", "google", "-n", namespace];
    assert_eq!(world.condition(&backend, ".status.conditions", "Accepted"), "True Accepted");
    let route = ["httproute", "google", "-n", namespace];
    for kind in ["Accepted", "ResolvedRefs"] {
        let status = world.condition(&route, ".status.parents[0].conditions", kind);
        assert!(status.starts_with("True"), "{kind}: {status}");
    }

    // A4: the next key is used next, and none when it is gone.
    let patch = r#"{"stringData": {"Authorization": "canary-rotated"}}"#;
    cluster.kubectl(&["patch", "secret", "google-secret", "-n", namespace, "-p", patch]).expect("a patch");
    let rotated = || {
        ask_gemini(cluster, &address)?;
        let last = world.provider_requests().pop().unwrap_or_default();
        match header(&last, "x-goog-api-key")[..] {
            ["canary-rotated"] => Ok(()),
            _ => Err(Error::Unexpected("the old key is still in use".to_owned())),
        }
    };
    cluster.wait_until("the new key", DEADLINE, rotated).expect("the new key is used");
    cluster.kubectl(&["delete", "secret", "google-secret", "-n", namespace]).expect("it is deleted");
    ask_gemini_until(cluster, &address, 500);
    let before = world.provider_requests().len();
    ask_gemini_until(cluster, &address, 500);
    assert_eq!(world.provider_requests().len(), before, "the provider is not contacted");
    world.wait_for_condition(&backend, ".status.conditions", "Accepted", "False SecretNotFound");
}

#[test]
fn the_gloo_seed_is_served_under_the_names_that_scripts_expect() {
    let (world, _guard) = World::shared();
    let _alone = alone();
    let cluster = &world.cluster;
    let namespace = "gloo-system";
    let address = apply_seed(world, "seed-gloo", namespace);
    assert_native_gemini(&ask_gemini_until(cluster, &address, 200));
    assert_is_what_gemini_expects(world.provider_requests().last().expect("a request"), KEY);
    cluster
        .kubectl(&["get", "service", "gloo-proxy-ai-gateway", "-n", namespace])
        .expect("the Service's name");

    // Deleting the Gateway removes everything that it made.
    cluster.kubectl(&["delete", "gateway", "ai-gateway", "-n", namespace]).expect("it is deleted");
    let gone = || {
        let made = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets";
        let label = "gateway.networking.k8s.io/gateway-name=ai-gateway";
        let left = cluster.kubectl(&["get", made, "-n", namespace, "-l", label, "-o", "name"])?;
        if left.trim().is_empty() { Ok(()) } else { Err(Error::Unexpected(left)) }
    };
    cluster.wait_until("what the Gateway made is gone", DEADLINE, gone).expect("it is gone");
}

#[test]
fn what_is_kept_of_a_failed_test_shows_every_envoy_but_no_key() {
    let (world, _guard) = World::shared();
    let _alone = alone();
    let namespace = "kept";
    let seed = std::fs::read_to_string(acceptance::workspace().join("examples/seed-kgateway/0-gateway.yaml"));
    let gateway = seed.expect("the Gateway").replace("kgateway-system", namespace);
    world.cluster.apply(&acceptance::restricted_namespace(namespace)).expect("the namespace");
    world.cluster.apply(&gateway).expect("the Gateway");
    let _ = world.programmed("ai-gateway", namespace);
    world.cluster.dump_objects();
    let files = std::fs::read_dir(world.cluster.logs()).expect("the logs");
    let kept = files.filter_map(|file| std::fs::read_to_string(file.expect("a file").path()).ok());
    let kept: Vec<_> = kept.collect();
    let dumps = kept.iter().filter(|text| text.contains("envoy.admin.v3.ListenersConfigDump"));
    assert!(dumps.count() > 0, "no Envoy in {}", world.cluster.logs().display());
    assert!(kept.iter().all(|text| !text.contains(KEY)), "the key is in {}", world.cluster.logs().display());
}
