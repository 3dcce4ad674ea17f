//! Every field that a bootstrap leaves unset, and whose absence means something, has a row in
//! `src/bootstrap_unset_fields.md`; the translator's test of the same name does so for what comes by xDS.

#[path = "../../translator/tests/support/unset_fields.rs"]
mod table;

use std::path::Path;

use controlplane::bootstrap::{Bootstrap, render_bootstrap};
use ir::GatewayName;
use serde_json::Value;
use table::{Emitted, add, check, neutral};

const TABLE: &str = include_str!("../src/bootstrap_unset_fields.md");
const TRANSLATOR: &str = include_str!("../../translator/src/xds/unset_fields.md");
/// What is rendered for a Gateway in a cluster; a test of the deployer holds it.
const MANIFESTS: &str = include_str!("../src/deployer/kubernetes/tests/golden/default.yaml");

/// Every message of the bootstrap on a laptop, of the one in a cluster, and of the files beside it.
fn emitted() -> Emitted {
    let gateway = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
    let local = Bootstrap {
        gateway: &gateway,
        xds_socket: Path::new("/run/x/xds.sock"),
        admin_socket: Path::new("/run/x/admin.sock"),
    };
    let mut emitted = Emitted::new();
    add_bootstrap(&mut emitted, "laptop", render_bootstrap(&local));
    let manifests: Vec<Value> = serde_saphyr::from_multiple(MANIFESTS).unwrap();
    let files = &manifests.iter().find(|manifest| manifest["kind"] == "ConfigMap").unwrap()["data"];
    let file = |name: &str| serde_json::from_str::<Value>(files[name].as_str().unwrap()).unwrap();
    add_bootstrap(&mut emitted, "cluster", file("bootstrap.json"));
    for name in ["xds-trust.json", "xds-token.json"] {
        let mut secret = file(name)["resources"][0].clone();
        secret.as_object_mut().unwrap().remove("@type");
        add_message(&mut emitted, name, "envoy.extensions.transport_sockets.tls.v3.Secret", &secret);
    }
    emitted
}

/// Adds a bootstrap, with the listeners and clusters in it as resources of their own.
fn add_bootstrap(emitted: &mut Emitted, name: &str, mut bootstrap: Value) {
    for (kind, message) in
        [("clusters", "envoy.config.cluster.v3.Cluster"), ("listeners", "envoy.config.listener.v3.Listener")]
    {
        for resource in bootstrap["static_resources"][kind].take().as_array().into_iter().flatten() {
            add_message(emitted, resource["name"].as_str().unwrap(), message, resource);
        }
    }
    bootstrap.as_object_mut().unwrap().remove("static_resources");
    add_message(emitted, name, "envoy.config.bootstrap.v3.Bootstrap", &bootstrap);
}

fn add_message(emitted: &mut Emitted, name: &str, message: &str, json: &Value) {
    add(emitted, name, message, &proto::from_json(message, json).unwrap());
}

#[test]
fn every_field_that_a_bootstrap_leaves_unset_is_in_a_table() {
    let mistakes = check(TABLE, &emitted()).without(&neutral(TRANSLATOR));
    assert!(mistakes.is_empty(), "controlplane/src/bootstrap_unset_fields.md:\n{mistakes}");
}

#[test]
fn what_is_neutral_is_told_from_the_defaults_that_act() {
    let neutral = neutral(TRANSLATOR);
    let has = |message: &str, field: &str| neutral.contains(&(message.to_owned(), field.to_owned()));
    assert!(has("Cluster", "alt_stat_name") && !has("Cluster", "outlier_detection"));
}
