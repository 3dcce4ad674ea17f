use e2e::echo::{DELAY_HEADER, Echo, EchoBackend, STATUS_HEADER};
use e2e::http::{Response, get, post_json};
use http::{Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

#[tokio::test]
async fn echoes_the_request_and_its_own_identity() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let body = json!({"a": 1});
    let answer =
        post_json(backend.address(), "one.example", "/p/q?x=y", &[("x-team", "red")], &body).await.unwrap();
    let echo: Echo = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!((&*echo.identity, &*echo.method, &*echo.path), ("blue", "POST", "/p/q?x=y"));
    assert_eq!((&*echo.host, &*echo.protocol, &*echo.body), ("one.example", "HTTP/1.1", r#"{"a":1}"#));
    assert_eq!(echo.headers["x-team"], ["red"]);
}

#[tokio::test]
async fn speaks_http2_with_prior_knowledge() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let io = tokio::net::TcpStream::connect(backend.address()).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://two.example/").body(Empty::<bytes::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), Version::HTTP_2);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let echo: Echo = serde_json::from_slice(&body).unwrap();
    assert_eq!((&*echo.host, &*echo.protocol), ("two.example", "HTTP/2.0"));
}

#[tokio::test]
async fn answers_with_the_status_and_the_delay_that_are_asked_for() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let started = Instant::now();
    let headers = [(STATUS_HEADER, "418"), (DELAY_HEADER, "80")];
    let answer = post_json(backend.address(), "a", "/", &headers, &json!({})).await.unwrap();
    assert_eq!(answer.status, 418);
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn records_only_once_asked_to() {
    let backend = EchoBackend::start("blue").await.unwrap();
    get(backend.address(), "a", "/before").await.unwrap();
    let recording = backend.record();
    get(backend.address(), "a", "/after").await.unwrap();
    let seen = recording.wait_for(1, Duration::from_secs(5)).await.unwrap();
    assert_eq!(seen.iter().map(|request| request.path()).collect::<Vec<_>>(), ["/after"]);
    assert_eq!(backend.served(), 2);
}

/// Starts an exchange that takes `delay_ms`, and returns once the backend has seen it.
async fn open_exchange(
    backend: &EchoBackend,
    delay_ms: &'static str,
) -> JoinHandle<anyhow::Result<Response>> {
    let (address, recording) = (backend.address(), backend.record());
    let headers = [(DELAY_HEADER, delay_ms)];
    let exchange = tokio::spawn(async move { post_json(address, "a", "/", &headers, &json!({})).await });
    recording.wait_for(1, Duration::from_secs(5)).await.unwrap();
    exchange
}

#[tokio::test]
async fn a_stop_lets_open_exchanges_end() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let exchange = open_exchange(&backend, "100").await;
    backend.stop().await;
    assert_eq!(exchange.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn a_drop_cuts_open_exchanges_off() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let exchange = open_exchange(&backend, "2000").await;
    drop(backend);
    assert!(exchange.await.unwrap().is_err());
}

#[tokio::test]
async fn many_backends_share_one_host_and_each_ends_with_its_handle() {
    let mut backends = Vec::new();
    for index in 0..20 {
        backends.push(EchoBackend::start(&format!("backend-{index}")).await.unwrap());
    }
    for (index, backend) in backends.iter().enumerate() {
        let echo = get(backend.address(), "a", "/").await.unwrap().json().unwrap();
        assert_eq!(echo["identity"], format!("backend-{index}"));
    }
    let addresses: Vec<_> = backends.iter().map(EchoBackend::address).collect();
    drop(backends);
    for address in addresses {
        e2e::http::eventually(Duration::from_secs(5), || async move {
            match get(address, "a", "/").await {
                Ok(answer) => Err(anyhow::anyhow!("still answers {}", answer.status)),
                Err(_) => Ok(()),
            }
        })
        .await
        .unwrap();
    }
}
