//! A client that shows an answer as it came: piece by piece, and whether it ended well.

use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use mock_llm::MockLlm;
use serde_json::Value;
use tokio::net::TcpStream;

/// Nothing on loopback takes this long.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) pieces: Vec<Bytes>,
    /// Whether the connection broke before the end.
    pub(crate) broke: bool,
}

impl Answer {
    pub(crate) fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body()).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The data of server-sent events that are JSON.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.filter_map(|data| serde_json::from_str(data).ok()).collect()
    }
}

/// Sends a request on a connection of its own, with a credential of every kind, and reads to the end.
pub(crate) async fn post(mock: &MockLlm, path: &str, body: &Value) -> Result<Answer> {
    let headers = [
        ("authorization", "Bearer k"),
        ("x-api-key", "k"),
        ("anthropic-version", "2023-06-01"),
        ("x-goog-api-key", "k"),
        ("api-key", "k"),
    ];
    send(mock, "POST", path, &headers, body.to_string()).await
}

/// Sends a request with these headers only.
pub(crate) async fn send(
    mock: &MockLlm,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<Answer> {
    let mut request = Request::builder().method(method).uri(path).header("host", "mock");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let io = TcpStream::connect(mock.address()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection);
    let read = async {
        let response = sender.send_request(request.body(Full::<Bytes>::from(body))?).await?;
        let (head, mut body) = response.into_parts();
        let (mut pieces, mut broke) = (Vec::new(), false);
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => pieces.extend(frame.into_data()),
                Err(_) => broke = true,
            }
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, pieces, broke })
    };
    let answer = tokio::time::timeout(LIMIT, read).await?;
    driver.abort();
    answer
}
