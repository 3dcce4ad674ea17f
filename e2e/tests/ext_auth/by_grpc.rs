//! A service that is asked by gRPC.

use anyhow::Result;
use e2e::manifests::loopback_service;
use http::Method;

use super::service::{FORGED, GrpcService, VERDICT, http};
use super::world::{World, asks, extension, policy};

const BACKEND: &str = "grpcService: {backendRef: {name: auth, port: 80}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verdicts_are_carried_out() -> Result<()> {
    let service = GrpcService::start().await?;
    let objects = [
        loopback_service("auth", "TCP", service.port()),
        extension(
            "a",
            &format!("{BACKEND}, withRequestBody: {{maxRequestBytes: 8, allowPartialMessage: true}}"),
        ),
        asks("a", ", contextExtensions: {area: north}"),
        extension("few", &format!("{BACKEND}, headersToForward: [X-Verdict]")),
        asks("few", ", withRequestBody: {maxRequestBytes: 8, packAsBytes: true}"),
    ]
    .concat();
    let world = World::start(&["a", "few"], &objects).await?;
    let recording = world.backend.record();

    let headers = [(VERDICT, "pass"), ("x-secret", "s"), ("x-user", "root")];
    let answer = world.ask(Method::POST, "/a/b?c=d", &headers, "0123456789").await?;
    assert_eq!((answer.status, answer.header("x-checked")), (200, Some("yes")), "{}", answer.text());
    let echo = answer.echo()?;
    assert_eq!((echo.path.as_str(), echo.body.as_str()), ("/a/b?c=d", "0123456789"));
    assert_eq!(echo.headers["x-user"], ["alice"]);
    assert!(!echo.headers.contains_key("x-secret"));
    let asked = service.take_asked();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    let attributes = asked.attributes.clone().unwrap_or_default();
    assert_eq!(attributes.context_extensions["area"], "north");
    let seen = http(asked);
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str(), seen.host.as_str()),
        ("POST", "/a/b?c=d", "a.test")
    );
    assert_eq!(seen.body, "01234567");
    assert_eq!(seen.headers["x-secret"], "s");

    let answer = world.ask(Method::POST, "/few", &headers, "01234567").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let asked = service.take_asked();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    let seen = http(asked);
    assert_eq!((seen.raw_body.as_slice(), seen.body.as_str()), (b"01234567".as_slice(), ""));
    assert!(!seen.headers.contains_key("x-secret") && seen.headers[VERDICT] == "pass", "{:?}", seen.headers);

    drop(recording.take());
    let answer = world.get("/a", &[]).await?;
    assert_eq!((answer.status, answer.text().as_str()), (402, "not you"));
    assert_eq!(answer.header("x-reason"), Some("because"));
    assert_eq!(answer.header("www-authenticate"), Some("Custom"));
    for (verdict, status) in [("fail", 403), ("broken", 500)] {
        assert_eq!(world.get("/a", &[(VERDICT, verdict)]).await?.status, status, "{verdict}");
    }
    assert!(recording.take().is_empty(), "the backend was asked");
    Ok(())
}

/// What a service may change: headers. Not where the body ends, nor under which name a request is served; the path only
/// where it may choose the route.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_cannot_change_what_frames_or_names_a_request() -> Result<()> {
    let service = GrpcService::start().await?;
    let objects = [
        loopback_service("auth", "TCP", service.port()),
        extension("a", BACKEND),
        asks("a", ""),
        extension("chooses", &format!("{BACKEND}, clearRouteCache: true")),
        asks("chooses", ""),
        "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: other}\nspec:\n  targetRefs: \
         [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: other}]\n  rbac: {policy: {matchExpressions: \
         [\"request.headers['x-admin'] == '1'\"]}}\n---\n"
            .to_owned(),
    ]
    .concat();
    let world = World::start(&["a", "chooses", "other"], &objects).await?;

    let answer = world.ask(Method::POST, "/a", &[(VERDICT, "forge")], "body").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echo = answer.echo()?;
    assert_eq!(
        (echo.method.as_str(), echo.path.as_str(), echo.host.as_str(), echo.body.as_str()),
        ("POST", "/a", "a.test", "body")
    );
    assert_eq!(echo.headers["x-user"], ["alice"], "the rest is carried out");
    assert!(echo.headers.values().flatten().all(|value| value != FORGED), "{:?}", echo.headers);

    let answer = world.get("/a", &[(VERDICT, "reroute")]).await?;
    assert_eq!(answer.echo()?.path, "/a");

    // The filters of the route that is chosen then are not passed over.
    let answer = world.get("/chooses", &[(VERDICT, "reroute")]).await?;
    assert_eq!((answer.status, answer.text().as_str()), (403, "RBAC: access denied"));
    let answer = world.get("/chooses", &[(VERDICT, "reroute"), ("x-admin", "1")]).await?;
    let echo = answer.echo()?;
    assert_eq!((echo.path.as_str(), echo.host.as_str()), ("/other", "a.test"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_service_is_asked_for_all_routes_but_those_that_say_otherwise() -> Result<()> {
    let service = GrpcService::start().await?;
    let objects = [
        loopback_service("auth", "TCP", service.port()),
        extension("all", BACKEND),
        policy("Gateway", "gw", "extensionRef: {name: all}, contextExtensions: {from: gateway}"),
        extension("own", BACKEND),
        asks("own", ", contextExtensions: {from: route}"),
        policy("HTTPRoute", "open", "disable: {}"),
        policy("HTTPRoute", "old", "enablement: DisableAll"),
    ]
    .concat();
    let world = World::start(&["a", "own", "open", "old"], &objects).await?;
    for (path, from) in [("/a", Some("gateway")), ("/own", Some("route")), ("/open", None), ("/old", None)] {
        let refused = world.get(path, &[]).await?.status;
        assert_eq!(refused, if from.is_some() { 402 } else { 200 }, "{path}");
        assert_eq!(world.get(path, &[(VERDICT, "pass")]).await?.status, 200, "{path}");
        let asked = service.take_asked();
        let told: Vec<_> = asked
            .iter()
            .map(|asked| asked.attributes.clone().unwrap_or_default().context_extensions["from"].clone())
            .collect();
        assert_eq!(told, from.map_or(vec![], |from| vec![from; 2]), "{path}");
    }
    // Not by another spelling of the path, either: what the service sees is what the route was chosen by.
    for path in ["//a", "/open/../a", "/open/%2e%2e/a", "/a/", "/./a"] {
        let answer = world.get(path, &[]).await?;
        assert!(answer.status == 402 || answer.status == 404, "{path}: {}", answer.status);
        for asked in service.take_asked() {
            let seen = http(&asked).path;
            assert!(seen == "/a" || seen == "/a/", "{path} is seen as {seen}");
        }
    }
    Ok(())
}
