//! How many tokens an attempt has come to. What the provider has not told is estimated: a stream that is cut before its end, or
//! whose provider tells nothing, has been paid for all the same.

use super::Exchange;
use crate::prices::Spent;
use crate::usage::{BYTES_PER_TOKEN, Usage};

/// What of an answer the provider has not told the tokens of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Untold {
    /// Whether the provider has accepted the request: its answer is none of errors.
    is_accepted: bool,
    /// Whether the answer has come to its end.
    is_whole: bool,
    /// The events of a stream since it told how many tokens there were; each has about one.
    events: u64,
    /// The bytes of an answer that is no stream.
    bytes: usize,
}

impl Untold {
    /// The answer begins.
    pub(super) fn begin(&mut self, status: u16) {
        self.is_accepted = (200..300).contains(&status);
    }

    /// An event has come, which perhaps told of tokens.
    pub(super) fn event(&mut self, tells: bool) {
        self.events = if tells { 0 } else { self.events.saturating_add(1) };
    }

    /// A piece of an answer that is no stream has come.
    pub(super) fn piece(&mut self, piece: &[u8]) {
        self.bytes = self.bytes.saturating_add(piece.len());
    }

    /// The answer has come to its end.
    pub(super) fn end(&mut self) {
        self.is_whole = true;
    }
}

impl Exchange {
    /// How many tokens the attempt has come to so far.
    pub fn tokens(&self) -> u64 {
        self.spent(self.usage()).map_or(0, |spent| spent.usage.total())
    }

    /// Whether the provider has done something with a model for which it has told no tokens, such as speech.
    pub fn is_billed_unknown(&self) -> bool {
        let is_billed = self.untold.is_accepted && self.is_post && self.operation.asks_model();
        is_billed && self.spent(self.usage()).is_none()
    }

    /// The tokens that the attempt is billed for so far, of which the provider has told these; `None` if it is billed for
    /// none, or nobody knows for how many.
    pub(super) fn spent(&self, told: Option<Usage>) -> Option<Spent> {
        let Untold { is_accepted, is_whole, events, bytes } = self.untold;
        let events = self.translation.as_ref().map_or(events, |translation| translation.untold_events());
        let writes_text = self.operation.writes_text();
        match told {
            Some(usage) if is_whole || !writes_text => Some(Spent { usage, is_estimated: false }),
            None if !is_accepted || !writes_text => None,
            _ => {
                let told = told.unwrap_or_default();
                let untold = events.saturating_add(tokens_of(bytes));
                let usage = Usage {
                    prompt: Some(told.prompt.unwrap_or_else(|| tokens_of(self.request_bytes))),
                    completion: Some(told.completion.unwrap_or_default().saturating_add(untold)),
                    ..told
                };
                Some(Spent { usage, is_estimated: untold > 0 || told.prompt.is_none() })
            }
        }
    }
}

fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(BYTES_PER_TOKEN)
}
