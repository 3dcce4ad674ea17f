//! A Gateway with routes to one echo backend, for tests of what policies do to them.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Method;

use crate::echo::EchoBackend;
use crate::fixture::{DEADLINE, Fixture};
use crate::http::{Response, eventually, request, send};
use crate::manifests::{gateway, http_route, loopback_service};

/// A running control plane with its Envoy and the backend.
#[derive(Debug)]
pub struct EchoRoutes {
    /// The control plane and its Envoy.
    pub fixture: Fixture,
    /// The backend.
    pub backend: EchoBackend,
}

impl EchoRoutes {
    /// Serves routes of these names at the Gateway `gw`, each at the path of its name, and these other objects.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(routes: &[&str], objects: &str) -> Result<Self> {
        let backend = EchoBackend::start("main").await?;
        let routes: String = routes.iter().map(|name| route(name)).collect();
        let service = loopback_service("main", "TCP", backend.address().port());
        let base = gateway("gw", "PORT") + &routes + &service;
        let fixture = Fixture::start(&[("base.yaml", &base), ("policies.yaml", objects)]).await?;
        Ok(Self { fixture, backend })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// No answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Response> {
        send(self.fixture.address(), request(method, "a.test", path, headers, body.into())?).await
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        self.ask(Method::GET, path, headers, "").await
    }

    /// Asks until the answer has this status: what is new has reached the proxy then.
    ///
    /// # Errors
    /// It does not within the deadline.
    pub async fn until(&self, path: &str, headers: &[(&str, &str)], status: u16) -> Result<Response> {
        eventually(DEADLINE, || async {
            let answer = self.get(path, headers).await?;
            ensure!(answer.status == status, "{path}: {} {}", answer.status, answer.text());
            Ok(answer)
        })
        .await
    }

    /// What the proxy has counted about its listeners.
    ///
    /// # Errors
    /// The proxy does not say.
    pub async fn listeners(&self) -> Result<String> {
        Ok(self.fixture.envoy("gw")?.get("/stats?filter=listener_manager").await?.text())
    }
}

fn route(name: &str) -> String {
    let rule = format!(
        "name: {name}\n    matches: [{{path: {{value: /{name}}}}}]\n    backendRefs: [{{name: main, port: 80}}]"
    );
    http_route(name, "", &rule)
}
