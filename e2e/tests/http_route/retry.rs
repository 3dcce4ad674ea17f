//! Retries: which answers and failures lead to another attempt, how many there are, and which limit ends them.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::echo::{DELAY_HEADER, EchoBackend, STATUS_HEADER};
use e2e::fixture::own_place;
use http::{Method, StatusCode};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::scene::{Scene, route, service};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listed_codes_are_retried_as_often_as_the_rule_says() -> Result<()> {
    let rules = r#"
  - matches: [{path: {value: /three}}]
    retry: {codes: [500, 503], attempts: 3, backoff: 10ms}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /default}}]
    retry: {codes: [500]}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /weights}}]
    retry: {codes: [500], attempts: 2}
    backendRefs: [{name: main, port: 80, weight: 1}, {name: main, port: 80, weight: 3}]
  - backendRefs: [{name: main, port: 80}]"#;
    let scene = Scene::start(&["main"], rules).await?;
    for (path, status, attempts) in [
        ("/three", 500, 4),
        ("/three", 503, 4),
        ("/three", 502, 1),
        ("/three", 200, 1),
        ("/default", 500, 2),
        ("/weights", 500, 3),
        ("/without", 500, 1),
    ] {
        let before = scene.backends[0].served();
        let answer = scene.ask(Method::POST, path, &[(STATUS_HEADER, &status.to_string())]).await?;
        assert_eq!(answer.status, status, "{path}: the last answer is the client's");
        assert_eq!(scene.backends[0].served() - before, attempts, "{path} {status}");
    }
    scene.backends[0].fail_every(NonZeroU64::new(2).unwrap(), StatusCode::INTERNAL_SERVER_ERROR);
    for _ in 0..6 {
        assert_eq!(scene.get("/default").await?.status, 200, "the second attempt is answered well");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_takes_too_long_counts_as_failed_and_the_request_has_a_limit_of_its_own() -> Result<()>
{
    let rules = r#"
  - matches: [{path: {value: /attempts}}]
    retry: {attempts: 2, backoff: 1ms}
    timeouts: {backendRequest: 300ms}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /capped}}]
    retry: {attempts: 100, backoff: 1ms}
    timeouts: {request: 800ms, backendRequest: 300ms}
    backendRefs: [{name: main, port: 80}]"#;
    let scene = Scene::start(&["main"], rules).await?;
    let recording = scene.backends[0].record();
    let slow = [(DELAY_HEADER, "5000")];
    assert_eq!(scene.ask(Method::GET, "/attempts", &slow).await?.status, 504);
    assert_eq!(recording.take().len(), 3);
    let start = Instant::now();
    assert_eq!(scene.ask(Method::GET, "/capped", &slow).await?.status, 504);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let attempts = recording.take().len();
    assert!((2..=3).contains(&attempts), "{attempts} attempts");
    assert_eq!(scene.ask(Method::GET, "/attempts", &[(DELAY_HEADER, "20")]).await?.status, 200);
    Ok(())
}

/// A server that reads the beginning of a request and then closes the connection. Counts connections.
async fn breaking() -> Result<(u16, Arc<AtomicU64>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (port, count) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    Ok((port, count))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_have_been_processed_is_retried_and_what_may_have_been_is_not() -> Result<()> {
    let healthy = EchoBackend::start("healthy").await?;
    // Nobody listens there: connections are refused.
    let (_, refusing, _) = own_place()?;
    let (breaking, connections) = breaking().await?;
    let rules = r#"
  - matches: [{path: {value: /refused}}]
    retry: {attempts: 1, backoff: 1ms}
    backendRefs: [{name: half, port: 80}]
  - matches: [{path: {value: /broken}}]
    retry: {attempts: 3, backoff: 1ms}
    backendRefs: [{name: broken, port: 80}]"#;
    let objects = [
        route("route", "", rules),
        service("half", "", &[refusing, healthy.address().port()]),
        service("broken", "", &[breaking]),
    ];
    let scene = Scene::start_with(&objects.join("---\n")).await?;
    for _ in 0..20 {
        // Another endpoint is chosen for the second attempt.
        let answer = scene.ask(Method::POST, "/refused", &[]).await?;
        assert_eq!(answer.echo()?.identity, "healthy");
    }
    assert_eq!(scene.ask(Method::POST, "/broken", &[]).await?.status, 503);
    assert_eq!(connections.load(Ordering::Relaxed), 1, "the request may have been processed");
    Ok(())
}
