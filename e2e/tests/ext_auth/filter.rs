//! The filter ExternalAuth of HTTPRoutes.

use anyhow::Result;
use e2e::auth_server::{AuthServer, PASS};
use e2e::manifests::{http_route, loopback_service};
use http::Method;

use super::service::{GrpcService, VERDICT, http};
use super::world::World;

fn rule(name: &str, filter: &str) -> String {
    let rule = format!(
        "matches: [{{path: {{value: /{name}}}}}]\n    filters: [{{type: ExternalAuth, externalAuth: {{{filter}}}}}]\n    backendRefs: \
         [{{name: main, port: 80}}]"
    );
    http_route(name, "", &rule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_has_its_own_service_asked() -> Result<()> {
    let (by_http, by_grpc) = (AuthServer::start().await?, GrpcService::start().await?);
    let backend = |name: &str| format!("backendRef: {{name: {name}, port: 80}}");
    let objects = [
        loopback_service("http", "TCP", by_http.address().port()),
        loopback_service("grpc", "TCP", by_grpc.port()),
        rule("plain", &format!("protocol: HTTP, {}, http: {{}}, forwardBody: {{maxSize: 8}}", backend("http"))),
        rule(
            "named",
            &format!(
                "protocol: HTTP, {}, http: {{path: /check, allowedHeaders: [x-other], allowedResponseHeaders: [x-user]}}",
                backend("http")
            ),
        ),
        rule("grpc", &format!("protocol: GRPC, {}, grpc: {{allowedHeaders: [{VERDICT}]}}", backend("grpc"))),
        rule("missing", &format!("protocol: GRPC, {}, grpc: {{}}", backend("absent"))),
    ]
    .concat();
    let world = World::start(&["open"], &objects).await?;
    let recording = world.backend.record();
    let good =
        [("authorization", PASS), (VERDICT, "pass"), ("x-user", "root"), ("x-other", "1"), ("cookie", "c")];
    for (path, allowed, refused) in [
        ("/plain", 200, 401),
        ("/named", 200, 401),
        ("/grpc", 200, 402),
        ("/missing", 500, 500),
        ("/open", 200, 200),
    ] {
        assert_eq!(world.ask(Method::POST, path, &good, "body").await?.status, allowed, "{path}");
        assert_eq!(world.ask(Method::POST, path, &[], "body").await?.status, refused, "{path}");
    }
    let told = world.fixture.told(
        "HTTPRoute default/missing",
        "/parents/0/conditions",
        "ResolvedRefs",
        "BackendNotFound",
    );
    assert!(told.await?.contains("spec.rules[0].filters[0].externalAuth.backendRef"));

    // All headers of the answer go to the backend, but none of them ends the body, or names another host.
    let seen = recording.take();
    let of = |path: &str| seen.iter().find(|seen| seen.path() == path);
    let plain = of("/plain").expect("a request");
    assert_eq!((plain.header("x-user"), plain.header("x-hidden")), (Some("alice"), Some("1")));
    assert_eq!((plain.host.as_str(), &plain.body[..]), ("a.test", b"body".as_slice()));
    assert_eq!(plain.header("content-length"), Some("4"));
    let named = of("/named").expect("a request");
    assert_eq!((named.header("x-user"), named.header("x-hidden")), (Some("alice"), None));

    let asked = by_http.asked().take();
    let passed = |path: &str| {
        asked.iter().find(|asked| asked.path() == path && asked.header("authorization").is_some())
    };
    let plain = passed("/plain").expect("a question");
    assert_eq!((&plain.body[..], plain.header("content-length")), (b"body".as_slice(), Some("4")));
    assert!(plain.header("x-other").is_none() && plain.header("cookie").is_none(), "{plain:?}");
    let named = passed("/check/named").expect("a question");
    assert_eq!((named.header("x-other"), named.header("content-length")), (Some("1"), Some("0")));
    assert!(named.header("cookie").is_none(), "{named:?}");
    let asked = by_grpc.take_asked();
    assert_eq!(asked.len(), 2);
    assert!(!http(&asked[0]).headers.contains_key("cookie") && http(&asked[0]).body.is_empty());

    assert_eq!(world.ask(Method::POST, "/plain", &good, "too large").await?.status, 413);
    Ok(())
}
