//! What the mock does when it is told to misbehave, and what it tells afterwards.

use std::io::Read as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use flate2::read::GzDecoder;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mock_llm::{Knobs, MockLlm};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{LIMIT, post, send};

const CHAT: &str = "/v1/chat/completions";

fn chat(stream: bool) -> Value {
    let messages = json!([{ "role": "user", "content": "one two three four five" }]);
    json!({ "model": "gpt-5.2", "messages": messages, "stream": stream })
}

#[tokio::test]
async fn a_forced_status_holds_for_as_many_requests() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.set_knobs(Knobs {
        status: Some(429),
        status_requests: Some(2),
        retry_after: Some(3),
        ..Knobs::default()
    });
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let answer = post(&mock, CHAT, &chat(false)).await?;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), Some("3"));
            assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [429, 429, 200]);
    Ok(())
}

#[tokio::test]
async fn a_cut_stream_breaks_after_its_pieces() -> Result<()> {
    let mock = MockLlm::start().await?;
    let whole = post(&mock, CHAT, &chat(true)).await?;
    assert!(!whole.broke);
    mock.change_knobs(|knobs| knobs.cut_after = Some(3));
    let cut = post(&mock, CHAT, &chat(true)).await?;
    assert!(cut.broke, "{}", cut.text());
    assert_eq!(cut.body(), whole.pieces[..3].concat(), "what was sent before must arrive");
    // An end on purpose is no client that left.
    assert!(mock.recording().all().iter().all(|request| !request.disconnected()));
    Ok(())
}

#[tokio::test]
async fn an_error_inside_the_stream_ends_it() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.change_knobs(|knobs| knobs.fail_after = Some(2));
    let failed = post(&mock, CHAT, &chat(true)).await?;
    assert!(!failed.broke);
    assert!(failed.events().last().unwrap()["error"]["message"].is_string(), "{}", failed.text());
    Ok(())
}

#[tokio::test]
async fn pieces_have_the_size_asked_for() -> Result<()> {
    let mock = MockLlm::start().await?;
    let whole = post(&mock, CHAT, &chat(true)).await?;
    mock.change_knobs(|knobs| knobs.piece_bytes = Some(10));
    let split = post(&mock, CHAT, &chat(true)).await?;
    assert_eq!(split.body(), whole.body());
    assert!(split.pieces.len() > whole.pieces.len(), "{} pieces", split.pieces.len());
    Ok(())
}

#[tokio::test]
async fn delays_are_kept() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.set_knobs(Knobs { delay_ms: 50, piece_delay_ms: 10, ..Knobs::default() });
    let started = Instant::now();
    let pieces = post(&mock, CHAT, &chat(true)).await?.pieces.len();
    assert!(pieces > 5 && started.elapsed() >= Duration::from_millis(50 + 10 * 5), "{:?}", started.elapsed());
    Ok(())
}

#[tokio::test]
async fn answers_are_zipped_for_those_who_take_it() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.change_knobs(|knobs| knobs.gzip = true);
    let plain = post(&mock, CHAT, &chat(false)).await?;
    assert_eq!(plain.header("content-encoding"), None);
    let headers = [("authorization", "Bearer k"), ("accept-encoding", "br, gzip")];
    let zipped = send(&mock, "POST", CHAT, &headers, chat(false).to_string()).await?;
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    GzDecoder::new(&zipped.body()[..]).read_to_string(&mut text)?;
    assert_eq!(text, plain.text());
    Ok(())
}

async fn leave_once_it_has_arrived(mock: &MockLlm, body: &Value) -> Result<()> {
    tokio::select! {
        answer = post(mock, CHAT, body) => panic!("there must be no end: {answer:?}"),
        seen = mock.recording().wait_for(LIMIT, |all| !all.is_empty()) => seen.map(|_| ()),
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_recorded() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.change_knobs(|knobs| knobs.stall_after = Some(2));
    leave_once_it_has_arrived(&mock, &chat(true)).await?;
    let seen = mock.recording().wait_for(LIMIT, |all| all.iter().any(|one| one.disconnected())).await?;
    assert!(!seen[0].answered());
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_before_the_headers_is_recorded() -> Result<()> {
    let mock = MockLlm::start().await?;
    mock.change_knobs(|knobs| knobs.delay_ms = 60_000);
    leave_once_it_has_arrived(&mock, &chat(false)).await?;
    mock.recording().wait_for(LIMIT, |all| all.iter().any(|one| one.disconnected())).await?;
    Ok(())
}

/// As Envoy speaks to it when it is told to.
#[tokio::test]
async fn http2_streams_are_cut_and_left_too() -> Result<()> {
    let mock = MockLlm::start().await?;
    let io = TokioIo::new(TcpStream::connect(mock.address()).await?);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<bytes::Bytes>>(TokioExecutor::new(), io).await?;
    let driver = tokio::spawn(connection);
    let uri = format!("http://{}{CHAT}", mock.address());
    let request = || {
        http::Request::post(&uri).header("authorization", "Bearer k").body(Full::from(chat(true).to_string()))
    };
    mock.change_knobs(|knobs| knobs.cut_after = Some(3));
    let cut = sender.send_request(request()?).await?.into_body().collect().await;
    assert!(cut.is_err(), "a stream that is cut is reset");

    mock.set_knobs(Knobs { stall_after: Some(1), ..Knobs::default() });
    let mut stalled = sender.send_request(request()?).await?.into_body();
    assert!(stalled.frame().await.is_some_and(|frame| frame.is_ok()));
    drop(stalled);
    mock.recording().wait_for(LIMIT, |all| all.iter().any(|one| one.disconnected())).await?;
    let last = mock.recording().last().unwrap();
    assert_eq!((last.version, last.host()), (http::Version::HTTP_2, mock.address().to_string().as_str()));
    driver.abort();
    Ok(())
}

#[tokio::test]
async fn programs_that_are_not_in_rust_can_do_all_of_it() -> Result<()> {
    let mock = MockLlm::start().await?;
    let admin = |method: &'static str, path: &'static str, body: &'static str| {
        let mock = &mock;
        async move { send(mock, method, path, &[], body.to_owned()).await }
    };
    let set = admin("PUT", "/__knobs", r#"{"status": 529}"#).await?;
    assert_eq!((set.status, mock.knobs().status), (200, Some(529)));
    assert_eq!(admin("PUT", "/__knobs", r#"{"stauts": 529}"#).await?.status, 400);
    let path = "/v1/messages?beta=true";
    let answer = post(&mock, path, &json!({})).await?;
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (529, &json!("overloaded_error")));

    let recorded = admin("GET", "/__requests", "").await?.json();
    assert_eq!(recorded.as_array().map(Vec::len), Some(1));
    assert_eq!((&recorded[0]["path"], &recorded[0]["body"]), (&json!(path), &json!("{}")));
    assert!(recorded[0]["headers"].as_array().unwrap().contains(&json!(["x-api-key", "k"])));
    assert_eq!(admin("DELETE", "/__requests", "").await?.json(), json!({ "deleted": 1 }));
    assert_eq!(admin("GET", "/__requests?disconnected=1&within_ms=20", "").await?.json(), json!([]));
    Ok(())
}
