//! A Gateway whose routes ask for tokens, before an echo backend.

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{Response, eventually, request, send};
use e2e::manifests::{gateway, http_route, loopback_service};
use e2e::token::Issuer;
use http::Method;

pub(crate) struct World {
    pub(crate) fixture: Fixture,
    pub(crate) backend: EchoBackend,
}

impl World {
    /// Serves routes of these names, each at the path of its name, and these other objects, of which each begins with a
    /// separator.
    pub(crate) async fn start(routes: &[&str], objects: &str) -> Result<Self> {
        let backend = EchoBackend::start("main").await?;
        let routes: String = routes.iter().map(|name| route(name)).collect();
        let service = loopback_service("main", "TCP", backend.address().port());
        let base = gateway("gw", "PORT") + &routes + service.trim_end().trim_end_matches("---");
        let fixture = Fixture::start(&[("base.yaml", &base), ("policies.yaml", objects)]).await?;
        Ok(Self { fixture, backend })
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        send(self.fixture.address(), request(method, "a.test", path, headers, Bytes::new())?).await
    }

    /// Asks with a token as bearer.
    pub(crate) async fn ask_with(&self, path: &str, token: &str) -> Result<Response> {
        let bearer = format!("Bearer {token}");
        self.ask(Method::GET, path, &[("authorization", &bearer)]).await
    }

    /// Asks with a token until the answer has this status: what is new has reached the proxy then.
    pub(crate) async fn until(&self, path: &str, token: &str, status: u16) -> Result<Response> {
        eventually(DEADLINE, || async {
            let answer = self.ask_with(path, token).await?;
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

/// A GatewayExtension with one provider; `provider` is more of it.
pub(crate) fn extension(name: &str, mode: &str, provider: &str) -> String {
    extension_of(name, mode, &[&format!("{{name: idp, {provider}}}")])
}

/// A GatewayExtension with these providers.
pub(crate) fn extension_of(name: &str, mode: &str, providers: &[&str]) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayExtension\nmetadata: {{name: {name}}}\nspec:\n  \
         type: JWT\n  jwt:\n    validationMode: {mode}\n    providers: [{}]\n",
        providers.join(", ")
    )
}

/// A TrafficPolicy of a route.
pub(crate) fn policy(route: &str, members: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {route}}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}]\n{members}\n"
    )
}

/// A RouteOption of a route.
pub(crate) fn option(route: &str, options: &str) -> String {
    format!(
        "---\napiVersion: gateway.solo.io/v1\nkind: RouteOption\nmetadata: {{name: {route}}}\nspec:\n  targetRefs: \
         [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}]\n  options:\n{options}\n"
    )
}

/// A provider of options, whose tokens stand in the header `x-token-<name>`; `more` is more of it.
pub(crate) fn gloo_provider(name: &str, issuer: &Issuer, more: &str) -> String {
    format!(
        "{name}: {{tokenSource: {{headers: [{{header: x-token-{name}}}]}}, jwks: {{local: {{key: '{}'}}}}, {more}}}",
        issuer.key_set()
    )
}
