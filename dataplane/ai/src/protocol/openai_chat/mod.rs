//! OpenAI chat completions.

pub(super) mod message_reader;
pub(super) mod message_writer;
pub(super) mod request_reader;
pub(super) mod request_writer;
pub(super) mod response_reader;
pub(super) mod response_writer;
