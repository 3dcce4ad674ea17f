//! A request of a listener whose body may be held back until it is whole, and looked at then.

use ai::exchange::Refusal;
use ai_config::Schema;

use crate::abi::{Body, Stream};
use crate::placement::{self, BodyStatus, HeadersStatus, HeldBody};

/// The request. `T` is what its body is read for.
#[derive(Debug)]
pub(crate) struct Holding<T> {
    /// The body, as far as it is held back.
    body: Vec<u8>,
    state: State<T>,
}

#[derive(Debug)]
enum State<T> {
    /// The body is read for this; a refusal has this schema.
    Reads(T, Schema),
    /// Everything passes.
    Passes,
    /// The request was answered here.
    Answered,
}

impl<T> Holding<T> {
    /// A request that passes.
    pub(crate) fn new() -> Self {
        Self { body: Vec::new(), state: State::Passes }
    }

    /// Nothing is done to the stream any more.
    pub(crate) fn give_up(&mut self) {
        self.state = State::Answered;
        self.body = Vec::new();
    }

    /// Answers the request.
    pub(crate) fn refuse(&mut self, stream: &mut Stream, refusal: &Refusal) -> HeadersStatus {
        self.give_up();
        stream.respond(refusal.status, refusal.content_type, &refusal.body, refusal.details);
        HeadersStatus::Stop
    }

    /// Holds the body back.
    pub(crate) fn hold(&mut self, stream: &Stream, read_for: T, schema: Schema) -> HeadersStatus {
        self.body = placement::room_for_body(stream);
        self.state = State::Reads(read_for, schema);
        HeadersStatus::Stop
    }

    /// A piece of the body has come. When it is whole, `look` says whether the request goes on.
    pub(crate) fn on_body(
        &mut self,
        stream: &mut Stream,
        limit: u32,
        end: bool,
        look: impl FnOnce(&mut Stream, &T, Schema, &[u8]) -> Result<(), Refusal>,
    ) -> BodyStatus {
        let (read_for, schema) = match &self.state {
            State::Reads(read_for, schema) => (read_for, *schema),
            State::Passes => return BodyStatus::Continue,
            State::Answered => return BodyStatus::Stop,
        };
        let looked = match placement::hold_body(&mut self.body, stream, limit, end) {
            HeldBody::Whole => look(stream, read_for, schema, &self.body),
            HeldBody::Part => return BodyStatus::Stop,
            HeldBody::TooLarge => Err(Refusal::too_large(schema, limit)),
        };
        if let Err(refusal) = looked {
            self.refuse(stream, &refusal);
            return BodyStatus::Stop;
        }
        self.state = State::Passes;
        stream.ensure_body(Body::Request, &std::mem::take(&mut self.body));
        BodyStatus::Continue
    }

    pub(crate) fn on_trailers(&mut self, stream: &mut Stream) -> HeadersStatus {
        match self.state {
            State::Passes => HeadersStatus::Continue,
            State::Answered => HeadersStatus::Stop,
            // The body has ended before the trailers; there is no piece of it any more to put all of it into.
            State::Reads(_, schema) => self.refuse(stream, &Refusal::with_trailers(schema)),
        }
    }
}
