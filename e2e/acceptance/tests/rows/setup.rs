//! Rows A5 and A6: the guides' setup of an AI gateway, and its seed after it.

use std::net::SocketAddr;
use std::time::Instant;

use acceptance::{DEADLINE, World, assert_native_gemini, restricted_namespace};
use cluster::Error;
use serde_json::{Value, json};

use crate::guide::{Seed, port_8080};

const KGATEWAY: &str = include_str!("setup-kgateway.yaml");
const GLOO: &str = include_str!("setup-gloo.yaml");

/// What the status says of the sidecar that other implementations run.
const NO_SIDECAR: [&str; 2] = [
    "spec.kube.aiExtension.enabled has no effect: AI backends need no sidecar here",
    "spec.kube.aiExtension.ports is not opened: metrics are at port 9091 of each pod",
];

/// A setup, applied.
struct Applied<'a> {
    world: &'a World,
    namespace: &'a str,
    /// What the Deployment, the Service and the pods' label are named.
    proxy: &'a str,
}

impl<'a> Applied<'a> {
    fn new(world: &'a World, yaml: &str, seed: Seed<'a>, proxy: &'a str) -> Self {
        let namespace = seed.namespace;
        world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
        let started = Instant::now();
        world.cluster.apply(&yaml.replace(seed.written, namespace)).expect("the setup");
        let this = Self { world, namespace, proxy };
        this.wait_until_programmed();
        println!("{namespace}: programmed after {:.1} s", started.elapsed().as_secs_f64());
        this
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.world.cluster.kubectl_json(&["get", kind, name, "-n", self.namespace]).expect(name)
    }

    fn wait_until_programmed(&self) {
        let gateway = ["gateway", "ai-gateway", "-n", self.namespace];
        self.world.wait_for_condition(&gateway, ".status.conditions", "Programmed", "True Programmed");
    }

    fn address(&self) -> String {
        self.world.field(&["gateway", "ai-gateway", "-n", self.namespace], ".status.addresses[0].value")
    }

    /// One pod under the guides' label, ready, with Envoy alone.
    fn assert_pod(&self) {
        let selector = format!("app.kubernetes.io/name={}", self.proxy);
        let ready = || {
            let pods = ["get", "pods", "-n", self.namespace, "-l", &selector];
            let pods = self.world.cluster.kubectl_json(&pods)?;
            let pods = pods["items"].as_array().cloned().unwrap_or_default();
            let containers: Vec<_> = pods
                .iter()
                .flat_map(|pod| pod["status"]["containerStatuses"].as_array().cloned().unwrap_or_default())
                .map(|container| json!([container["name"], container["ready"]]))
                .collect();
            match containers == [json!(["kgateway-proxy", true])] {
                true => Ok(()),
                false => Err(Error::Unexpected(format!("{containers:?}"))),
            }
        };
        self.world.cluster.wait_until("a pod that is 1/1 ready", DEADLINE, ready).expect("the pod");
        let deployment = self.get("deployment", self.proxy);
        assert_eq!(deployment["status"]["replicas"], 1);
    }

    fn assert_service(&self, kind: &str) -> Value {
        let service = self.get("service", self.proxy);
        assert_eq!(service["spec"]["type"], kind);
        let ports = service["spec"]["ports"].as_array().expect("ports");
        let ports: Vec<_> = ports.iter().map(|port| (&port["name"], &port["port"])).collect();
        assert_eq!(ports, [(&json!("http"), &json!(8080))]);
        service
    }

    /// Nothing of the input is left aside without a word, at the Gateway and at the parameters.
    fn assert_sidecar_is_explained(&self, parameters: &str, name: &str) {
        let messages = [self.get("gateway", "ai-gateway"), self.get(parameters, name)].map(|object| {
            let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let accepted = conditions.into_iter().find(|condition| condition["type"] == "Accepted");
            accepted.expect("it is accepted or not")["message"].as_str().unwrap_or_default().to_owned()
        });
        for message in messages {
            assert!(NO_SIDECAR.iter().all(|note| message.contains(note)), "{message}");
        }
    }

    fn assert_serves(&self, seed: Seed<'_>, address: SocketAddr) {
        seed.apply_route(self.world);
        assert_native_gemini(&self.world.ask_until(address, "/gemini", 200));
        assert!(!self.world.provider_requests_with(seed.key).is_empty());
    }
}

#[test]
fn a5_kgateways_setup_gives_a_load_balancer_with_one_ready_envoy() {
    let (world, _guard) = World::shared();
    let seed = Seed::kgateway("a5-load-balancer", "canary-a5-load-balancer");
    let setup = Applied::new(world, KGATEWAY, seed, "ai-gateway");
    let address = setup.address();
    assert!(address.starts_with("10.90."), "an address of the load balancer, not {address:?}");
    setup.assert_pod();
    setup.assert_service("LoadBalancer");
    setup.assert_sidecar_is_explained("gatewayparameters.gateway.kgateway.dev", "ai-gateway");
    setup.assert_serves(seed, port_8080(&address));
}

#[test]
fn a5_kgateways_setup_with_a_node_port_is_served_at_the_node_and_at_its_address() {
    let (world, _guard) = World::shared();
    let seed = Seed::kgateway("a5-node-port", "canary-a5-node-port");
    let yaml = KGATEWAY.replace("type: LoadBalancer", "type: NodePort");
    let setup = Applied::new(world, &yaml, seed, "ai-gateway");
    setup.assert_pod();
    let service = setup.assert_service("NodePort");
    let address = setup.address();
    assert_eq!(service["spec"]["clusterIP"], address, "the address is one that clients reach");
    let node_port = service["spec"]["ports"][0]["nodePort"].as_u64().expect("a node port");
    let at_node = SocketAddr::new([10, 89, 0, 2].into(), u16::try_from(node_port).expect("a port"));
    setup.assert_serves(seed, at_node);
    assert_native_gemini(&world.ask_until(port_8080(&address), "/gemini", 200));
}

#[test]
fn a6_gloos_setup_gives_the_names_that_its_users_know() {
    let (world, _guard) = World::shared();
    let seed = Seed::gloo("a6-gloo", "canary-a6-gloo");
    let setup = Applied::new(world, GLOO, seed, "gloo-proxy-ai-gateway");
    setup.assert_pod();
    setup.assert_service("LoadBalancer");
    setup.assert_sidecar_is_explained("gatewayparameters.gateway.gloo.solo.io", "gloo-gateway-override");
    setup.assert_serves(seed, port_8080(&setup.address()));
}
