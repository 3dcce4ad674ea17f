//! Filters of listeners: services that are asked before a route is chosen.

use anyhow::{Result, ensure};
use e2e::auth_server::{AuthServer, PASS};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{Response, eventually, request, send};
use e2e::manifests::{gateway_with, http_route, loopback_service};
use http::Method;

use super::service::{GrpcService, VERDICT};

/// A listener with these filters, which ask a service at port 80 each.
fn listener(name: &str, hostname: &str, filters: &[(&str, &str)]) -> String {
    let hostname = if hostname.is_empty() { String::new() } else { format!("hostname: {hostname}, ") };
    let filters = filters.iter().map(|(protocol, service)| {
        let member = protocol.to_ascii_lowercase();
        format!(
            "{{type: ExternalAuth, externalAuth: {{protocol: {protocol}, backendRef: {{name: {service}, port: 80}}, {member}: {{}}}}}}"
        )
    });
    let filters = filters.collect::<Vec<_>>().join(", ");
    format!("{{name: {name}, {hostname}port: PORT, protocol: HTTP, filters: {{requests: [{filters}]}}}}")
}

fn path(path: &str, more: &str) -> String {
    format!("matches: [{{path: {{value: {path}}}{more}}}]")
}

/// Routes at every host.
fn routes() -> String {
    let to_main = "\n    backendRefs: [{name: main, port: 80}]";
    let redirect = "\n    filters: [{type: RequestRedirect, requestRedirect: {hostname: else.test}}]";
    let both = "\n    filters: [{type: ExternalAuth, externalAuth: {protocol: GRPC, backendRef: {name: grpc, port: 80}, grpc: {}}}]";
    [
        http_route("routed", "", &(path("/routed", "") + to_main)),
        http_route("moved", "", &(path("/moved", "") + redirect)),
        http_route("both", "", &(path("/both", "") + both + to_main)),
        http_route("user", "", &(path("/user", ", headers: [{name: x-user, value: alice}]") + to_main)),
        // Asked for by the route alone that is chosen in the end.
        http_route(
            "inner",
            "",
            &(path("/inner", ", headers: [{name: x-user, value: alice}]") + both + to_main),
        ),
        http_route("other", "", &(path("/other", "") + to_main)),
    ]
    .concat()
}

/// Sends a request.
async fn get(fixture: &Fixture, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
    send(fixture.address(), request(Method::GET, host, path, headers, "".into())?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_listener_has_its_own_services_asked_about_every_request() -> Result<()> {
    let (backend, http, grpc) =
        (EchoBackend::start("main").await?, AuthServer::start().await?, GrpcService::start().await?);
    let listeners = [
        listener("one", "one.test", &[("HTTP", "http")]),
        listener("two", "'*.two.test'", &[("GRPC", "grpc"), ("HTTP", "http")]),
        listener("broken", "broken.test", &[("HTTP", "http"), ("HTTP", "absent")]),
        listener("open", "", &[]),
    ];
    let set = listener("set", "set.test", &[("GRPC", "grpc")]);
    let base = [
        gateway_with("gw", "  allowedListeners: {namespaces: {from: Same}}\n", &listeners),
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ListenerSet\nmetadata: {{name: more}}\nspec:\n  parentRef: {{name: gw}}\n  \
             listeners: [{set}]\n---\n"
        ),
        loopback_service("main", "TCP", backend.address().port()),
        loopback_service("http", "TCP", http.address().port()),
        loopback_service("grpc", "TCP", grpc.port()),
        routes(),
        // At the ListenerSet's listener as well.
        http_route("in-set", "", &(path("/set", "") + "\n    backendRefs: [{name: main, port: 80}]"))
            .replace("{name: gw}", "{group: gateway.networking.k8s.io, kind: ListenerSet, name: more}"),
    ]
    .concat();
    let fixture = Fixture::start(&[("base.yaml", &base)]).await?;
    let (good, passed) = ([("authorization", PASS)], [(VERDICT, "pass")]);
    let both = [good[0], passed[0]];
    let none: [(&str, &str); 0] = [];
    for (host, path, headers, status) in [
        ("one.test", "/routed", &none[..], 401),
        ("one.test", "/nowhere", &none, 401),
        ("one.test", "/moved", &none, 401),
        ("one.test", "/both", &none, 401),
        ("one.test", "/routed", &good, 200),
        ("one.test", "/nowhere", &good, 404),
        ("one.test", "/moved", &good, 302),
        // The rule's own service is asked as well.
        ("one.test", "/both", &good, 402),
        ("one.test", "/both", &both, 200),
        // The route is that of the user whom the service has named, and its filters are what counts.
        ("one.test", "/user", &good, 200),
        ("one.test", "/inner", &good, 402),
        ("one.test", "/inner", &both, 200),
        // One after the other.
        ("a.two.test", "/routed", &none, 402),
        ("a.two.test", "/nowhere", &good, 402),
        ("a.two.test", "/routed", &passed, 401),
        ("a.two.test", "/routed", &both, 200),
        ("a.two.test", "/moved", &both, 302),
        ("set.test", "/set", &none, 402),
        ("set.test", "/nowhere", &good, 402),
        ("set.test", "/set", &passed, 200),
        ("broken.test", "/routed", &good, 500),
        ("broken.test", "/nowhere", &good, 500),
        ("broken.test", "/routed", &none, 401),
        ("open.test", "/routed", &none, 200),
        ("open.test", "/nowhere", &none, 404),
        ("open.test", "/user", &none, 404),
        ("open.test", "/both", &none, 402),
    ] {
        let answer = get(&fixture, host, path, headers).await?;
        assert_eq!(answer.status, status, "{host}{path} with {headers:?}: {}", answer.text());
    }
    drop((http.asked().take(), grpc.take_asked()));

    // Who is refused by the first is not asked about at the second, and who asks nobody is told to nobody.
    get(&fixture, "a.two.test", "/routed", &good).await?;
    get(&fixture, "open.test", "/routed", &both).await?;
    assert_eq!((http.asked().take().len(), grpc.take_asked().len()), (0, 1));
    get(&fixture, "set.test", "/set", &both).await?;
    assert_eq!((http.asked().take().len(), grpc.take_asked().len()), (0, 1));

    // A service may change the path, by which the route is chosen, and not the host.
    let recording = backend.record();
    let rerouted = [good[0], (VERDICT, "reroute")];
    assert_eq!(get(&fixture, "a.two.test", "/nowhere", &rerouted).await?.status, 200);
    let seen = recording.take();
    assert_eq!(seen.len(), 1);
    assert_eq!((seen[0].path(), seen[0].host.as_str()), ("/other", "a.two.test"));
    assert_eq!(seen[0].header("x-user"), Some("alice"));

    // A body goes on as it comes, without a limit.
    let large = vec![b'a'; 4 << 20];
    let post = request(Method::POST, "one.test", "/routed", &good, large.into())?;
    assert_eq!(send(fixture.address(), post).await?.status, 200);

    let told = fixture.told(
        "Gateway default/gw",
        "/listeners/2/conditions",
        "ResolvedRefs",
        "InvalidListenerFilterRef",
    );
    assert!(told.await?.contains("filters.requests[1].externalAuth.backendRef"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_of_listeners_come_break_heal_and_go_while_the_listener_stays() -> Result<()> {
    let (backend, http) = (EchoBackend::start("main").await?, AuthServer::start().await?);
    let gateway = |filters: &[(&str, &str)]| gateway_with("gw", "", &[listener("http", "", filters)]);
    let service = loopback_service("http", "TCP", http.address().port());
    let base = loopback_service("main", "TCP", backend.address().port()) + &routes();
    let files = [("gateway.yaml", &*gateway(&[])), ("base.yaml", &base), ("service.yaml", &service)];
    let fixture = Fixture::start(&files).await?;
    let good = [("authorization", PASS)];
    let listeners = || async {
        let stats = fixture.envoy("gw")?.get("/stats?filter=listener_manager").await?;
        anyhow::Ok(stats.text())
    };
    let until = async |headers: &[(&str, &str)], status: u16| {
        eventually(DEADLINE, || async {
            let answer = get(&fixture, "a.test", "/routed", headers).await?;
            ensure!(answer.status == status, "{} {}", answer.status, answer.text());
            Ok(())
        })
        .await
    };
    until(&[], 200).await?;
    let before = listeners().await?;
    fixture.save("gateway.yaml", &gateway(&[("HTTP", "http")]))?;
    until(&[], 401).await?;
    until(&good, 200).await?;
    assert_eq!(get(&fixture, "a.test", "/nowhere", &[]).await?.status, 401);
    fixture.delete("service.yaml")?;
    until(&good, 500).await?;
    assert_eq!(get(&fixture, "a.test", "/nowhere", &good).await?.status, 500);
    fixture.save("service.yaml", &service)?;
    until(&good, 200).await?;
    // Nobody answers any more.
    drop(http);
    until(&good, 403).await?;
    assert_eq!(get(&fixture, "a.test", "/moved", &good).await?.status, 403);
    fixture.save("gateway.yaml", &gateway(&[]))?;
    until(&[], 200).await?;
    assert_eq!(listeners().await?, before, "no listener has changed");
    Ok(())
}
