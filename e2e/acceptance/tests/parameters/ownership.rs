//! What a hand changed of ours is put right, and what is not ours stays.

use std::time::Instant;

use acceptance::World;
use serde_json::{Value, json};

use crate::made::{ANSWER, Proxy};

fn container(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn a_hand_edited_deployment_is_put_right() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "hand-edited", &json!({"deployment": {"replicas": 1}}));
    let ours = proxy.made();
    let template = "/spec/template/spec";
    let edits = [
        (
            "image",
            json!([{"op": "replace", "path": format!("{template}/containers/0/image"), "value": "elsewhere/envoy:1"}]),
        ),
        (
            "args",
            json!([{"op": "add", "path": format!("{template}/containers/0/args/-"), "value": "--log-level"}]),
        ),
        (
            "a volume",
            json!([
                {"op": "remove", "path": format!("{template}/volumes/1")},
                {"op": "remove", "path": format!("{template}/containers/0/volumeMounts/1")},
            ]),
        ),
        (
            "security",
            json!([{"op": "replace", "path": format!("{template}/containers/0/securityContext/readOnlyRootFilesystem"), "value": false}]),
        ),
        ("replicas", json!([{"op": "replace", "path": "/spec/replicas", "value": 0}])),
        ("a label", json!([{"op": "remove", "path": "/metadata/labels/app.kubernetes.io~1component"}])),
    ];
    let wanted = proxy.get("deployment", "web");
    for (what, edit) in edits {
        let before = proxy.get("deployment", "web")["metadata"]["resourceVersion"].clone();
        let started = Instant::now();
        proxy.json_patch("deployment", "web", &edit);
        let is_right = |object: &Value| {
            object["metadata"]["resourceVersion"] != before
                && object["spec"] == wanted["spec"]
                && object["metadata"]["labels"] == wanted["metadata"]["labels"]
        };
        proxy.wait_for(what, "deployment", "web", is_right);
        println!("{what}: put right in {:.2} s", started.elapsed().as_secs_f64());
    }
    proxy.wait_for_rollout();
    assert_eq!(proxy.made().template, ours.template);
    world.ask_until(address, "/", ANSWER);
}

#[test]
fn an_object_that_was_disowned_goes_on_serving_and_the_gateway_says_what_to_do() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "hand-disowned", &json!({}));
    let owners = proxy.get("deployment", "web")["metadata"]["ownerReferences"].clone();
    let disown = json!([{"op": "remove", "path": "/metadata/ownerReferences"}]);
    proxy.json_patch("deployment", "web", &disown);
    let gateway = ["gateway", "web", "-n", proxy.namespace];
    let programmed = ".status.conditions[?(@.type==\"Programmed\")].message";
    let says = || match world.field(&gateway, programmed) {
        message
            if message
                .contains("Deployment hand-disowned/web: exists and does not belong to this Gateway") =>
        {
            Ok(())
        }
        message => Err(cluster::Error::Unexpected(message)),
    };
    world.cluster.wait_until("the message", acceptance::DEADLINE, says).expect("the Gateway says it");
    world.ask_until(address, "/", ANSWER);
    proxy.patch("deployment", "web", &json!({"metadata": {"ownerReferences": owners}}));
    world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "True Programmed");
}

#[test]
fn what_somebody_deleted_comes_back() {
    let (world, _guard) = World::shared();
    let (proxy, _) = Proxy::start(world, "hand-deleted", &json!({}));
    for kind in ["configmap", "serviceaccount", "poddisruptionbudget", "service", "deployment"] {
        let uid = proxy.get(kind, "web")["metadata"]["uid"].clone();
        let started = Instant::now();
        proxy.kubectl(&["delete", kind, "web"]);
        let attempt = || match world.cluster.kubectl_json(&["get", kind, "web", "-n", proxy.namespace])? {
            object if object["metadata"]["uid"] != uid => Ok(()),
            object => Err(cluster::Error::Unexpected(object["metadata"].to_string())),
        };
        world.cluster.wait_until(kind, acceptance::DEADLINE, attempt).expect("it comes back");
        println!("{kind}: back in {:.2} s", started.elapsed().as_secs_f64());
    }
    proxy.wait_for_rollout();
    let gateway = ["gateway", "web", "-n", proxy.namespace];
    world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "True Programmed");
    let address = world.programmed("web", proxy.namespace);
    world.ask_until(acceptance::gateway_socket(&address), "/", ANSWER);
}

#[test]
fn what_others_own_stays_while_ours_is_put_right() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "others-fields", &json!({}));
    // As an autoscaler does it.
    proxy.kubectl(&["scale", "deployment", "web", "--replicas=2"]);
    let theirs = json!({"metadata": {
        "annotations": {"example.com/by": "somebody"},
        "labels": {"example.com/by": "somebody"},
    }});
    for kind in ["deployment", "service", "configmap", "serviceaccount", "poddisruptionbudget"] {
        proxy.patch(kind, "web", &theirs);
    }
    proxy.patch("deployment", "web", &json!({"spec": {"revisionHistoryLimit": 3}}));
    proxy.patch("service", "web", &json!({"spec": {"sessionAffinity": "ClientIP"}}));
    // Ours in the same objects is put right, and with it a change of the parameters is applied.
    let image = [
        json!({"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "elsewhere/envoy:1"}),
    ];
    proxy.json_patch("deployment", "web", &json!(image));
    proxy.json_patch(
        "service",
        "web",
        &json!([{"op": "replace", "path": "/spec/ports/0/targetPort", "value": 1}]),
    );
    proxy.set_parameters(&json!({"service": {"extraAnnotations": {"example.com/team": "a"}}}));
    proxy.wait_for("the image", "deployment", "web", |object| {
        container(object)["image"].as_str().is_some_and(|image| !image.starts_with("elsewhere"))
    });
    proxy.wait_for("the port", "service", "web", |object| {
        object["spec"]["ports"][0]["targetPort"] == 8080
            && object["metadata"]["annotations"]["example.com/team"] == "a"
    });
    for kind in ["deployment", "service", "configmap", "serviceaccount", "poddisruptionbudget"] {
        let metadata = proxy.get(kind, "web")["metadata"].clone();
        assert_eq!(metadata["annotations"]["example.com/by"], "somebody", "{kind}");
        assert_eq!(metadata["labels"]["example.com/by"], "somebody", "{kind}");
    }
    let deployment = proxy.get("deployment", "web");
    assert_eq!(
        (&deployment["spec"]["replicas"], &deployment["spec"]["revisionHistoryLimit"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(proxy.get("service", "web")["spec"]["sessionAffinity"], "ClientIP");
    // The autoscaler's number outlives a change of what Envoy is started with.
    proxy.set_parameters(&json!({"envoyContainer": {"bootstrap": {"logLevel": "warn"}}}));
    proxy.wait_for("the log level", "deployment", "web", |object| {
        container(object)["args"].as_array().is_some_and(|arguments| arguments.contains(&json!("warning")))
    });
    proxy.wait_for_rollout();
    assert_eq!(proxy.get("deployment", "web")["spec"]["replicas"], 2);
    assert_eq!(proxy.pods().len(), 2);
    world.ask_until(address, "/", ANSWER);
}
