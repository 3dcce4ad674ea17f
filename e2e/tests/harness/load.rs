use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::http::eventually;
use e2e::load::{Failure, Load, LoadReport};
use http::StatusCode;

fn load(address: SocketAddr, rate: u32) -> Load {
    let rate = NonZeroU32::new(rate).unwrap();
    Load { address, host: "load.example".into(), path: "/".into(), rate }
}

/// Sends until `count` outcomes are known.
async fn outcomes(load: Load, count: u64) -> Result<LoadReport> {
    let running = load.start()?;
    eventually(Duration::from_secs(20), || async {
        let finished = running.progress().finished();
        ensure!(finished >= count, "{finished} outcomes");
        Ok(())
    })
    .await?;
    running.stop().await
}

#[tokio::test]
async fn a_healthy_backend_fails_no_request_and_connections_are_kept() {
    let backend = EchoBackend::start("blue").await.unwrap();
    let report = outcomes(load(backend.address(), 500), 200).await.unwrap();
    assert_eq!(report.failed(), 0, "{report}");
    assert_eq!(report.succeeded(), backend.served());
    assert!(report.connections < report.started / 4, "{report}");
}

#[tokio::test]
async fn every_bad_status_is_counted() {
    let backend = EchoBackend::start("blue").await.unwrap();
    backend.fail_every(NonZeroU64::new(10).unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    let report = outcomes(load(backend.address(), 500), 200).await.unwrap();
    assert_eq!(report.statuses[&503], backend.served() / 10);
    assert_eq!(report.failed(), backend.served() / 10);
    assert!(report.samples[0].contains("503"), "{report}");
}

#[tokio::test]
async fn a_refused_connection_is_a_failure() {
    let gone = EchoBackend::start("blue").await.unwrap();
    let address = gone.address();
    gone.stop().await;
    let report = outcomes(load(address, 100), 10).await.unwrap();
    assert_eq!(report.failures[&Failure::Connect], report.started, "{report}");
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_a_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut io, &mut [0; 16]).await;
        }
    });
    let report = outcomes(load(address, 100), 10).await.unwrap();
    assert_eq!(report.failures[&Failure::Broken], report.started, "{report}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_a_failure_after_five_seconds() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let running = load(address, 20).start().unwrap();
    eventually(Duration::from_secs(5), || async {
        ensure!(running.progress().started > 0, "nothing started");
        Ok(())
    })
    .await
    .unwrap();
    let report = running.stop().await.unwrap();
    assert_eq!(report.failures[&Failure::Timeout], report.started, "{report}");
    assert!(report.slowest >= Duration::from_secs(5));
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_while_idle_is_replaced() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Answers one request per connection, promises to keep it, and closes it all the same.
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            let _ = tokio::io::AsyncReadExt::read(&mut io, &mut [0; 1024]).await;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            let _ = tokio::io::AsyncWriteExt::write_all(&mut io, answer).await;
        }
    });
    let report = outcomes(load(address, 50), 20).await.unwrap();
    assert_eq!(report.failed(), 0, "{report}");
    assert_eq!(report.connections, report.started);
}
