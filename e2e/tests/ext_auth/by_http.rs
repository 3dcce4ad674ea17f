//! A service that is asked by HTTP.

use anyhow::Result;
use e2e::auth_server::{AuthServer, PASS};
use e2e::manifests::loopback_service;
use http::Method;

use super::world::{World, asks, extension};

/// Headers of a request that passes, with what a client might try.
const GOOD: [(&str, &str); 4] =
    [("authorization", PASS), ("x-user", "root"), ("cookie", "session=1"), ("x-other", "2")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_passes_with_what_the_service_says_and_is_refused_with_its_words() -> Result<()> {
    let service = AuthServer::start().await?;
    let objects = [
        loopback_service("auth", "TCP", service.address().port()),
        extension("plain", "httpService: {backendRef: {name: auth, port: 80}}"),
        extension(
            "rich",
            "headersToForward: [cookie], httpService: {backendRef: {name: auth, port: 80}, pathPrefix: /verify, \
             authorizationRequest: {headersToAdd: {x-gateway: '100%% ours'}}, authorizationResponse: {headersToBackend: \
             [x-user], headersToClient: [x-reason], headersToClientOnSuccess: [x-reason]}}",
        ),
        asks("plain", ""),
        asks("rich", ""),
    ]
    .concat();
    let world = World::start(&["plain", "rich", "open"], &objects).await?;
    let recording = world.backend.record();

    assert_eq!(world.get("/open", &[]).await?.status, 200);
    assert_eq!(service.asked().count(), 0, "no route has asked");

    let answer = world.get("/plain/a?b=c", &GOOD).await?;
    let echo = answer.echo()?;
    assert_eq!(answer.status, 200);
    assert_eq!(echo.headers["x-user"], ["root"], "no header of the answer was asked for");
    assert!(answer.header("x-reason").is_none());
    let asked = service.asked().take();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((asked.path_and_query(), asked.host.as_str()), ("/plain/a?b=c", "a.test"));
    assert_eq!(asked.header("content-length"), Some("0"));
    assert!(asked.header("cookie").is_none() && asked.header("x-other").is_none(), "{asked:?}");

    let answer = world.ask(Method::POST, "/rich", &GOOD, "body").await?;
    let echo = answer.echo()?;
    assert_eq!((echo.path.as_str(), echo.host.as_str(), echo.body.as_str()), ("/rich", "a.test", "body"));
    assert_eq!(echo.headers["x-user"], ["alice"], "the service says who it is");
    assert!(!echo.headers.contains_key("x-hidden") && !echo.headers.contains_key("x-gateway"));
    assert_eq!(answer.header("x-reason"), Some("because"));
    let asked = service.asked().take();
    let [asked] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((asked.method.as_str(), asked.path()), ("POST", "/verify/rich"));
    assert_eq!(asked.header("cookie"), Some("session=1"));
    assert_eq!(asked.header("x-gateway"), Some("100% ours"));
    assert!(asked.header("x-other").is_none() && asked.body.is_empty(), "{asked:?}");

    drop(recording.take());
    for (path, hidden) in [("/plain", Some("1")), ("/rich", None)] {
        let answer = world.get(path, &[("authorization", "wrong"), ("x-user", "root")]).await?;
        assert_eq!((answer.status, answer.text().as_str()), (401, "who are you?"), "{path}");
        assert_eq!(answer.header("x-reason"), Some("because"), "{path}");
        assert_eq!(answer.header("x-hidden"), hidden, "{path}");
    }
    assert!(recording.take().is_empty(), "the backend was asked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_are_sent_up_to_a_limit_and_go_on_whole() -> Result<()> {
    let service = AuthServer::start().await?;
    let backend = "httpService: {backendRef: {name: auth, port: 80}}";
    let objects = [
        loopback_service("auth", "TCP", service.address().port()),
        extension("whole", &format!("{backend}, withRequestBody: {{maxRequestBytes: 200000}}")),
        extension(
            "part",
            &format!("{backend}, withRequestBody: {{maxRequestBytes: 100000, allowPartialMessage: true}}"),
        ),
        extension("policy", backend),
        asks("whole", ""),
        asks("part", ""),
        asks("policy", ", withRequestBody: {maxRequestBytes: 4}"),
    ]
    .concat();
    let world = World::start(&["whole", "part", "policy"], &objects).await?;
    // More than a connection buffers by itself (32 KiB).
    let large = "0123456789".repeat(15_000);
    let larger = "0123456789".repeat(25_000);
    for (path, body, sent) in [
        ("/whole", "", Some(0)),
        ("/whole", "abcd", Some(4)),
        ("/whole", large.as_str(), Some(large.len())),
        ("/whole", larger.as_str(), None),
        ("/part", "abcd", Some(4)),
        ("/part", large.as_str(), Some(100_000)),
        ("/policy", "abcd", Some(4)),
        ("/policy", "abcde", None),
    ] {
        let what = format!("{path} with {} bytes", body.len());
        let answer = world.ask(Method::POST, path, &GOOD, body.to_owned()).await?;
        let asked = service.asked().take();
        match sent {
            Some(sent) => {
                assert_eq!(answer.status, 200, "{what}: {}", answer.text());
                assert!(answer.echo()?.body == body, "{what}: the backend gets the whole body");
                let [asked] = &asked[..] else { panic!("{what}: {asked:?}") };
                assert_eq!(asked.body.len(), sent, "{what}");
                assert_eq!(asked.header("content-length"), Some(sent.to_string().as_str()), "{what}");
            }
            None => {
                assert_eq!(answer.status, 413, "{what}: {}", answer.text());
                assert!(asked.is_empty(), "{what}: {asked:?}");
            }
        }
    }
    Ok(())
}
