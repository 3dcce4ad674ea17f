//! Bedrock Converse and ConverseStream.

pub(super) mod block_writer;
pub(super) mod request_writer;
pub(super) mod response_reader;
