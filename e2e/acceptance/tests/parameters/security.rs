//! That the namespaces of these tests enforce what they say, so that every pod that runs in them keeps to it.

use acceptance::{World, restricted_namespace};

#[test]
fn a_pod_that_is_not_restricted_would_be_refused() {
    let (world, _guard) = World::shared();
    let namespace = "parameters-restricted";
    world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    let bare = ["run", "bare", "--image=example.com/any", "--dry-run=server", "-n", namespace];
    let refused = world.cluster.kubectl(&bare).expect_err("it is refused").to_string();
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}
