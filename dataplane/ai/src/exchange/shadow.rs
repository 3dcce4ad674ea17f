//! Guards in shadow mode: what they would do is reported, and nothing of the request or the answer is changed, held back or
//! refused.

use super::Exchange;
use crate::guard::{AnswerGuard, AnswerKind, Finding, Verdict};

/// The guards of an attempt that are in shadow mode.
#[derive(Debug, Default)]
pub(super) struct Shadow {
    /// A copy of the request's body, as far as it has passed, where nobody else holds it.
    body: Vec<u8>,
    /// What is found in the request, once that is known.
    request: Option<Finding>,
    /// Looks at a copy of the answer.
    answer: Option<AnswerGuard>,
}

impl Shadow {
    /// What is found in the request.
    pub(super) fn request(&self) -> Option<&Finding> {
        self.request.as_ref()
    }

    /// What is found in the answer so far.
    pub(super) fn answer(&self) -> Option<Finding> {
        self.answer.as_ref().map(AnswerGuard::finding)
    }
}

impl Exchange {
    /// The head of the request says that its body cannot be read.
    pub(super) fn shadow_cannot_read(&mut self) {
        if self.policy.guard.shadow_request.is_some() {
            self.note_shadow(Finding::nothing(Verdict::Unreadable));
        }
    }

    /// The whole body of the request is there.
    pub(super) fn shadow_request(&mut self, body: &[u8]) {
        let policy = self.policy.clone();
        let Some(guard) = policy.guard.shadow_request.as_ref().filter(|_| self.shadow.request.is_none())
        else {
            return;
        };
        let unreadable = Finding::nothing(Verdict::Unreadable);
        self.note_shadow(guard.inspect(body).map_or(unreadable, |(finding, _)| finding));
    }

    /// A piece of a request passes that nobody holds back.
    pub fn request_passes(&mut self, piece: &[u8]) {
        self.watch_request(piece);
        if self.policy.guard.shadow_request.is_none() || self.shadow.request.is_some() {
            return;
        }
        let limit = usize::try_from(self.cluster.max_request_bytes).unwrap_or(usize::MAX);
        if self.shadow.body.len().saturating_add(piece.len()) > limit {
            self.shadow_cannot_read();
        } else {
            self.shadow.body.extend_from_slice(piece);
        }
    }

    /// A request that nobody holds back has passed whole.
    pub fn request_has_passed(&mut self) {
        if self.has_body {
            let body = std::mem::take(&mut self.shadow.body);
            self.shadow_request(&body);
        }
    }

    fn note_shadow(&mut self, finding: Finding) {
        self.shadow.request = Some(finding);
        self.shadow.body = Vec::new();
    }

    /// The answer begins.
    pub(super) fn shadow_begins(&mut self, kind: AnswerKind) {
        let patterns = self.policy.guard.shadow_response.clone();
        self.shadow.answer = patterns.map(|patterns| AnswerGuard::new(patterns, kind));
    }

    /// A piece of the answer passes.
    pub(super) fn shadow_piece(&mut self, piece: &[u8]) {
        if let Some(guard) = &mut self.shadow.answer {
            // Why a stream would end here is part of the finding.
            let _ = guard.push(piece, &mut Vec::new());
        }
    }

    /// The answer has passed whole.
    pub(super) fn shadow_ends(&mut self, rest: &[u8]) {
        self.shadow_piece(rest);
        if let Some(guard) = &mut self.shadow.answer {
            let _ = guard.finish(&mut Vec::new());
        }
    }
}
