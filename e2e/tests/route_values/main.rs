//! Values that an HTTPRoute writes, and what the real Envoy makes of them: paths, headers, redirects,
//! timeouts, and what becomes of requests that a rule was meant for which cannot be carried out.
//!
//! Each kind of value is tried with generated neighbours of the cases that were once reported. The seed is
//! fixed; `CHANCERY_SEED` sets another, `CHANCERY_CASES` multiplies the number of cases.

mod guards;
mod headers;
mod paths;
mod redirects;
mod rewrites;
mod timeouts;

use anyhow::{Context, Result};
use bytes::Bytes;
use e2e::echo::{Echo, EchoBackend};
use e2e::fixture::Fixture;
use e2e::http::{Response, request, send};
use e2e::manifests::{gateway, loopback_service};
use http::Method;

/// Chancery with its Gateway, and the backend that tells what it was asked.
struct World {
    fixture: Fixture,
    echo: EchoBackend,
}

impl World {
    /// Serves routes, given as the YAML of documents.
    async fn start(routes: &str) -> Result<Self> {
        Self::start_with(routes, &[]).await
    }

    async fn start_with(routes: &str, arguments: &[&str]) -> Result<Self> {
        let echo = EchoBackend::start("echo").await?;
        let service = loopback_service("echo", "TCP", echo.address().port());
        let objects = format!("{}{service}{routes}", gateway("gw", "PORT"));
        Ok(Self { fixture: Fixture::start_with(&[("all.yaml", &objects)], arguments).await?, echo })
    }

    async fn ask(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response> {
        send(self.fixture.address(), request(method, host, path, headers, Bytes::new())?).await
    }

    async fn get(&self, path: &str) -> Result<Response> {
        self.ask(Method::GET, "a.test", path, &[]).await
    }

    /// What the backend was asked for by `GET path`.
    async fn seen(&self, path: &str) -> Result<Echo> {
        let answer = self.get(path).await?;
        serde_json::from_slice(&answer.body)
            .with_context(|| format!("{path}: {} {}", answer.status, answer.text()))
    }

    /// All that the status of a route says.
    async fn status_text(&self, route: &str) -> Result<String> {
        Ok(self.fixture.status(&format!("HTTPRoute default/{route}")).await?.to_string())
    }
}

/// The document of an HTTPRoute, from the lines of its rules.
fn route(name: &str, rules: &str) -> String {
    format!(
        "\n---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {name}}}\n\
         spec:\n  parentRefs: [{{name: gw}}]\n  rules:\n{rules}"
    )
}
