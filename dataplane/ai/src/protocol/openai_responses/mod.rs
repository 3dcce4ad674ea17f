//! OpenAI Responses.

pub(super) mod item_reader;
pub(super) mod request_reader;
pub(super) mod response_writer;
pub(super) mod stream_writer;

/// Marks encrypted content that stands for reasoning that is encrypted as a whole.
pub(super) const REDACTED: &str = "redacted";
