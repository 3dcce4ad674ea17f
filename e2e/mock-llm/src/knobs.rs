//! What a test can change while the mock runs.

use serde::{Deserialize, Serialize};

use crate::sigv4::AwsKey;

/// The behaviours; all off by default. As JSON for `PUT /__knobs`, which replaces all of them.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// Answer with this status, in the provider's own form of an error.
    pub status: Option<u16>,
    /// For how many requests `status` holds; for all when absent. Counts down as they arrive.
    pub status_requests: Option<u64>,
    /// Repeat the request's credentials in the message of a forced status, as no provider should.
    pub echo_credentials: bool,
    /// Seconds for the header `retry-after` of a forced status.
    pub retry_after: Option<u64>,
    /// How long to wait before the headers.
    pub delay_ms: u64,
    /// How long to wait between two pieces of a stream.
    pub piece_delay_ms: u64,
    /// Cut the connection after this many pieces of a stream.
    pub cut_after: Option<usize>,
    /// Go silent after this many pieces of a stream, and leave the connection open.
    pub stall_after: Option<usize>,
    /// Report an error inside the stream after this many pieces, as the provider does, and end.
    pub fail_after: Option<usize>,
    /// Split a stream into pieces of so many bytes, wherever that falls; else a piece is an event.
    pub piece_bytes: Option<usize>,
    /// The keys that are let in (API keys, bearer tokens); any key when absent, but there must be one.
    pub keys: Option<Vec<String>>,
    /// The AWS keys by which signatures are verified; a signature only has to be there when absent.
    pub aws_keys: Option<Vec<AwsKey>>,
    /// Ignore fields and combinations that the provider refuses.
    pub lenient: bool,
    /// Compress answers in one piece for clients that accept gzip.
    pub gzip: bool,
}

impl Knobs {
    /// What holds for the request that has just arrived; counts it.
    pub(crate) fn take_for_request(&mut self) -> Self {
        let mut now = self.clone();
        match &mut self.status_requests {
            Some(0) => now.status = None,
            Some(left) => *left -= 1,
            None => {}
        }
        now
    }
}
