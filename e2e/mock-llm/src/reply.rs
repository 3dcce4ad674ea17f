//! A request as the protocols read it, and a reply as they give it.

use std::io::Write as _;
use std::time::SystemTime;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::body::AnswerBody;
use crate::knobs::Knobs;
use crate::recording::Exchange;

/// A request that has arrived whole.
pub(crate) struct Request<'a> {
    pub(crate) head: &'a http::request::Parts,
    pub(crate) body: &'a [u8],
    pub(crate) now: SystemTime,
}

impl Request<'_> {
    /// The value of a header that is text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// The token of `Authorization: Bearer …`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The value of a query parameter, as it was sent.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let parameters = self.head.uri.query()?.split('&');
        parameters.filter_map(|one| one.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

/// What is sent back.
#[derive(Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    /// The events, and the one that reports an error in their middle.
    Stream(Vec<Bytes>, Bytes),
}

impl Reply {
    /// JSON in one piece.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json", body.to_string())
    }

    /// Text in one piece.
    pub(crate) fn plain(status: u16, body: &str) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body.to_owned())
    }

    /// Anything in one piece.
    pub(crate) fn bytes(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status, headers, content: Content::Whole(body.into()) }
    }

    /// A stream of events.
    pub(crate) fn stream(content_type: &str, events: Vec<Bytes>, error: Bytes) -> Self {
        let headers = vec![("content-type", content_type.to_owned())];
        Self { status: 200, headers, content: Content::Stream(events, error) }
    }

    /// The same with one more header.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// What goes to the connection.
    pub(crate) fn into_response(
        self,
        knobs: &Knobs,
        asked: &HeaderMap,
        exchange: Option<Exchange>,
    ) -> Response<AnswerBody> {
        let (body, is_zipped) = match (self.content, exchange) {
            (Content::Whole(bytes), exchange) => match zipped(&bytes, knobs, asked) {
                Some(zipped) => (AnswerBody::whole(zipped, exchange), true),
                None => (AnswerBody::whole(bytes, exchange), false),
            },
            (Content::Stream(events, error), Some(exchange)) => {
                (AnswerBody::stream(events, error, knobs, exchange), false)
            }
            // The admin endpoint has no streams.
            (Content::Stream(events, _), None) => (AnswerBody::whole(events.concat().into(), None), false),
        };
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::OK);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(HeaderName::from_static(name), value);
            }
        }
        if is_zipped {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        response
    }
}

fn zipped(bytes: &[u8], knobs: &Knobs, asked: &HeaderMap) -> Option<Bytes> {
    let accepted = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let accepts = accepted.flat_map(|value| value.split(',')).any(|coding| coding.trim().starts_with("gzip"));
    if !knobs.gzip || !accepts {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
