//! Objects by which routes have a service asked.

pub(crate) use e2e::echo_routes::EchoRoutes as World;

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
