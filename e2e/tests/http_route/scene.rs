//! Gateways in front of echo backends, for rules that each test writes.

use std::fmt::Write as _;

use anyhow::Result;
use bytes::Bytes;
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::http::{Response, request, send};
use e2e::manifests::gateway;
use http::Method;

/// A Gateway and a route, with echo backends that are found by their names.
pub(crate) struct Scene {
    pub(crate) fixture: Fixture,
    pub(crate) backends: Vec<EchoBackend>,
}

impl Scene {
    /// Serves `rules` of a route, whose backends of these names answer with what they received.
    pub(crate) async fn start(backends: &[&str], rules: &str) -> Result<Self> {
        Self::start_beside(backends, rules, "").await
    }

    /// The same with more objects, of which each begins with a separator.
    pub(crate) async fn start_beside(backends: &[&str], rules: &str, more: &str) -> Result<Self> {
        let mut objects = gateway("gw", "PORT") + &route("route", "", rules) + more;
        let mut running = Vec::new();
        for name in backends {
            let backend = EchoBackend::start(name).await?;
            write!(objects, "---\n{}", service(name, "", &[backend.address().port()]))?;
            running.push(backend);
        }
        Ok(Self { fixture: Fixture::start(&[("all.yaml", &objects)]).await?, backends: running })
    }

    /// The same with more objects.
    pub(crate) async fn start_with(objects: &str) -> Result<Self> {
        let objects = gateway("gw", "PORT") + objects;
        Ok(Self { fixture: Fixture::start(&[("all.yaml", &objects)]).await?, backends: Vec::new() })
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        send(self.fixture.address(), request(method, "a.test", path, headers, Bytes::new())?).await
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Response> {
        self.ask(Method::GET, path, &[]).await
    }
}

/// A route to the Gateway.
pub(crate) fn route(name: &str, metadata: &str, rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}{metadata}}}\nspec:\n  \
         parentRefs: [{{name: gw}}]\n  rules:\n{rules}\n"
    )
}

/// A Service with port 80, and its endpoints on loopback. `port` is more of the Service's port.
pub(crate) fn service(name: &str, port: &str, endpoints: &[u16]) -> String {
    let mut objects = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{name: http, port: 80{port}}}]}}\n"
    );
    for endpoint in endpoints {
        objects += &format!(
            "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {name}-{endpoint}, labels: \
             {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\nports: [{{name: http, port: {endpoint}}}]\n\
             endpoints: [{{addresses: [127.0.0.1]}}]\n"
        );
    }
    objects
}
