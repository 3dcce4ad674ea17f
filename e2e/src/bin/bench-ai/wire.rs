//! HTTP/1.1 as far as both ends of the benchmark need it: heads are found, bodies are passed over.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Read at a time.
const PIECE: usize = 256 * 1024;

/// The end of a body in chunks. Nothing that is sent here has these bytes inside.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Length(usize),
    Chunks,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Wire {
    /// For writing.
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    /// Takes over a connection.
    pub(crate) fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Reads a whole message; its head, and how long its body was on the wire. `None` if the peer has closed.
    pub(crate) async fn message(&mut self) -> Result<Option<(Vec<u8>, usize)>> {
        let Some(head) = self.head().await? else { return Ok(None) };
        let length = match body_of(&head)? {
            Body::Length(length) => self.pass(length).await?,
            Body::Chunks => self.pass_chunks().await?,
        };
        Ok(Some((head, length)))
    }

    /// Reads a head. What has come of the body stays.
    pub(crate) async fn head(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
            if self.more().await? == 0 {
                ensure!(self.buffer.is_empty(), "the connection ended inside of a head");
                return Ok(None);
            }
        }
    }

    /// Waits until some of the body has come.
    pub(crate) async fn body_begins(&mut self) -> Result<()> {
        while self.buffer.is_empty() {
            ensure!(self.more().await? > 0, "the connection ended");
        }
        Ok(())
    }

    async fn more(&mut self) -> Result<usize> {
        self.buffer.reserve(4096);
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }

    async fn pass(&mut self, length: usize) -> Result<usize> {
        while self.buffer.len() < length {
            self.buffer.reserve(length.min(PIECE));
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the connection ended inside of a body"
            );
        }
        self.buffer.drain(..length);
        Ok(length)
    }

    async fn pass_chunks(&mut self) -> Result<usize> {
        let mut passed = 0;
        while !self.buffer.ends_with(LAST_CHUNK) {
            let keep = self.buffer.len().min(LAST_CHUNK.len());
            passed += self.buffer.len() - keep;
            self.buffer.drain(..self.buffer.len() - keep);
            self.buffer.reserve(PIECE);
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "the connection ended inside of a body"
            );
        }
        passed += self.buffer.len();
        self.buffer.clear();
        Ok(passed)
    }
}

/// The value of a header, by its name in lower case with the colon.
pub(crate) fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n')
        .find(|line| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes())))
        .and_then(|line| line.get(name.len()..))
        .map(<[u8]>::trim_ascii)
}

fn body_of(head: &[u8]) -> Result<Body> {
    if let Some(length) = header(head, "content-length:") {
        return Ok(Body::Length(std::str::from_utf8(length)?.parse().context("a length")?));
    }
    match header(head, "transfer-encoding:") {
        Some(b"chunked") => Ok(Body::Chunks),
        _ => bail!("a message without a length: {}", String::from_utf8_lossy(head)),
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
