//! What a provider answers, before it is put on the wire.

use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde_json::Value;
use tokio_stream::{StreamExt, iter};

use crate::server::Body;

/// What the mock model always says. The text is the one that the guides of both dialects print.
pub(super) const TEXT: &str = "Learning patterns from data to make predictions.\n";

/// An answer as pieces, each of which is sent by itself.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    content_type: &'static str,
    pieces: Vec<Bytes>,
}

impl Answer {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let body = format!("{body:#}\n").into();
        Self { status, content_type: "application/json; charset=UTF-8", pieces: vec![body] }
    }

    /// Several pieces that are one JSON document together.
    pub(super) fn json_pieces(pieces: Vec<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type: "application/json; charset=UTF-8", pieces }
    }

    /// Server-sent events; each piece is one whole event.
    pub(super) fn events(pieces: Vec<Bytes>) -> Self {
        Self { status: StatusCode::OK, content_type: "text/event-stream", pieces }
    }

    /// The response, with `pause` before every piece but the first.
    pub(super) fn into_response(self, pause: Duration) -> Response<Body> {
        let mut response = Response::new(match <[Bytes; 1]>::try_from(self.pieces) {
            Ok([only]) => Full::new(only).boxed_unsync(),
            Err(pieces) => stream(pieces, pause),
        });
        *response.status_mut() = self.status;
        let content_type = header::HeaderValue::from_static(self.content_type);
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        response
    }
}

fn stream(pieces: Vec<Bytes>, pause: Duration) -> Body {
    let frames = iter(pieces.into_iter().enumerate()).then(move |(index, piece)| async move {
        if index > 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        Ok(Frame::data(piece))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// The text in the pieces in which it is streamed: a few words each.
pub(super) fn text_pieces() -> Vec<&'static str> {
    let middle = TEXT.find("to make").unwrap_or_default();
    let (start, rest) = TEXT.split_at(middle);
    let (rest, end) = rest.split_at(rest.len() - "predictions.\n".len());
    vec![start, rest, end]
}

/// A stand-in for a tokenizer: a word, a punctuation mark and a line feed are one token each.
///
/// It agrees with the counts in the guides' example: 8 for the question, 9 for the answer.
pub(super) fn count_tokens(text: &str) -> usize {
    let mut tokens = 0;
    let mut in_word = false;
    for character in text.chars() {
        let word = character.is_alphanumeric();
        let starts_word = word && !in_word;
        let stands_alone = !word && (character == '\n' || !character.is_whitespace());
        tokens += usize::from(starts_word || stands_alone);
        in_word = word;
    }
    tokens
}
