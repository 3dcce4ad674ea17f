//! Anthropic Messages.

pub(super) mod block_reader;
pub(super) mod block_writer;
pub(super) mod request_reader;
pub(super) mod request_writer;
pub(super) mod response_reader;
pub(super) mod response_writer;
pub(super) mod thinking;
