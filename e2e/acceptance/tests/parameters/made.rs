//! A Gateway with parameters, and what is made for it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use acceptance::{DEADLINE, World, gateway_socket, restricted_namespace};
use cluster::Error;
use serde_json::{Value, json};

/// What all objects of a Gateway are found by.
pub(crate) const SELECTOR: &str = "gateway.networking.k8s.io/gateway-name=web";

/// What the route answers.
pub(crate) const ANSWER: u16 = 302;

/// The Gateway `web` in a namespace of its own, with the GatewayParameters `parameters`.
#[derive(Clone, Copy)]
pub(crate) struct Proxy {
    pub(crate) world: &'static World,
    pub(crate) namespace: &'static str,
}

/// What a change of one thing must not change of the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Made {
    /// What the Deployment wants, without the number of pods.
    pub(crate) template: Value,
    pub(crate) deployment: String,
    pub(crate) deployment_generation: i64,
    pub(crate) service: String,
    pub(crate) service_version: String,
    pub(crate) cluster_ip: String,
    pub(crate) address: String,
    /// Uids of the pods that were not told to end.
    pub(crate) pods: BTreeSet<String>,
}

impl Proxy {
    /// Makes it with `kube` parameters, and waits until it answers.
    pub(crate) fn start(world: &'static World, namespace: &'static str, kube: &Value) -> (Self, SocketAddr) {
        let this = Self { world, namespace };
        world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
        this.set_parameters(kube);
        let manifest = include_str!("gateway.yaml").replace("@NAMESPACE@", namespace);
        world.cluster.apply(&manifest).expect("the Gateway");
        let address = gateway_socket(&world.programmed("web", namespace));
        this.wait_for_rollout();
        world.ask_until(address, "/", ANSWER);
        (this, address)
    }

    /// Replaces the parameters as a whole.
    pub(crate) fn set_parameters(&self, kube: &Value) {
        let parameters = json!({
            "apiVersion": "gateway.kgateway.dev/v1alpha1",
            "kind": "GatewayParameters",
            "metadata": {"name": "parameters", "namespace": self.namespace},
            "spec": {"kube": kube},
        });
        self.world.cluster.apply(&parameters.to_string()).expect("the parameters");
    }

    /// Runs kubectl in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.world.cluster.kubectl(&[arguments, &["-n", self.namespace]].concat()).expect("kubectl")
    }

    pub(crate) fn patch(&self, kind: &str, name: &str, patch: &Value) {
        self.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch.to_string()]);
    }

    pub(crate) fn json_patch(&self, kind: &str, name: &str, patch: &Value) {
        self.kubectl(&["patch", kind, name, "--type=json", "-p", &patch.to_string()]);
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Value {
        let arguments = ["get", kind, name, "-n", self.namespace];
        self.world.cluster.kubectl_json(&arguments).expect("the object")
    }

    /// The pods that were not told to end.
    pub(crate) fn pods(&self) -> Vec<Value> {
        let arguments = ["get", "pods", "-l", SELECTOR, "-n", self.namespace];
        let pods = self.world.cluster.kubectl_json(&arguments).expect("the pods");
        let all = pods["items"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// What stands there now.
    pub(crate) fn made(&self) -> Made {
        let [deployment, service] = [self.get("deployment", "web"), self.get("service", "web")];
        let gateway = self.get("gateway", "web");
        let text = |object: &Value, pointer: &str| {
            object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        Made {
            template: deployment["spec"]["template"].clone(),
            deployment: text(&deployment, "/metadata/uid"),
            deployment_generation: deployment["metadata"]["generation"].as_i64().unwrap_or_default(),
            service: text(&service, "/metadata/uid"),
            service_version: text(&service, "/metadata/resourceVersion"),
            cluster_ip: text(&service, "/spec/clusterIP"),
            address: text(&gateway, "/status/addresses/0/value"),
            pods: self.pods().iter().map(|pod| text(pod, "/metadata/uid")).collect(),
        }
    }

    /// Waits until the object satisfies `is_so`.
    pub(crate) fn wait_for(&self, what: &str, kind: &str, name: &str, is_so: impl Fn(&Value) -> bool) {
        let arguments = ["get", kind, name, "-n", self.namespace];
        let attempt = || {
            let object = self.world.cluster.kubectl_json(&arguments)?;
            if is_so(&object) { Ok(()) } else { Err(Error::Unexpected(object["spec"].to_string())) }
        };
        self.world.cluster.wait_until(what, DEADLINE, attempt).expect("it becomes so");
    }

    /// Waits until the pods are those that the Deployment wants, and all are ready.
    pub(crate) fn wait_for_rollout(&self) {
        let timeout = format!("--timeout={}s", DEADLINE.as_secs());
        self.kubectl(&["rollout", "status", "deployment/web", &timeout]);
    }
}
