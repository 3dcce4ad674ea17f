//! A Gateway whose routes ask for tokens, before an echo backend.

use std::ops::Deref;

use anyhow::Result;
use e2e::echo_routes::EchoRoutes;
use e2e::http::Response;
use e2e::token::Issuer;

pub(crate) struct World(EchoRoutes);

impl Deref for World {
    type Target = EchoRoutes;

    fn deref(&self) -> &EchoRoutes {
        &self.0
    }
}

impl World {
    /// Serves routes of these names, each at the path of its name, and these other objects.
    pub(crate) async fn start(routes: &[&str], objects: &str) -> Result<Self> {
        EchoRoutes::start(routes, objects).await.map(Self)
    }

    /// Asks with a token as bearer.
    pub(crate) async fn ask_with(&self, path: &str, token: &str) -> Result<Response> {
        self.get(path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// Asks with a token until the answer has this status.
    pub(crate) async fn until_with(&self, path: &str, token: &str, status: u16) -> Result<Response> {
        self.until(path, &[("authorization", &format!("Bearer {token}"))], status).await
    }
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
