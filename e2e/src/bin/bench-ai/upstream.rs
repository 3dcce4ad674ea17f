//! Providers that know their answers beforehand: one that answers, and one that answers 429.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::bodies::{self, Size};
use crate::wire::{Wire, header};

/// The header by which a client says what it wants, with its colon.
pub(crate) const WANTED: &str = "x-bench:";

/// Whole answers, as pieces that are written one by one: an event of a stream is a piece of its own.
type Answer = Arc<Vec<Vec<u8>>>;

/// All answers of one protocol, by [`Size::index`].
#[derive(Debug)]
struct Answers {
    openai: Vec<Answer>,
    gemini: Vec<Answer>,
}

/// Starts the provider that answers.
pub(crate) async fn start() -> Result<SocketAddr> {
    let all = [Size::Small, Size::Medium, Size::Large, Size::Stream, Size::Idle];
    let of = |gemini| all.iter().map(|size| pieces(*size, &bodies::answer(*size, gemini))).collect();
    let answers = Arc::new(Answers { openai: of(false), gemini: of(true) });
    serve(move |head| {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let is_gemini = line.windows(15).any(|part| part.eq_ignore_ascii_case(b"generateContent"));
        let set = if is_gemini { &answers.gemini } else { &answers.openai };
        let index = header(head, WANTED).and_then(|value| value.first()).map_or(0, |digit| digit - b'0');
        set.get(usize::from(index)).cloned().unwrap_or_default()
    })
    .await
}

/// Starts the provider that refuses.
pub(crate) async fn start_refusing() -> Result<SocketAddr> {
    let body = r#"{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#;
    let head = "HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length:";
    let answer = Arc::new(vec![format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()]);
    serve(move |_| answer.clone()).await
}

fn pieces(size: Size, body: &[String]) -> Answer {
    if size.is_stream() {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = |event: &String| format!("{:x}\r\n{event}\r\n", event.len()).into_bytes();
        let end = (size == Size::Stream).then(|| b"0\r\n\r\n".to_vec());
        let pieces = std::iter::once(head.into()).chain(body.iter().map(chunk)).chain(end);
        return Arc::new(pieces.collect());
    }
    let body = body.concat();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
    Arc::new(vec![format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()])
}

async fn serve(answer: impl Fn(&[u8]) -> Answer + Clone + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a port")?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                // A connection that ends early has shown at the client.
                let _ = connection(stream, answer).await;
            });
        }
    });
    Ok(address)
}

async fn connection(stream: TcpStream, answer: impl Fn(&[u8]) -> Answer) -> Result<()> {
    let mut wire = Wire::new(stream)?;
    while let Some((head, _)) = wire.message().await? {
        for piece in answer(&head).iter() {
            wire.stream.write_all(piece).await?;
        }
    }
    Ok(())
}
