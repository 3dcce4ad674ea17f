//! How a stream is cut into events, and events are put together again.

use super::document::Document;
use crate::framing::event_stream::{EventStreamDecoder, write_message};
use crate::framing::json_array::{ArrayPart, ArraySplitter};
use crate::framing::raw_sse::{self, RawEvents, RawPart, data, with_data};

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamFault(pub &'static str);

pub(super) const NOT_JSON: StreamFault = StreamFault("an event of the provider's stream is not valid JSON");
pub(super) const BROKEN: StreamFault = StreamFault("the provider's stream cannot be read");
const TOO_LARGE: StreamFault = StreamFault("an event of the provider's stream is too large to be inspected");

/// The data of the event that ends a stream of OpenAI's.
pub(super) const DONE: &[u8] = b"[DONE]";

/// How a stream is cut into events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Server-Sent Events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    Aws,
    /// JSON objects in an array, or one after another.
    Array,
}

/// An event as it came.
#[derive(Debug)]
pub(super) enum Frame {
    Sse(Vec<u8>),
    Aws(Vec<(String, String)>),
    Element,
    /// What is no event.
    Bytes,
}

/// Cuts a stream into its events.
#[derive(Debug)]
pub(super) enum Frames {
    Sse(RawEvents),
    Aws(EventStreamDecoder),
    Array(ArraySplitter),
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(RawEvents::default()),
            Framing::Aws => Self::Aws(EventStreamDecoder::new()),
            Framing::Array => Self::Array(ArraySplitter::default()),
        }
    }

    /// Takes in the next piece of the stream; `take` gets each event with its payload, until it fails.
    ///
    /// # Errors
    /// The stream cannot be read, or `take` fails.
    pub(super) fn push(
        &mut self,
        piece: &[u8],
        mut take: impl FnMut(Frame, &[u8]) -> Result<(), StreamFault>,
    ) -> Result<(), StreamFault> {
        let mut result = Ok(());
        let mut next = |event: Result<(Frame, &[u8]), StreamFault>| {
            if result.is_ok() {
                result = event.and_then(|(frame, payload)| take(frame, payload));
            }
        };
        match self {
            Self::Sse(raw) => raw.push(piece, |part| match part {
                RawPart::Event(event) => next(Ok((Frame::Sse(event.to_vec()), &data(event)))),
                RawPart::Piece(_) => next(Err(TOO_LARGE)),
            }),
            Self::Aws(decoder) => {
                let decoded = decoder.push(piece, |message| {
                    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                    let headers = message.headers.iter().map(own).collect();
                    next(Ok((Frame::Aws(headers), message.payload)));
                });
                result = result.and(decoded.map_err(|_| BROKEN));
            }
            Self::Array(splitter) => {
                let split = splitter.push(piece, |part| match part {
                    ArrayPart::Element(element) => next(Ok((Frame::Element, element))),
                    ArrayPart::Between(bytes) => next(Ok((Frame::Bytes, bytes))),
                });
                result = result.and(split.map_err(|_| TOO_LARGE));
            }
        }
        result
    }

    /// The stream has ended; `take` gets what is left of it.
    ///
    /// # Errors
    /// It has ended in the middle of an event, or `take` fails.
    pub(super) fn finish(
        &mut self,
        mut take: impl FnMut(Frame, &[u8]) -> Result<(), StreamFault>,
    ) -> Result<(), StreamFault> {
        match self {
            Self::Sse(raw) => {
                // Some providers end a stream without the blank line.
                let rest = raw.rest();
                let payload = data(&rest).into_owned();
                if rest.is_empty() { Ok(()) } else { take(Frame::Sse(rest), &payload) }
            }
            Self::Aws(decoder) if decoder.is_complete() => Ok(()),
            Self::Array(splitter) if splitter.is_complete() => Ok(()),
            Self::Aws(_) | Self::Array(_) => Err(BROKEN),
        }
    }
}

/// The JSON of an event; `None` if it holds nothing that a client would show: a comment, the end of a stream, or what stands
/// between elements of an array.
///
/// # Errors
/// It cannot be read.
pub(super) fn readable<'a>(frame: &Frame, payload: &'a [u8]) -> Result<Option<Document<'a>>, StreamFault> {
    match (frame, payload.trim_ascii()) {
        // Elements that are no objects.
        (Frame::Bytes, bytes) => {
            let is_between = bytes.iter().all(|byte| byte.is_ascii_whitespace() || b"[],".contains(byte));
            if is_between { Ok(None) } else { Err(NOT_JSON) }
        }
        // A JSON text without `data:`, for one.
        (Frame::Sse(raw), _) if !raw_sse::lines(raw).all(|(line, _)| raw_sse::is_known(line)) => {
            Err(NOT_JSON)
        }
        (Frame::Sse(_), b"" | DONE) => Ok(None),
        _ => {
            let document = Document::parse(payload).map_err(|_| NOT_JSON)?;
            // A model's own protocol in base64 (`invoke-with-response-stream`).
            if matches!(frame, Frame::Aws(_)) && document.member(0, "bytes").is_some() {
                return Err(BROKEN);
            }
            Ok(Some(document))
        }
    }
}

impl Frame {
    /// How many bytes an event with this payload came in. One without data has some, too.
    pub(super) fn size(&self, payload: &[u8]) -> usize {
        match self {
            Self::Sse(raw) => raw.len(),
            Self::Aws(_) | Self::Element | Self::Bytes => payload.len(),
        }
    }

    /// Whether it is an event in which there are comments and blank lines alone.
    pub(super) fn is_comment(&self) -> bool {
        let is_comment = |line: &[u8]| line.starts_with(b":") || line.trim_ascii().is_empty();
        matches!(self, Self::Sse(raw) if raw_sse::lines(raw).all(|(line, _)| is_comment(line)))
    }

    /// The items of its document that are padding of a random length.
    pub(super) fn padding(&self, document: &Document<'_>) -> impl Iterator<Item = usize> + use<> {
        let is_aws = matches!(self, Self::Aws(_));
        let name = document.items.iter().position(|item| item.container == Some(0) && item.name.is("p"));
        name.filter(|_| is_aws).into_iter().flat_map(|at| [at, at + 1])
    }

    /// Writes an event; `is_changed` says whether the payload is another than the one it came with.
    pub(super) fn write(&self, payload: &[u8], is_changed: bool, out: &mut Vec<u8>) {
        match self {
            Self::Sse(raw) if is_changed => with_data(raw, payload, out),
            Self::Sse(raw) => out.extend_from_slice(raw),
            Self::Aws(headers) => {
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                // It has come in the same framing; a text that is too long for a message loses the event.
                let _ = write_message(out, &headers, payload);
            }
            Self::Element | Self::Bytes => out.extend_from_slice(payload),
        }
    }
}
