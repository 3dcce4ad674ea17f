//! A Gateway of the class `chancery` in front of an ordinary backend, with two Envoys.

use crate::{EchoApp, World, restricted_namespace};

/// A namespace with an echo server of two pods, called `echo`, behind the Gateway `echo-gateway` with two Envoys and the
/// HTTPRoute `echo` for the host `echo.example.com`.
#[derive(Clone, Debug)]
pub struct EchoGateway {
    /// The namespace of all of it.
    pub namespace: String,
}

impl EchoGateway {
    /// The host of its route.
    pub const HOST: &str = "echo.example.com";

    /// Names it.
    #[must_use]
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned() }
    }

    /// Makes the namespace and the backend, and waits until the backend is ready.
    ///
    /// # Panics
    /// It does not get ready.
    pub fn deploy_backend(&self, world: &World) {
        world.cluster.apply(&restricted_namespace(&self.namespace)).expect("the namespace");
        EchoApp { replicas: 2, ..EchoApp::new("echo", &self.namespace) }.deploy(&world.cluster);
    }

    /// Makes the Gateway and its route, and waits until both Envoys are ready; gives the address.
    ///
    /// # Panics
    /// They do not get ready.
    #[must_use]
    pub fn deploy_gateway(&self, world: &World) -> String {
        world.cluster.apply(&self.manifest()).expect("the Gateway and its route");
        let address = world.programmed("echo-gateway", &self.namespace);
        let rollout =
            ["rollout", "status", "deployment/echo-gateway", "-n", &self.namespace, "--timeout=120s"];
        world.cluster.kubectl(&rollout).expect("both Envoys");
        address
    }

    /// The YAML of the Gateway, its parameters and its route.
    #[must_use]
    pub fn manifest(&self) -> String {
        include_str!("echo_gateway.yaml").replace("@NAMESPACE@", &self.namespace)
    }

    /// The names of the Gateway's pods that are there.
    ///
    /// # Panics
    /// The API server does not say.
    #[must_use]
    pub fn envoys(&self, world: &World) -> Vec<String> {
        world.pods(&self.namespace, "gateway.networking.k8s.io/gateway-name=echo-gateway")
    }
}
