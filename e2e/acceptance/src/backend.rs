//! An ordinary backend in the cluster.

use cluster::{Cluster, images};

use crate::DEADLINE;

/// The echo server of Gateway API's conformance suite as a Deployment and a Service (port 8080) of one name.
#[derive(Clone, Debug)]
pub struct EchoApp {
    /// What both are called.
    pub name: String,
    /// Where they are.
    pub namespace: String,
    /// How many pods.
    pub replicas: u32,
}

impl EchoApp {
    /// One pod.
    #[must_use]
    pub fn new(name: &str, namespace: &str) -> Self {
        Self { name: name.to_owned(), namespace: namespace.to_owned(), replicas: 1 }
    }

    /// Applies it, and waits until all of its pods are ready.
    ///
    /// # Panics
    /// They do not get ready.
    pub fn deploy(&self, cluster: &Cluster) {
        cluster.apply(&self.manifest()).expect("the manifest is accepted");
        let Self { name, namespace, .. } = self;
        let timeout = format!("--timeout={}s", DEADLINE.as_secs());
        let deployment = format!("deployment/{name}");
        cluster
            .kubectl(&["rollout", "status", &deployment, "-n", namespace, &timeout])
            .expect("the pods become ready");
    }

    /// The YAML of both.
    #[must_use]
    pub fn manifest(&self) -> String {
        include_str!("echo.yaml")
            .replace("@NAMESPACE@", &self.namespace)
            .replace("@REPLICAS@", &self.replicas.to_string())
            .replace("@NAME@", &self.name)
            .replace("@IMAGE@", images::ECHO)
    }
}
