//! At rest, nothing is written.

use acceptance::audit::{Write, writes_of_chancery};
use acceptance::{DEADLINE, World};
use cluster::Error;
use serde_json::json;

use crate::made::Proxy;

/// How many changes of a route go through the control plane while it is watched.
const MARKERS: usize = 5;

/// Changes a route, waits until its status says that this was seen, and gives what the control plane wrote in the
/// meantime.
fn writes_around_a_marker(proxy: &Proxy, number: usize) -> Vec<Write> {
    let before = writes_of_chancery(&proxy.world.cluster, proxy.namespace).len();
    let hostname = format!("marker-{number}.example.com");
    proxy.patch("httproute", "answer", &json!({"spec": {"hostnames": [hostname]}}));
    let generation = proxy.get("httproute", "answer")["metadata"]["generation"].clone();
    proxy.wait_for("the marker", "httproute", "answer", |object| {
        object["status"]["parents"][0]["conditions"][0]["observedGeneration"] == generation
    });
    writes_of_chancery(&proxy.world.cluster, proxy.namespace).split_off(before)
}

fn is_of_the_marker(write: &Write) -> bool {
    (write.verb.as_str(), write.resource.as_str(), write.name.as_str())
        == ("patch", "httproutes/status", "answer")
}

#[test]
fn after_every_change_the_control_plane_comes_to_rest() {
    let (world, _guard) = World::shared();
    let (proxy, _) = Proxy::start(world, "at-rest", &json!({}));
    let mut numbers = 0..;
    let mut rest = |after: &str| {
        let attempt = || {
            for _ in 0..MARKERS {
                let writes = writes_around_a_marker(&proxy, numbers.next().expect("numbers never end"));
                if writes.len() != 1 || !writes.iter().all(is_of_the_marker) {
                    return Err(Error::Unexpected(format!("{writes:?}")));
                }
            }
            Ok(())
        };
        world.cluster.wait_until(&format!("rest after {after}"), DEADLINE, attempt).expect("rest");
        let all = writes_of_chancery(&world.cluster, proxy.namespace);
        let others = all.iter().filter(|write| !is_of_the_marker(write)).count();
        println!(
            "rest after {after}: {others} writes in all but those of markers, and {MARKERS} markers with 1 write each"
        );
        others
    };
    let made = rest("the beginning");
    proxy.set_parameters(&json!({"envoyContainer": {"bootstrap": {"logLevel": "warn"}}}));
    proxy.wait_for("the log level", "deployment", "web", |object| object["metadata"]["generation"] == 2);
    proxy.wait_for_rollout();
    let rolled = rest("a rollout");
    proxy.json_patch(
        "deployment",
        "web",
        &json!([{"op": "replace", "path": "/spec/strategy/rollingUpdate/maxSurge", "value": 2}]),
    );
    proxy.wait_for("the strategy", "deployment", "web", |object| {
        object["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    });
    let put_right = rest("a hand's edit");
    assert!(made > 0 && rolled > made && put_right > rolled, "{made} {rolled} {put_right}");
    // Each kind is applied, and once more when it is seen; what its controller adds is looked at once, too.
    assert!(rolled - made <= 12 && put_right - rolled <= 6, "{made} {rolled} {put_right}");
}
