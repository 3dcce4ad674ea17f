//! The body of an answer: whole, or piece by piece with the troubles that the knobs ask for.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use crate::knobs::Knobs;
use crate::recording::Exchange;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    Cut,
    Stall,
}

/// The body of every answer.
#[derive(Debug)]
pub(crate) struct AnswerBody {
    pieces: VecDeque<Bytes>,
    end: End,
    delay: Duration,
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether the pause before the next piece is over.
    paused: bool,
    exact: Option<u64>,
    exchange: Option<Exchange>,
}

impl AnswerBody {
    /// A body that is sent at once, with its length.
    pub(crate) fn whole(bytes: Bytes, exchange: Option<Exchange>) -> Self {
        let exact = Some(bytes.len() as u64);
        let pieces = VecDeque::from([bytes]);
        // Nothing may come of an empty body: then it is at its end already.
        if let (Some(0), Some(exchange)) = (exact, &exchange) {
            exchange.end();
        }
        Self { pieces, end: End::Complete, delay: Duration::ZERO, pause: None, paused: true, exact, exchange }
    }

    /// A stream of `events`; `error` is what the provider sends when it fails in the middle.
    pub(crate) fn stream(events: Vec<Bytes>, error: Bytes, knobs: &Knobs, exchange: Exchange) -> Self {
        let mut pieces: VecDeque<Bytes> = match knobs.piece_bytes {
            Some(size) if size > 0 => events.concat().chunks(size).map(Bytes::copy_from_slice).collect(),
            _ => events.into(),
        };
        let mut end = End::Complete;
        if let Some(after) = knobs.fail_after.filter(|after| *after < pieces.len()) {
            pieces.truncate(after);
            pieces.push_back(error);
        }
        let limits = [(knobs.cut_after, End::Cut), (knobs.stall_after, End::Stall)];
        for (after, kind) in limits {
            // After the last piece too: a stream whose end never comes.
            if let Some(after) = after {
                pieces.truncate(after);
                end = kind;
            }
        }
        let delay = Duration::from_millis(knobs.piece_delay_ms);
        Self { pieces, end, delay, pause: None, paused: true, exact: None, exchange: Some(exchange) }
    }

    fn ended(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.end();
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.paused {
            let delay = self.delay;
            let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(delay)));
            if !delay.is_zero() && pause.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if delay.is_zero() {
                // The connection flushes while it waits for us: every piece is written by itself, and none
                // is lost when the connection is cut.
                context.waker().wake_by_ref();
                self.pause = None;
                self.paused = true;
                return Poll::Pending;
            }
            self.pause = None;
            self.paused = true;
        }
        if let Some(piece) = self.pieces.pop_front() {
            self.paused = self.exact.is_some();
            // Clients may close at the last piece, before the end of the body: they have all.
            if self.pieces.is_empty() && self.end == End::Complete {
                self.ended();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.end {
            End::Complete => {
                self.ended();
                Poll::Ready(None)
            }
            End::Cut => {
                self.ended();
                Poll::Ready(Some(Err(io::Error::other("cut on purpose"))))
            }
            // Woken by nobody; dropped when the client goes.
            End::Stall => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.exact.is_some() && self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        match self.exact {
            Some(_) => SizeHint::with_exact(self.pieces.iter().map(|piece| piece.len() as u64).sum()),
            None => SizeHint::default(),
        }
    }
}
