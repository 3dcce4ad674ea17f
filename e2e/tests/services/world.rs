//! Objects by which routes have a service do something.

pub(crate) use e2e::echo_routes::EchoRoutes as World;

/// The service of gRPC that the objects of tests name.
pub(crate) const BACKEND: &str = "grpcService: {backendRef: {name: service, port: 80}}";

/// A GatewayExtension with these members of that name, as a document with its end marker.
pub(crate) fn extension(name: &str, kind: &str, members: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayExtension\nmetadata: {{name: {name}}}\nspec: {{{kind}: \
         {{{members}}}}}\n---\n"
    )
}

/// A TrafficPolicy with these members of its spec, in the form of a flow, for an object; as a document with its end marker.
pub(crate) fn policy(kind: &str, name: &str, members: &str) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}}}\nspec: {{targetRefs: [{{group: \
         gateway.networking.k8s.io, kind: {kind}, name: {name}}}], {members}}}\n---\n"
    )
}

/// The same for a route.
pub(crate) fn of_route(route: &str, members: &str) -> String {
    policy("HTTPRoute", route, members)
}
