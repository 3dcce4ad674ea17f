//! A Gateway whose routes have a service asked, before an echo backend.

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{Response, eventually, request, send};
use e2e::manifests::{gateway, http_route, loopback_service};
use http::Method;

pub(crate) struct World {
    pub(crate) fixture: Fixture,
    pub(crate) backend: EchoBackend,
}

impl World {
    /// Serves routes of these names, each at the path of its name, and these other objects.
    pub(crate) async fn start(routes: &[&str], objects: &str) -> Result<Self> {
        let backend = EchoBackend::start("main").await?;
        let routes: String = routes.iter().map(|name| route(name)).collect();
        let service = loopback_service("main", "TCP", backend.address().port());
        let base = gateway("gw", "PORT") + &routes + &service;
        let fixture = Fixture::start(&[("base.yaml", &base), ("policies.yaml", objects)]).await?;
        Ok(Self { fixture, backend })
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response> {
        send(self.fixture.address(), request(method, "a.test", path, headers, body.into())?).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.ask(Method::GET, path, headers, "").await
    }

    /// Asks until the answer has this status: what is new has reached the proxy then.
    pub(crate) async fn until(&self, path: &str, headers: &[(&str, &str)], status: u16) -> Result<Response> {
        eventually(DEADLINE, || async {
            let answer = self.get(path, headers).await?;
            ensure!(answer.status == status, "{path}: {} {}", answer.status, answer.text());
            Ok(answer)
        })
        .await
    }

    /// What the proxy has counted about its listeners.
    pub(crate) async fn listeners(&self) -> Result<String> {
        Ok(self.fixture.envoy("gw")?.get("/stats?filter=listener_manager").await?.text())
    }
}

fn route(name: &str) -> String {
    let rule = format!(
        "name: {name}\n    matches: [{{path: {{value: /{name}}}}}]\n    backendRefs: [{{name: main, port: 80}}]"
    );
    http_route(name, "", &rule)
}

/// A GatewayExtension of type ExtAuth with these members, as a document with its end marker.
pub(crate) fn extension(name: &str, members: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayExtension\nmetadata: {{name: {name}}}\nspec: {{type: ExtAuth, \
         extAuth: {{{members}}}}}\n---\n"
    )
}

/// A TrafficPolicy that says this about external authorization, as a document with its end marker.
pub(crate) fn policy(kind: &str, name: &str, ext_auth: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec:\n  targetRefs: \
         [{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}}}]\n  extAuth: {{{ext_auth}}}\n---\n"
    )
}

/// The same of a route, whose service is the extension of the same name.
pub(crate) fn asks(route: &str, more: &str) -> String {
    policy("HTTPRoute", route, &format!("extensionRef: {{name: {route}}}{more}"))
}
