use super::answer::{Answer, Collector, Event, StopReason, Usage};
use super::endpoint::{StreamReader, StreamWriter, read_answer, write_answer};
use super::error::ApiError;
use super::provider_error;
use super::signature::Tagger;
use super::{ClientProtocol, MAX_FINISH_REASONS, ProviderProtocol, RequestContext};
use crate::framing::event_stream::{EventStreamDecoder, Message};
use crate::framing::sse::SseParser;
use crate::framing::{FramingError, media_type};

/// The largest answer that is taken as a whole unless told otherwise: 64 MiB.
const DEFAULT_BODY_LIMIT: usize = 64 << 20;

/// Translates the answer to one request.
///
/// An answer as a whole is kept until its end; a stream is translated event by event.
#[derive(Debug)]
pub struct ResponseTranslator {
    source: Source,
    output: Output,
}

/// What comes from the provider.
#[derive(Debug)]
enum Source {
    Whole { body: Vec<u8>, limit: usize },
    Sse(SseParser, StreamReader),
    EventStream(EventStreamDecoder, StreamReader),
}

/// What goes to the client.
#[derive(Debug)]
struct Output {
    client: ClientProtocol,
    provider: ProviderProtocol,
    context: RequestContext,
    status: u16,
    tagger: Tagger,
    sink: Sink,
    usage: Option<Usage>,
    /// How many events have come since the usage was told.
    untold_events: u64,
    /// The model that answers, if the provider says so.
    model: Option<String>,
    /// Why the choices have ended.
    finish_reasons: Vec<&'static str>,
    /// The answer has ended, well or not; nothing follows.
    ended: bool,
    failed: bool,
}

#[derive(Debug)]
enum Sink {
    Stream(Box<StreamWriter>),
    Whole(Collector),
}

impl ResponseTranslator {
    /// A translator of the answer that begins with this status and content type.
    pub fn new(
        client: ClientProtocol,
        provider: ProviderProtocol,
        context: RequestContext,
        status: u16,
        content_type: &str,
    ) -> Self {
        let is_error = !(200..300).contains(&status);
        let sink = if context.stream && !is_error {
            Sink::Stream(Box::new(StreamWriter::new(client, &context)))
        } else {
            Sink::Whole(Collector::default())
        };
        let reader = || StreamReader::new(provider, &context);
        let source = match media_type(content_type).as_str() {
            "text/event-stream" if !is_error => Source::Sse(SseParser::new(), reader()),
            "application/vnd.amazon.eventstream" if !is_error => {
                Source::EventStream(EventStreamDecoder::new(), reader())
            }
            // Some hosts label a stream as plain text, or not at all.
            "" | "text/plain" | "application/octet-stream" if context.stream && !is_error => match provider {
                ProviderProtocol::BedrockConverse => Source::EventStream(EventStreamDecoder::new(), reader()),
                _ => Source::Sse(SseParser::new(), reader()),
            },
            _ => Source::Whole { body: Vec::new(), limit: DEFAULT_BODY_LIMIT },
        };
        let tagger = Tagger::new(client, provider);
        let output = Output {
            client,
            provider,
            context,
            status,
            tagger,
            sink,
            usage: None,
            untold_events: 0,
            model: None,
            finish_reasons: Vec::new(),
            ended: false,
            failed: false,
        };
        Self { source, output }
    }

    /// Accepts answers of up to `limit` bytes if they come as a whole.
    #[must_use]
    pub fn with_body_limit(mut self, new: usize) -> Self {
        if let Source::Whole { limit, .. } = &mut self.source {
            *limit = new;
        }
        self
    }

    /// Whether the client gets a stream. If not, everything is written by [`Self::finish`].
    pub fn is_stream(&self) -> bool {
        matches!(self.output.sink, Sink::Stream(_))
    }

    /// The content type of what is written.
    pub fn content_type(&self) -> &'static str {
        if self.is_stream() && !self.output.context.json_array {
            "text/event-stream"
        } else {
            "application/json"
        }
    }

    /// The status for the client. That of an answer as a whole is known after [`Self::finish`]: an
    /// answer that cannot be read becomes 502.
    pub fn status(&self) -> u16 {
        self.output.status
    }

    /// What the provider reported as used so far.
    pub fn usage(&self) -> Option<Usage> {
        self.output.usage
    }

    /// How many events of the stream have come since its usage was told.
    pub fn untold_events(&self) -> u64 {
        self.output.untold_events
    }

    /// The model that answers, if the provider has said so.
    pub fn model(&self) -> Option<&str> {
        self.output.model.as_deref()
    }

    /// Why the choices that have ended so far have done so, in the words of [`finish_reason`](super::finish_reason).
    pub fn finish_reasons(&self) -> &[&'static str] {
        &self.output.finish_reasons
    }

    /// Whether the client was told of an error instead of (the rest of) the answer.
    pub fn failed(&self) -> bool {
        self.output.failed
    }

    /// Takes the next bytes of the provider's answer and appends what follows from them to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Self { source, output } = self;
        if output.ended {
            return;
        }
        let result = match source {
            Source::Whole { body, limit } if body.len() + bytes.len() > *limit => {
                Err(FramingError::TooLarge { limit: *limit })
            }
            Source::Whole { body, .. } => {
                body.extend_from_slice(bytes);
                Ok(())
            }
            Source::Sse(parser, reader) => {
                parser.push(bytes, |event| output.read(reader, event.event.unwrap_or(""), event.data, out))
            }
            Source::EventStream(decoder, reader) => {
                decoder.push(bytes, |message| output.message(reader, &message, out))
            }
        };
        if let Err(error) = result {
            output.event(Event::Error(ApiError::upstream(error.to_string())), out);
        }
    }

    /// Ends the answer: the provider has closed its side. Does nothing when called again.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Self { source, output } = self;
        match source {
            Source::Whole { body, .. } if !output.ended => output.whole(&std::mem::take(body), out),
            Source::Whole { .. } => (),
            Source::Sse(parser, reader) => {
                // The blank line after the last event is missing at some hosts; what parses is whole.
                if let Some((name, data)) = parser.finish().filter(|(_, data)| is_whole(data)) {
                    output.read(reader, name.as_deref().unwrap_or(""), &data, out);
                }
                output.end(reader, out);
            }
            Source::EventStream(_, reader) => output.end(reader, out),
        }
        output.close(out);
    }
}

fn is_whole(data: &str) -> bool {
    data.trim() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

impl Output {
    fn read(&mut self, reader: &mut StreamReader, name: &str, data: &str, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        reader.event(name, data, &mut events);
        self.events(events, out);
    }

    fn message(&mut self, reader: &mut StreamReader, message: &Message<'_>, out: &mut Vec<u8>) {
        if message.message_type() != "event" {
            let error = provider_error::of_exception(message.kind(), message.payload);
            self.event(Event::Error(error), out);
            return;
        }
        match std::str::from_utf8(message.payload) {
            Ok(data) => self.read(reader, message.kind(), data, out),
            Err(_) => {
                let error = ApiError::upstream("an event of the provider's stream is not UTF-8");
                self.event(Event::Error(error), out);
            }
        }
    }

    fn end(&mut self, reader: &mut StreamReader, out: &mut Vec<u8>) {
        let mut events = Vec::new();
        reader.end(&mut events);
        self.events(events, out);
    }

    fn events(&mut self, events: Vec<Event>, out: &mut Vec<u8>) {
        for event in events {
            self.event(event, out);
        }
    }

    fn event(&mut self, mut event: Event, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        match &event {
            Event::Start { model: Some(model), .. } => self.model = Some(model.clone()),
            Event::Stop { reason, .. } => self.note_end(reason),
            _ => (),
        }
        if let Event::Stop { reason: StopReason::Failed(name), .. } = &event
            && self.client != ClientProtocol::Gemini
        {
            event = Event::Error(unusable(name));
        }
        self.tagger.event(&mut event);
        match &event {
            Event::Usage(usage) => {
                self.usage = Some(*usage);
                self.untold_events = 0;
            }
            Event::Error(_) => {
                self.failed = true;
                self.ended = true;
            }
            Event::Done => self.ended = true,
            _ => (),
        }
        if !matches!(event, Event::Usage(_)) {
            self.untold_events = self.untold_events.saturating_add(1);
        }
        match &mut self.sink {
            Sink::Stream(writer) => {
                if let Err(error) = writer.event(event, out) {
                    self.failed = true;
                    self.ended = true;
                    // Writing an error does not fail.
                    let _ = writer.event(Event::Error(error), out);
                }
            }
            Sink::Whole(collector) => {
                if let Err(error) = collector.take(event) {
                    self.write_error(&error, out);
                }
            }
        }
    }

    fn note_end(&mut self, reason: &StopReason) {
        if self.finish_reasons.len() < MAX_FINISH_REASONS {
            self.finish_reasons.push(reason.name());
        }
    }

    /// An answer that came as a whole.
    fn whole(&mut self, body: &[u8], out: &mut Vec<u8>) {
        if !(200..300).contains(&self.status) {
            let error = provider_error::read(self.status, body);
            self.event(Event::Error(error), out);
            return;
        }
        match read_answer(self.provider, body, &self.context) {
            Ok(answer) if matches!(self.sink, Sink::Stream(_)) => self.events(answer.into_events(), out),
            Ok(mut answer) => {
                self.tagger.answer(&mut answer);
                self.usage = answer.usage;
                self.model.clone_from(&answer.model);
                answer.choices.iter().for_each(|choice| self.note_end(&choice.stop));
                self.ended = true;
                self.write_answer(answer, out);
            }
            Err(error) => self.event(Event::Error(error), out),
        }
    }

    /// Writes what a stream said, for a client that asked for the answer as a whole.
    fn close(&mut self, out: &mut Vec<u8>) {
        let Sink::Whole(collector) = &mut self.sink else { return };
        let answer = std::mem::take(collector).finish();
        if !self.failed && !answer.choices.is_empty() {
            self.write_answer(answer, out);
        }
    }

    fn write_answer(&mut self, answer: Answer, out: &mut Vec<u8>) {
        let failure = answer.choices.iter().find_map(|choice| match &choice.stop {
            StopReason::Failed(name) if self.client != ClientProtocol::Gemini => Some(unusable(name)),
            _ => None,
        });
        let written = match failure {
            Some(error) => Err(error),
            None => write_answer(self.client, answer, &self.context),
        };
        match written {
            Ok(map) => map.write(out),
            Err(error) => {
                self.failed = true;
                self.write_error(&error, out);
            }
        }
    }

    fn write_error(&mut self, error: &ApiError, out: &mut Vec<u8>) {
        if (200..300).contains(&self.status) {
            self.status = error.status;
        }
        error.body(self.client).write(out);
    }
}

fn unusable(name: &str) -> ApiError {
    ApiError::upstream(format!("the model's answer is of no use: {name}"))
}
