//! Deleted Gateways: nothing is made for them again, and no other Gateway waits for that.

use std::time::{Duration, Instant};

use acceptance::{DEADLINE, World, audit, restricted_namespace};
use cluster::Error;
use serde_json::Value;

const NAMESPACE: &str = "deletions";

/// What is made for a Gateway.
const MADE: &str = "deployments,services,serviceaccounts,configmaps,poddisruptionbudgets";

/// How long a new Gateway may wait for its address while others are deleted.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn nothing_is_made_again_for_deleted_gateways_and_a_new_one_does_not_wait() {
    let (world, _guard) = World::shared();
    world.cluster.apply(&restricted_namespace(NAMESPACE)).expect("the namespace");
    // Their pods stay unscheduled: it is not Envoys that this is about.
    world.cluster.apply(&parameters()).expect("the parameters");
    for count in [1, 5, 50] {
        let names: Vec<String> = (0..count).map(|number| format!("gone-{count}-{number}")).collect();
        world.cluster.apply(&names.iter().map(|name| gateway(name)).collect::<String>()).expect("Gateways");
        for name in &names {
            wait_for_address(world, name);
        }
        wait_until(world, "five objects each", || {
            let services = selected(world, "deployments", "gone-");
            if services == count { Ok(()) } else { Err(Error::Unexpected(format!("{services}"))) }
        });
        let before = creations(world).len();
        assert!(before >= count * 5, "the audit log shows {before} creations");

        let mut delete = vec!["delete", "gateways", "-n", NAMESPACE, "--wait=false"];
        delete.extend(names.iter().map(String::as_str));
        world.cluster.kubectl(&delete).expect("they are deleted");
        let new = format!("new-{count}");
        world.cluster.apply(&gateway(&new)).expect("a new Gateway");
        let started = Instant::now();
        wait_for_address(world, &new);
        let took = started.elapsed();
        wait_until(world, "all is removed", || match selected(world, MADE, "gone-") {
            0 => Ok(()),
            left => Err(Error::Unexpected(format!("{left} objects"))),
        });
        // What would be made again would be made by now; and it would be in the log.
        std::thread::sleep(Duration::from_secs(5));
        let made: Vec<_> = creations(world).split_off(before);
        let again: Vec<_> = made.iter().filter(|entry| name_of(entry).starts_with("gone-")).collect();
        println!(
            "{count} deleted: {} creations again, a new Gateway had its address after {took:?}",
            again.len()
        );
        assert!(again.is_empty(), "{again:#?}");
        assert_eq!(made.len(), 5, "those of the new one: {made:#?}");
        assert!(took < PROMPT, "{took:?}");
        assert_eq!(selected(world, MADE, "gone-"), 0);
        world.cluster.kubectl(&["delete", "gateway", &new, "-n", NAMESPACE]).expect("it is deleted");
    }
}

fn gateway(name: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  gatewayClassName: chancery\n  infrastructure:\n    parametersRef: {{group: gateway.kgateway.dev, kind: GatewayParameters, name: parameters}}\n  listeners: [{{name: http, port: 8080, protocol: HTTP}}]\n"
    )
}

fn parameters() -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: parameters, namespace: {NAMESPACE}}}\nspec:\n  kube:\n    podTemplate: {{nodeSelector: {{example.com/no-such: node}}}}\n"
    )
}

fn wait_for_address(world: &World, name: &str) {
    let has_one = || match world.field(&["gateway", name, "-n", NAMESPACE], ".status.addresses[*].value") {
        none if none.is_empty() => Err(Error::Unexpected(format!("{name} has none"))),
        _ => Ok(()),
    };
    wait_until(world, "an address", has_one);
}

fn wait_until(world: &World, what: &str, is_so: impl Fn() -> Result<(), Error>) {
    world.cluster.wait_until(what, DEADLINE, is_so).expect("it becomes so");
}

/// How many objects of these kinds there are whose names begin so.
fn selected(world: &World, kinds: &str, prefix: &str) -> usize {
    let objects = world.cluster.kubectl_json(&["get", kinds, "-n", NAMESPACE]).expect("the objects");
    let all = objects["items"].as_array().into_iter().flatten();
    let names = all.filter_map(|object| object["metadata"]["name"].as_str());
    names.filter(|name| name.starts_with(prefix)).count()
}

/// What the control plane has made in the namespace until now, in order. An apply that makes an object is answered
/// with 201, one that changes it with 200.
fn creations(world: &World) -> Vec<Value> {
    let entries = audit::entries(&world.cluster);
    let is_creation = |entry: &Value| {
        audit::is_write_of_chancery(entry)
            && entry["objectRef"]["namespace"] == NAMESPACE
            && entry["responseStatus"]["code"] == 201
    };
    entries.into_iter().filter(is_creation).collect()
}

fn name_of(entry: &Value) -> &str {
    entry["objectRef"]["name"].as_str().unwrap_or_default()
}
