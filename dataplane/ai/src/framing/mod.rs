//! How streamed answers are cut into events: Server-Sent Events and AWS event streams.
//!
//! Both parsers take bytes as the network delivers them and hold no more than one event.

pub mod event_stream;
pub(crate) mod json_array;
pub(crate) mod raw_sse;
pub mod sse;

/// Why a stream's framing could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramingError {
    /// An event is larger than the parser's limit, in bytes.
    TooLarge {
        /// The limit that was exceeded.
        limit: usize,
    },
    /// A message of an AWS event stream has a wrong checksum.
    Checksum,
    /// A message of an AWS event stream contradicts itself; the text says how.
    Malformed(&'static str),
}

impl std::fmt::Display for FramingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "an event of the stream exceeds {limit} bytes"),
            Self::Checksum => f.write_str("a message of the event stream has a wrong checksum"),
            Self::Malformed(what) => write!(f, "a message of the event stream is malformed: {what}"),
        }
    }
}

impl std::error::Error for FramingError {}

/// The media type of a content type in lower case, without parameters such as `charset`; empty if there is none.
pub(crate) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The largest event a parser accepts unless told otherwise: 1 MiB.
pub const DEFAULT_EVENT_LIMIT: usize = 1 << 20;
