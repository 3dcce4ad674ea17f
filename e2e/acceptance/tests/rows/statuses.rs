//! What `kubectl get` says, and whose words a status holds.

use acceptance::{DEADLINE, Table, World, restricted_namespace};
use cluster::Error;
use serde_json::{Value, json};

const NAMESPACE: &str = "statuses";
const CONTROLLER: &str = "chancery.dev/gateway-controller";

fn get(world: &World, kind: &str, name: &str) -> Value {
    world.cluster.kubectl_json(&["get", kind, name, "-n", NAMESPACE]).expect(name)
}

fn table(world: &World, kind: &str) -> Table {
    Table::get(&world.cluster, &[kind, "-n", NAMESPACE])
}

/// Every generation that a condition anywhere in a status speaks of; but for parents that are not ours.
fn observed_generations(status: &Value) -> Vec<i64> {
    let mut found = Vec::new();
    match status {
        Value::Object(members) => {
            if status["controllerName"].as_str().is_some_and(|name| name != CONTROLLER) {
                return found;
            }
            found.extend(status["observedGeneration"].as_i64());
            members.values().for_each(|member| found.extend(observed_generations(member)));
        }
        Value::Array(items) => items.iter().for_each(|item| found.extend(observed_generations(item))),
        _ => {}
    }
    found
}

fn wait_until_observed(world: &World, kind: &str, name: &str) {
    let is_observed = || {
        let object = get(world, kind, name);
        let generation = object["metadata"]["generation"].as_i64().expect("a generation");
        let observed = observed_generations(&object["status"]);
        match !observed.is_empty() && observed.iter().all(|observed| *observed == generation) {
            true => Ok(()),
            false => Err(Error::Unexpected(format!("{generation} is seen as {observed:?}"))),
        }
    };
    world.cluster.wait_until(&format!("{kind} {name}"), DEADLINE, is_observed).expect("it is observed");
}

#[test]
fn statuses_read_well_by_kubectl_get_and_leave_the_words_of_others_alone() {
    let (world, _guard) = World::shared();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    world.cluster.apply(include_str!("statuses.yaml")).expect("the objects");
    let gateway = ["gateway", "ours", "-n", NAMESPACE];
    world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "True Programmed");
    let upstream = ["upstream", "passing", "-n", NAMESPACE];
    world.wait_for_condition(&upstream, ".status.conditions", "Accepted", "True Accepted");
    let parameters = ["gatewayparameters.gateway.kgateway.dev", "unusable", "-n", NAMESPACE];
    world.wait_for_condition(&parameters, ".status.conditions", "Accepted", "False UnsupportedValue");
    let budget = ["budget", "unspent", "-n", NAMESPACE];
    world.wait_for_condition(&budget, ".status.conditions", "Exhausted", "False WithinLimit");
    assert_eq!(world.field(&budget, ".status.spend.remaining"), "1000");
    assert_printer_columns(world);
    assert_words_of_others_stay(world);
}

fn assert_printer_columns(world: &World) {
    let address = world.field(&["gateway", "ours", "-n", NAMESPACE], ".status.addresses[0].value");
    let gateways = table(world, "gateway");
    assert_eq!(gateways.columns, ["NAME", "CLASS", "ADDRESS", "PROGRAMMED", "AGE"]);
    assert_eq!(gateways.row("ours"), ["ours", "kgateway", &address, "True"]);
    assert_eq!(gateways.row("broken"), ["broken", "chancery", "", "False"]);
    assert_eq!(gateways.row("theirs"), ["theirs", "foreign", "", "Unknown"]);

    let routes = table(world, "httproute");
    assert_eq!(routes.columns, ["NAME", "HOSTNAMES", "AGE"]);
    assert_eq!(routes.row("r"), ["r", r#"["a.example.com"]"#]);

    let classes = table(world, "gatewayclass");
    assert_eq!(classes.columns, ["NAME", "CONTROLLER", "ACCEPTED", "AGE"]);
    for class in ["chancery", "kgateway", "gloo-gateway"] {
        assert_eq!(classes.row(class), [class, CONTROLLER, "True"]);
    }
    assert_eq!(classes.row("foreign")[2], "Unknown");

    let backends = table(world, "backends.gateway.kgateway.dev");
    assert_eq!(backends.columns, ["NAME", "TYPE", "ACCEPTED", "AGE"]);
    assert_eq!(backends.row("fixed"), ["fixed", "Static", "True"]);
    assert_eq!(backends.row("keyless"), ["keyless", "AI", "False"]);

    let upstreams = table(world, "upstreams.gloo.solo.io");
    assert_eq!(upstreams.columns, ["NAME", "ACCEPTED", "AGE"]);
    assert_eq!(upstreams.row("passing"), ["passing", "True"]);

    let parameters = table(world, "gatewayparameters.gateway.kgateway.dev");
    assert_eq!(parameters.columns, ["NAME", "ACCEPTED", "AGE"]);
    assert_eq!(parameters.row("used"), ["used", "True"]);
    assert_eq!(parameters.row("unusable"), ["unusable", "False"]);

    let budgets = table(world, "budgets.chancery.dev");
    assert_eq!(budgets.columns, ["NAME", "ACCEPTED", "SPENT", "AGE"]);
    assert_eq!(budgets.row("unspent"), ["unspent", "True", "0"]);
    for table in [budgets, gateways, routes, classes, backends, upstreams, parameters] {
        println!("{} {:?}", table.columns.join(" "), table.rows);
    }
}

fn assert_words_of_others_stay(world: &World) {
    let entry = json!({
        "controllerName": "example.com/another-controller",
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "theirs"},
        "conditions": [{
            "type": "Accepted", "status": "False", "reason": "NoMatchingParent", "message": "not now",
            "observedGeneration": 1, "lastTransitionTime": "2020-01-01T00:00:00Z",
        }],
    });
    let patch = json!([{"op": "add", "path": "/status/parents/0", "value": entry}]).to_string();
    let add =
        ["patch", "httproute", "r", "-n", NAMESPACE, "--subresource=status", "--type=json", "-p", &patch];
    world.cluster.kubectl(&add).expect("the other controller's entry");
    let hosts = r#"{"spec": {"hostnames": ["b.example.com"]}}"#;
    world
        .cluster
        .kubectl(&["patch", "httproute", "r", "-n", NAMESPACE, "--type=merge", "-p", hosts])
        .expect("a route");
    wait_until_observed(world, "httproute", "r");
    for (kind, name) in [
        ("gateway", "ours"),
        ("gateway", "broken"),
        ("backend", "fixed"),
        ("backend", "keyless"),
        ("budget", "unspent"),
    ] {
        wait_until_observed(world, kind, name);
    }
    let route = get(world, "httproute", "r");
    let parents = route["status"]["parents"].as_array().expect("parents");
    let (ours, theirs): (Vec<_>, Vec<_>) =
        parents.iter().partition(|parent| parent["controllerName"] == CONTROLLER);
    assert_eq!(theirs, [&entry]);
    assert_eq!(ours.len(), 1, "{parents:?}");
    assert_eq!(ours[0]["parentRef"]["name"], "ours");
    // Of a Gateway that is not ours we have nothing to say.
    let conditions = get(world, "gateway", "theirs")["status"]["conditions"].clone();
    let all = conditions.as_array().cloned().unwrap_or_default();
    assert!(all.iter().all(|condition| condition["status"] == "Unknown"), "{all:?}");
    let made =
        world.cluster.kubectl(&["get", "deployments", "-n", NAMESPACE, "-o", "name"]).expect("deployments");
    assert_eq!(made.trim(), "deployment.apps/ours");
}
