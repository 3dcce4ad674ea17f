//! A Gateway is programmed when a proxy of it is ready, and says why when none is.

use std::thread;
use std::time::Duration;

use acceptance::{DEADLINE, World, audit, restricted_namespace};
use cluster::Error;
use serde_json::{Value, json};

const CONDITIONS: &str = ".status.conditions";

/// How long a status must not change any more.
const REST: Duration = Duration::from_secs(45);

/// The Gateway `web` in a namespace of its own.
struct Gateway {
    world: &'static World,
    namespace: &'static str,
}

impl Gateway {
    /// Makes it with these parameters, and does not wait.
    fn apply(world: &'static World, namespace: &'static str, kube: &Value) -> Self {
        let this = Self { world, namespace };
        world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
        this.set_parameters(kube);
        let gateway = format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  gatewayClassName: chancery\n  infrastructure:\n    parametersRef: {{group: gateway.kgateway.dev, kind: GatewayParameters, name: parameters}}\n  listeners: [{{name: http, port: 8080, protocol: HTTP}}]\n"
        );
        world.cluster.apply(&gateway).expect("the Gateway");
        this
    }

    fn set_parameters(&self, kube: &Value) {
        let parameters = json!({
            "apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "GatewayParameters",
            "metadata": {"name": "parameters", "namespace": self.namespace},
            "spec": {"kube": kube},
        });
        self.world.cluster.apply(&parameters.to_string()).expect("the parameters");
    }

    fn object(&self) -> [&str; 4] {
        ["gateway", "web", "-n", self.namespace]
    }

    fn message(&self) -> String {
        self.world.field(&self.object(), ".status.conditions[?(@.type==\"Programmed\")].message")
    }

    /// Waits until it is not programmed and its message has this word.
    fn wait_for_reason(&self, word: &str) {
        self.world.wait_for_condition(&self.object(), CONDITIONS, "Programmed", "False NoResources");
        let says = || match self.message() {
            message if message.contains(word) => Ok(()),
            message => Err(Error::Unexpected(message)),
        };
        self.world.cluster.wait_until(word, DEADLINE, says).expect("the message");
        let listener = self.world.condition(&self.object(), ".status.listeners[0].conditions", "Programmed");
        assert_eq!(listener, "False Pending");
        println!("{}", self.message());
    }

    fn wait_until_programmed(&self) {
        self.world.wait_for_condition(&self.object(), CONDITIONS, "Programmed", "True Programmed");
        let ready = self.world.field(&["deployment", "web", "-n", self.namespace], ".status.readyReplicas");
        assert_eq!(ready, "1", "a proxy is ready");
        let listener = self.world.condition(&self.object(), ".status.listeners[0].conditions", "Programmed");
        assert_eq!(listener, "True Programmed");
    }

    /// How often its status was written.
    fn writes(&self) -> usize {
        let writes = audit::writes_of_chancery(&self.world.cluster, self.namespace);
        writes.iter().filter(|write| write.resource == "gateways/status").count()
    }
}

fn unschedulable() -> Value {
    json!({"podTemplate": {"nodeSelector": {"example.com/no-such": "node"}}})
}

fn image_not_to_be_had() -> Value {
    json!({"envoyContainer": {"image": {"tag": "no-such-tag"}}})
}

/// A program that does not know Envoy's arguments.
fn crashing() -> Value {
    json!({"envoyContainer": {"image": {"registry": "", "repository": "chancery", "tag": "dev"}}})
}

#[test]
fn a_gateway_whose_pod_no_node_takes_says_so_until_one_does() {
    let (world, _guard) = World::shared();
    let gateway = Gateway::apply(world, "programmed-pending", &unschedulable());
    gateway.wait_for_reason("nodes are available");
    assert!(gateway.message().contains("is Pending"), "{}", gateway.message());
    assert!(!world.field(&gateway.object(), ".status.addresses[0].value").is_empty(), "it has an address");
    gateway.set_parameters(&json!({}));
    gateway.wait_until_programmed();
}

#[test]
fn a_gateway_whose_image_is_not_to_be_had_says_so_until_it_is() {
    let (world, _guard) = World::shared();
    let gateway = Gateway::apply(world, "programmed-image", &image_not_to_be_had());
    gateway.wait_for_reason("ErrImagePull");
    gateway.set_parameters(&json!({}));
    gateway.wait_until_programmed();
}

#[test]
fn a_gateway_whose_proxy_crashes_says_so_in_the_same_words_all_the_time() {
    let (world, _guard) = World::shared();
    let gateway = Gateway::apply(world, "programmed-crash", &crashing());
    gateway.wait_for_reason("CrashLoopBackOff");
    // The waits of the first restarts are 10 and 20 s.
    thread::sleep(Duration::from_secs(5));
    let (message, writes) = (gateway.message(), gateway.writes());
    assert!(writes > 0, "the audit log shows writes");
    thread::sleep(REST);
    assert_eq!((gateway.message(), gateway.writes()), (message, writes), "a restart is no news");
    gateway.set_parameters(&json!({}));
    gateway.wait_until_programmed();
}

#[test]
fn a_gateway_stays_programmed_while_a_rollout_is_stuck_and_an_old_proxy_is_ready() {
    let (world, _guard) = World::shared();
    let gateway = Gateway::apply(world, "programmed-rollout", &json!({}));
    gateway.wait_until_programmed();
    let since = ".status.conditions[?(@.type==\"Programmed\")].lastTransitionTime";
    let before = world.field(&gateway.object(), since);
    for broken in [unschedulable(), image_not_to_be_had(), crashing()] {
        gateway.set_parameters(&broken);
        let selector = "gateway.networking.k8s.io/gateway-name=web";
        let is_stuck = || match world.pods(gateway.namespace, selector).len() {
            2 => Ok(()),
            count => Err(Error::Unexpected(format!("{count} pods"))),
        };
        world.cluster.wait_until("a second pod", DEADLINE, is_stuck).expect("the rollout begins");
        thread::sleep(Duration::from_secs(5));
        gateway.wait_until_programmed();
        assert_eq!(world.field(&gateway.object(), since), before, "it was programmed all the time: {broken}");
    }
}
