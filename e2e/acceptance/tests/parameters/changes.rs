//! What a change of the parameters changes, and what it does not.

use std::time::Instant;

use acceptance::World;
use cluster::images;
use serde_json::{Value, json};

use crate::made::{ANSWER, Made, Proxy};

#[test]
fn what_is_said_of_the_service_changes_the_service_alone() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "parameters-service", &json!({}));
    let before = proxy.made();
    let service = json!({"service": {
        "extraAnnotations": {"example.com/team": "a"},
        "extraLabels": {"team": "a"},
        "externalTrafficPolicy": "Local",
    }});
    proxy.set_parameters(&service);
    let has_it = |object: &Value| {
        object["metadata"]["annotations"]["example.com/team"] == "a"
            && object["metadata"]["labels"]["team"] == "a"
            && object["spec"]["externalTrafficPolicy"] == "Local"
    };
    proxy.wait_for("the Service as it is said", "service", "web", has_it);
    let after = proxy.made();
    assert_ne!(after.service_version, before.service_version);
    assert_eq!(Made { service_version: before.service_version.clone(), ..after }, before);

    // What is no longer said is gone.
    proxy.set_parameters(&json!({}));
    let has_not = |object: &Value| {
        object["metadata"]["annotations"]["example.com/team"].is_null()
            && object["metadata"]["labels"]["team"].is_null()
            && object["spec"]["externalTrafficPolicy"] == "Cluster"
    };
    proxy.wait_for("the Service as before", "service", "web", has_not);
    let after = proxy.made();
    assert_eq!(Made { service_version: before.service_version.clone(), ..after }, before);

    // Its type changes in place; clients inside keep their address.
    proxy.set_parameters(&json!({"service": {"type": "NodePort"}}));
    proxy.wait_for("a NodePort", "service", "web", |object| object["spec"]["type"] == "NodePort");
    let cluster_ip = json!(before.cluster_ip);
    let has_cluster_ip = |object: &Value| object["status"]["addresses"][0]["value"] == cluster_ip;
    proxy.wait_for("the Gateway's new address", "gateway", "web", has_cluster_ip);
    proxy.set_parameters(&json!({}));
    let is_back = |object: &Value| {
        object["status"]["addresses"][0]["value"]
            .as_str()
            .is_some_and(|address| address.starts_with("10.90."))
    };
    proxy.wait_for("a load balancer again", "gateway", "web", is_back);
    let after = proxy.made();
    let expected =
        Made { service_version: after.service_version.clone(), address: after.address.clone(), ..before };
    assert_eq!(after, expected);
    world.ask_until(gateway_socket_of(&expected, address), "/", ANSWER);
}

/// The load balancer may give another address to a Service that came back to it.
fn gateway_socket_of(made: &Made, before: std::net::SocketAddr) -> std::net::SocketAddr {
    std::net::SocketAddr::new(made.address.parse().expect("an address"), before.port())
}

#[test]
fn more_replicas_start_pods_and_leave_those_that_run_alone() {
    let (world, _guard) = World::shared();
    let (proxy, address) =
        Proxy::start(world, "parameters-replicas", &json!({"deployment": {"replicas": 1}}));
    let before = proxy.made();
    assert_eq!(before.pods.len(), 1);
    proxy.set_parameters(&json!({"deployment": {"replicas": 2}}));
    proxy.wait_for("two ready pods", "deployment", "web", |object| object["status"]["readyReplicas"] == 2);
    let after = proxy.made();
    assert!(after.pods.len() == 2 && after.pods.is_superset(&before.pods), "{before:?} {after:?}");
    let expected =
        Made { pods: after.pods.clone(), deployment_generation: before.deployment_generation + 1, ..before };
    assert_eq!(after, expected);
    world.ask_until(address, "/", ANSWER);
}

/// Another name of the same image.
fn other_image(world: &World) -> &'static str {
    const TAG: &str = "under-another-tag";
    let (name, _) = images::ENVOY.rsplit_once(':').expect("a tag");
    let other = format!("docker.io/{name}:{TAG}");
    let image = format!("docker.io/{}", images::ENVOY);
    world.cluster.exec_inside("ctr", &["-n", "k8s.io", "images", "tag", &image, &other]).expect("a tag");
    TAG
}

#[test]
fn what_envoy_is_started_with_rolls_the_deployment_out_and_touches_nothing_else() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "parameters-envoy", &json!({}));
    let rows = [
        (
            "log level",
            json!({"bootstrap": {"logLevel": "warn", "componentLogLevels": {"upstream": "error"}}}),
            "/args",
            json!(["--log-level", "warning", "--component-log-level", "upstream:error"]),
        ),
        (
            "env",
            json!({"env": [{"name": "A", "value": "b"}]}),
            "/env",
            json!([{"name": "A", "value": "b"}, {"name": "TMPDIR", "value": "/var/cache/chancery"}]),
        ),
        (
            "resources",
            json!({"resources": {"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}}}),
            "/resources",
            json!({"requests": {"cpu": "50m"}, "limits": {"memory": "256Mi"}}),
        ),
        ("image", json!({"image": {"tag": other_image(world)}}), "/image", json!("under-another-tag")),
    ];
    for (what, container, pointer, wanted) in rows {
        let before = proxy.made();
        let started = Instant::now();
        proxy.set_parameters(&json!({"envoyContainer": container}));
        let is_in = |object: &Value| {
            let container = &object["spec"]["template"]["spec"]["containers"][0];
            holds(container.pointer(pointer).unwrap_or(&Value::Null), &wanted)
        };
        proxy.wait_for(what, "deployment", "web", is_in);
        proxy.wait_for_rollout();
        println!("{what}: rolled out in {:.1} s", started.elapsed().as_secs_f64());
        let after = proxy.made();
        assert!(after.pods.is_disjoint(&before.pods), "{what}: {before:?} {after:?}");
        let expected = Made {
            pods: after.pods.clone(),
            template: after.template.clone(),
            deployment_generation: before.deployment_generation + 1,
            ..before
        };
        assert_eq!(after, expected, "{what}");
        world.ask_until(address, "/", ANSWER);
    }
}

/// Whether a field is, or contains, what is wanted.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => found.ends_with(wanted.as_str()),
        (Value::Array(found), Value::Array(wanted)) => wanted.iter().all(|item| found.contains(item)),
        (found, wanted) => found == wanted,
    }
}

#[test]
fn scheduling_and_metadata_of_pods_land_in_the_pod_template_as_they_are_written() {
    let (world, _guard) = World::shared();
    let spec = json!({
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "Exists"}]},
        ]}}},
        "tolerations": [{"key": "example.com/edge", "operator": "Exists", "effect": "NoSchedule"}],
        "topologySpreadConstraints": [{
            "maxSkew": 2,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": {"team": "edge"}},
        }],
        "terminationGracePeriodSeconds": 31,
    });
    let mut pod = spec.clone();
    pod["extraLabels"] = json!({"team": "edge"});
    pod["extraAnnotations"] = json!({"example.com/note": "x"});
    let (proxy, _) = Proxy::start(world, "parameters-scheduling", &json!({"podTemplate": pod}));
    for template in [proxy.made().template, proxy.pods().remove(0)] {
        for (field, value) in spec.as_object().expect("fields") {
            let found = &template["spec"][field];
            let is_in = match (found, value) {
                // The API server gives pods tolerations of its own.
                (Value::Array(found), Value::Array(wanted)) => wanted.iter().all(|item| found.contains(item)),
                (found, wanted) => found == wanted,
            };
            assert!(is_in, "{field}: {found}");
        }
        assert_eq!(template["metadata"]["labels"]["team"], "edge");
        assert_eq!(template["metadata"]["annotations"]["example.com/note"], "x");
    }
}

#[test]
fn labels_and_annotations_of_the_infrastructure_reach_all_that_is_made() {
    let (world, _guard) = World::shared();
    let (proxy, address) = Proxy::start(world, "parameters-infrastructure", &json!({}));
    let infrastructure = json!({"spec": {"infrastructure": {
        "labels": {"example.com/team": "a", "app.kubernetes.io/managed-by": "thief"},
        "annotations": {"example.com/note": "x"},
    }}});
    proxy.patch("gateway", "web", &infrastructure);
    let has_them = |metadata: &Value| {
        let managed_by = &metadata["labels"]["app.kubernetes.io/managed-by"];
        assert_eq!(managed_by, "chancery", "the labels that we find our objects by are ours");
        metadata["labels"]["example.com/team"] == "a" && metadata["annotations"]["example.com/note"] == "x"
    };
    for kind in ["deployment", "service", "serviceaccount", "configmap", "poddisruptionbudget"] {
        proxy.wait_for(kind, kind, "web", |object| has_them(&object["metadata"]));
    }
    proxy.wait_for_rollout();
    assert!(proxy.pods().iter().all(|pod| has_them(&pod["metadata"])));
    let none = json!({"spec": {"infrastructure": {"labels": null, "annotations": null}}});
    proxy.patch("gateway", "web", &none);
    for kind in ["deployment", "service", "serviceaccount", "configmap", "poddisruptionbudget"] {
        proxy.wait_for(kind, kind, "web", |object| {
            object["metadata"]["labels"]["example.com/team"].is_null()
                && object["metadata"]["annotations"]["example.com/note"].is_null()
        });
    }
    proxy.wait_for_rollout();
    world.ask_until(address, "/", ANSWER);
}

#[test]
fn parameters_that_go_are_reported_and_what_serves_goes_on_until_the_reference_goes_too() {
    let (world, _guard) = World::shared();
    let kube = json!({"envoyContainer": {"bootstrap": {"logLevel": "warn"}}, "deployment": {"replicas": 2}});
    let (proxy, address) = Proxy::start(world, "parameters-deleted", &kube);
    let before = proxy.made();
    proxy.kubectl(&["delete", "gatewayparameters.gateway.kgateway.dev", "parameters"]);
    let gateway = ["gateway", "web", "-n", proxy.namespace];
    world.wait_for_condition(&gateway, ".status.conditions", "Accepted", "False InvalidParameters");
    let after = proxy.made();
    assert_eq!(Made { address: before.address.clone(), ..after }, before, "nothing that serves is touched");
    assert_eq!(world.ask(address, "/").expect("an answer").status, ANSWER);

    // Without the reference, the defaults.
    let reference = json!([{"op": "remove", "path": "/spec/infrastructure/parametersRef"}]);
    proxy.json_patch("gateway", "web", &reference);
    world.wait_for_condition(&gateway, ".status.conditions", "Accepted", "True Accepted");
    let is_default = |object: &Value| {
        let arguments = &object["spec"]["template"]["spec"]["containers"][0]["args"];
        holds(arguments, &json!(["info"])) && object["spec"]["replicas"] == 1
    };
    proxy.wait_for("the defaults", "deployment", "web", is_default);
    proxy.wait_for_rollout();
    let after = proxy.made();
    assert_eq!((after.service, after.address), (before.service, before.address));
    world.ask_until(address, "/", ANSWER);
}

#[test]
fn what_has_left_us_loses_our_words_and_keeps_those_of_others() {
    let (world, _guard) = World::shared();
    let (proxy, _) = Proxy::start(world, "parameters-farewell", &json!({}));
    let told = |object: &Value| -> Vec<String> {
        let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().filter_map(|condition| Some(condition["type"].as_str()?.to_owned())).collect()
    };
    let parameters = "gatewayparameters.gateway.kgateway.dev";
    proxy.wait_for("our word", parameters, "parameters", |object| told(object) == ["Accepted"]);
    // Somebody else has a word there, too.
    let theirs = json!({"type": "Valid", "status": "True", "reason": "Valid", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let ours = proxy.get(parameters, "parameters")["status"]["conditions"][0].clone();
    let patch = json!({"status": {"conditions": [ours, theirs]}}).to_string();
    proxy.kubectl(&["patch", parameters, "parameters", "--subresource=status", "--type=merge", "-p", &patch]);
    proxy.json_patch(
        "gateway",
        "web",
        &json!([{"op": "remove", "path": "/spec/infrastructure/parametersRef"}]),
    );
    proxy.wait_for("their word alone", parameters, "parameters", |object| told(object) == ["Valid"]);

    proxy.patch("gateway", "web", &json!({"spec": {"gatewayClassName": "somebody-elses"}}));
    let says_nothing = |object: &Value| {
        let list = |name: &str| object["status"][name].as_array().is_none_or(Vec::is_empty);
        told(object).is_empty() && list("listeners") && list("addresses")
    };
    proxy.wait_for("no word of ours", "gateway", "web", says_nothing);
}
