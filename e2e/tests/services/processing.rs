//! `extProc`: a service sees requests and answers, and changes them.

use anyhow::Result;
use e2e::http::closed_port;
use e2e::manifests::loopback_service;
use http::Method;

use super::processor::{DO, FORGED, Processor};
use super::world::{BACKEND, World, extension, of_route, policy};

/// A policy of a route whose messages an extension sees.
fn shows(route: &str, extension: &str, more: &str) -> String {
    of_route(route, &format!("extProc: {{extensionRef: {{name: {extension}}}{more}}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_changes_headers_and_bodies_as_far_as_it_sees_them() -> Result<()> {
    let service = Processor::start().await?;
    let slow = format!("{BACKEND}, messageTimeout: 5s");
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("a", "extProc", &slow),
        extension("skips", "extProc", &format!("{slow}, processingMode: {{requestHeaderMode: SKIP}}")),
        shows("headers", "a", ""),
        shows("streamed", "a", ", processingMode: {requestBodyMode: STREAMED, responseBodyMode: STREAMED}"),
        shows("whole", "a", ", processingMode: {requestBodyMode: BUFFERED, responseBodyMode: BUFFERED}"),
        shows(
            "full",
            "a",
            ", processingMode: {requestBodyMode: FULL_DUPLEX_STREAMED, responseBodyMode: FULL_DUPLEX_STREAMED, requestTrailerMode: \
             SEND, responseTrailerMode: SEND}",
        ),
        shows("skips", "skips", ""),
    ]
    .concat();
    let routes = ["headers", "streamed", "whole", "full", "skips", "open"];
    let world = World::start(&routes, &objects).await?;
    let recording = world.backend.record();

    let answer =
        world.ask(Method::POST, "/headers?a=b", &[("x-secret", "s"), ("x-user", "root")], "body").await?;
    assert_eq!((answer.status, answer.header("x-processed")), (200, Some("yes")), "{}", answer.text());
    let echo = answer.echo()?;
    assert_eq!((echo.path.as_str(), echo.body.as_str()), ("/headers?a=b", "body"));
    assert_eq!(echo.headers["x-user"], ["alice"]);
    assert!(!echo.headers.contains_key("x-secret"));
    assert_eq!(service.take_seen(), ["request /headers?a=b", "response 200"]);

    for (path, what) in [("/streamed", "capitals"), ("/whole", "capitals"), ("/full", "full")] {
        drop(recording.take());
        let answer = world.ask(Method::POST, path, &[(DO, what)], "what is sent").await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let text = answer.text();
        assert!(text.contains("\"BODY\":\"WHAT IS SENT\""), "{path}: the answer is in capitals, too: {text}");
        let received = recording.take();
        let [received] = &received[..] else { panic!("{path}: {received:?}") };
        assert_eq!(received.body, "WHAT IS SENT", "{path}");
        let seen = service.take_seen();
        assert!(seen.iter().any(|line| line.starts_with("request body 12 ")), "{path}: {seen:?}");
    }

    let answer = world.get("/skips", &[("x-secret", "s")]).await?;
    assert_eq!((answer.status, answer.header("x-processed")), (200, Some("yes")));
    assert_eq!(answer.echo()?.headers["x-secret"], ["s"]);
    assert_eq!(service.take_seen(), ["response 200"]);
    assert_eq!(world.get("/open", &[]).await?.header("x-processed"), None);
    assert_eq!(service.take_seen(), Vec::<String>::new());

    drop(recording.take());
    let answer = world.get("/headers", &[(DO, "refuse")]).await?;
    assert_eq!((answer.status, answer.text().as_str()), (402, "not you"));
    assert_eq!(answer.header("x-reason"), Some("because"));
    assert!(recording.take().is_empty(), "the backend was asked");
    Ok(())
}

/// More than a connection buffers by itself (32 KiB).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_bodies_are_held_up_to_a_mebibyte() -> Result<()> {
    let service = Processor::start().await?;
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension(
            "a",
            "extProc",
            &format!("{BACKEND}, messageTimeout: 5s, processingMode: {{requestBodyMode: BUFFERED}}"),
        ),
        shows("request", "a", ""),
        shows("response", "a", ", processingMode: {responseBodyMode: BUFFERED}"),
    ]
    .concat();
    let world = World::start(&["request", "response"], &objects).await?;
    let large = "abcdefghij".repeat(50_000);
    let answer = world.ask(Method::POST, "/request", &[(DO, "capitals")], large.clone()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.echo()?.body == large.to_uppercase());
    let too_large = "abcdefghij".repeat(120_000);
    assert_eq!(world.ask(Method::POST, "/request", &[(DO, "capitals")], too_large).await?.status, 413);
    let answer = world.ask(Method::POST, "/response", &[], large.clone()).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(&large.to_uppercase()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_cannot_change_what_frames_or_names_a_message() -> Result<()> {
    let service = Processor::start().await?;
    let rights = "rbac: {policy: {matchExpressions: [\"request.headers['x-admin'] == '1'\"]}}";
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("a", "extProc", &format!("{BACKEND}, messageTimeout: 5s")),
        extension("keeps", "extProc", &format!("{BACKEND}, messageTimeout: 5s, routeCacheAction: Retain")),
        shows("a", "a", ""),
        shows("keeps", "keeps", ""),
        of_route("other", &format!("{rights}, faultInjection: {{abort: {{httpStatus: 418}}}}")),
    ]
    .concat();
    let world = World::start(&["a", "keeps", "other"], &objects).await?;
    let answer = world.ask(Method::POST, "/a", &[(DO, "forge")], "body").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let echo = answer.echo()?;
    assert_eq!((echo.host.as_str(), echo.body.as_str()), ("a.test", "body"));
    assert_eq!(echo.headers["x-user"], ["alice"], "the rest is carried out");
    assert!(echo.headers.values().flatten().all(|value| value != FORGED), "{:?}", echo.headers);

    // Another route may follow, whose filters behind the service are passed: a fault is made there.
    assert_eq!(world.get("/a", &[(DO, "reroute")]).await?.status, 418);
    let answer = world.get("/keeps", &[(DO, "reroute")]).await?;
    assert_eq!((answer.status, answer.echo()?.path.as_str()), (200, "/other"), "the path, and not the route");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_lets_nothing_pass_unless_it_may() -> Result<()> {
    let service = Processor::start().await?;
    let away = "grpcService: {backendRef: {name: away, port: 80}}";
    let objects = [
        loopback_service("service", "TCP", service.port()),
        loopback_service("away", "TCP", closed_port()?),
        extension("a", "extProc", BACKEND),
        extension("away", "extProc", away),
        extension("open", "extProc", &format!("{away}, failOpen: true")),
        shows("a", "a", ""),
        shows("away", "away", ""),
        shows("open", "open", ""),
        shows("missing", "absent", ""),
    ]
    .concat();
    let world = World::start(&["a", "away", "open", "missing", "plain"], &objects).await?;
    let recording = world.backend.record();
    for (path, what, status) in [
        ("/away", "", 500),
        ("/a", "fail", 500),
        ("/a", "hang", 504),
        ("/missing", "", 500),
        ("/open", "", 200),
        ("/plain", "", 200),
    ] {
        drop(recording.take());
        let answer = world.get(path, &[(DO, what)]).await?;
        assert_eq!(answer.status, status, "{path} {what}: {}", answer.text());
        assert_eq!(recording.take().len(), usize::from(status == 200), "{path} {what}");
    }
    let told =
        world.fixture.told("TrafficPolicy default/missing", "/ancestors/0/conditions", "Accepted", "Invalid");
    assert!(told.await?.contains("spec.extProc.extensionRef"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateways_service_sees_all_routes_but_those_that_say_otherwise() -> Result<()> {
    let service = Processor::start().await?;
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("all", "extProc", &format!("{BACKEND}, messageTimeout: 5s")),
        policy("Gateway", "gw", "extProc: {extensionRef: {name: all}}"),
        of_route("unseen", "extProc: {disable: {}}"),
    ]
    .concat();
    let world = World::start(&["seen", "unseen"], &objects).await?;
    let listeners = world.listeners().await?;
    for (path, seen) in [("/seen", Some("yes")), ("/unseen", None)] {
        assert_eq!(world.get(path, &[]).await?.header("x-processed"), seen, "{path}");
    }
    world.fixture.save("policies.yaml", "")?;
    e2e::http::eventually(e2e::fixture::DEADLINE, || async {
        let answer = world.get("/seen", &[]).await?;
        anyhow::ensure!(answer.status == 200 && answer.header("x-processed").is_none());
        Ok(())
    })
    .await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    Ok(())
}
