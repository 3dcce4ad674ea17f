//! Answers: as a whole, or as streams.

use std::sync::Arc;

use super::body::{self, Side};
use super::frames::Framing;
use super::patterns::Patterns;
use super::stream::StreamGuard;
use super::{Finding, Verdict, names, unlabelled};

/// The largest answer that is inspected as a whole, in bytes.
pub const MAX_ANSWER: usize = 16 * 1024 * 1024;

// Why an answer does not pass.
pub(super) const TOO_LARGE: &str = "the provider's answer is too large to be inspected";
pub(super) const NO_JSON: &str = "the provider's answer is not valid JSON";
pub(super) const NO_TEXT: &str = "the provider's answer is no text";

/// What an answer is, as its head says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnswerKind {
    /// A stream.
    Stream(Framing),
    /// JSON, as a whole.
    Json,
    /// Something else, as a whole; perhaps a stream that does not say so.
    Other,
    /// It cannot be read, for this reason.
    Unreadable(&'static str),
}

impl AnswerKind {
    /// How it is cut into events, if it is a stream.
    pub(crate) fn framing(self) -> Option<Framing> {
        match self {
            Self::Stream(framing) => Some(framing),
            Self::Json | Self::Other | Self::Unreadable(_) => None,
        }
    }
}

/// Guards one answer.
#[derive(Debug)]
pub(crate) struct AnswerGuard {
    patterns: Arc<Patterns>,
    state: State,
    verdict: Verdict,
    names: std::collections::BTreeSet<String>,
}

#[derive(Debug)]
enum State {
    Stream(Box<StreamGuard>),
    Whole {
        body: Vec<u8>,
        is_json: bool,
    },
    /// Nothing more passes.
    Faulty(&'static str),
    Ended,
}

impl AnswerGuard {
    pub(crate) fn new(patterns: Arc<Patterns>, kind: AnswerKind) -> Self {
        let state = match kind {
            AnswerKind::Stream(framing) => {
                State::Stream(Box::new(StreamGuard::new(patterns.clone(), framing)))
            }
            AnswerKind::Json => State::Whole { body: Vec::new(), is_json: true },
            AnswerKind::Other => State::Whole { body: Vec::new(), is_json: false },
            AnswerKind::Unreadable(why) => State::Faulty(why),
        };
        Self { patterns, state, verdict: Verdict::Passed, names: std::collections::BTreeSet::new() }
    }

    /// Whether nothing of the answer, its head included, may go on before it has ended.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole { .. } | State::Faulty(_))
    }

    /// What has come of it so far.
    pub(crate) fn finding(&self) -> Finding {
        let (mut verdict, mut names) = (self.verdict, self.names.clone());
        if let State::Stream(stream) = &self.state
            && !stream.found().is_empty()
        {
            verdict = Verdict::Masked;
            names = super::names(&self.patterns, stream.found());
        }
        Finding { verdict, names }
    }

    /// Takes in a piece of the answer, and appends what may go on.
    ///
    /// # Errors
    /// The stream must end here, for this reason.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        match &mut self.state {
            State::Stream(stream) => match stream.push(piece, out) {
                Ok(()) => Ok(()),
                Err(fault) => {
                    // What came before the fault is whole.
                    let _ = stream.finish(out);
                    self.end_stream(Some(fault.0))
                }
            },
            State::Whole { body, .. } if body.len() + piece.len() > MAX_ANSWER => {
                self.state = State::Faulty(TOO_LARGE);
                Ok(())
            }
            State::Whole { body, .. } => {
                body.extend_from_slice(piece);
                Ok(())
            }
            State::Faulty(_) | State::Ended => Ok(()),
        }
    }

    /// The answer has ended: appends what is left.
    ///
    /// # Errors
    /// The answer must not pass, for this reason.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), &'static str> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Stream(mut stream) => {
                let result = stream.finish(out);
                self.state = State::Stream(stream);
                self.end_stream(result.err().map(|fault| fault.0))
            }
            State::Whole { body, is_json } => match self.inspect(&body, is_json) {
                Ok(new) => {
                    out.extend_from_slice(new.as_deref().unwrap_or(&body));
                    Ok(())
                }
                Err(why) => self.fail(why),
            },
            State::Faulty(why) => self.fail(why),
            State::Ended => Ok(()),
        }
    }

    fn fail(&mut self, why: &'static str) -> Result<(), &'static str> {
        self.verdict = Verdict::Unreadable;
        Err(why)
    }

    fn end_stream(&mut self, fault: Option<&'static str>) -> Result<(), &'static str> {
        let Finding { verdict, names } = self.finding();
        (self.verdict, self.names, self.state) = (verdict, names, State::Ended);
        fault.map_or(Ok(()), |why| self.fail(why))
    }

    fn inspect(&mut self, body: &[u8], is_json: bool) -> Result<Option<Vec<u8>>, &'static str> {
        if body.is_empty() {
            return Ok(None);
        }
        let (new, found) = if is_json {
            body::masked(body, &self.patterns, Side::Response).map_err(|_| NO_JSON)?
        } else {
            unlabelled::masked(body, &self.patterns)?
        };
        if !found.is_empty() {
            self.verdict = Verdict::Masked;
            self.names = names(&self.patterns, &found);
        }
        Ok(new)
    }
}
