//! Streams: events are held back until it is certain what becomes of the text in them, and no longer.
//!
//! An event leaves as it came if nothing in it is masked. Where something stands in several events, the mask is in the
//! first of them, and the others lose their share of it. Events leave in their order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use super::body::{Edit, Masker, Side};
use super::channel::Channel;
use super::document::{Document, spliced};
use super::patterns::{Entity, Patterns};
use super::slots::Plan;
use crate::framing::event_stream::{EventStreamDecoder, write_message};
use crate::framing::json_array::{ArrayPart, ArraySplitter};
use crate::framing::raw_sse::{self, RawEvents, RawPart, data, with_data};

/// So many bytes of events are held back at most. If more are, what is in the first of them counts as settled.
pub const MAX_HELD_EVENTS: usize = 256 * 1024;

/// Why a stream cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StreamFault(pub &'static str);

const NOT_JSON: StreamFault = StreamFault("an event of the provider's stream is not valid JSON");
const TOO_LARGE: StreamFault = StreamFault("an event of the provider's stream is too large to be inspected");
const BROKEN: StreamFault = StreamFault("the provider's stream cannot be read");

/// How a stream is cut into events.
#[derive(Debug)]
pub(crate) enum Framing {
    /// Server-Sent Events.
    Sse,
    /// `application/vnd.amazon.eventstream`.
    Aws,
    /// JSON objects in an array, or one after another.
    Array,
}

#[derive(Debug)]
enum Source {
    Sse(RawEvents),
    Aws(EventStreamDecoder),
    Array(ArraySplitter),
}

/// An event as it came.
#[derive(Debug)]
enum Frame {
    Sse(Vec<u8>),
    Aws(Vec<(String, String)>),
    Element,
    /// What is no event.
    Bytes,
}

/// A string of an event that is a piece of a text.
#[derive(Debug)]
struct Slot {
    key: String,
    /// Where it stands in the text.
    piece: Range<usize>,
    /// Where it stands in the event, with its quotes.
    place: Range<usize>,
}

/// An event that is held back.
#[derive(Debug)]
struct Held {
    frame: Frame,
    payload: Vec<u8>,
    edits: Vec<Edit>,
    slots: Vec<Slot>,
}

/// Guards one stream.
#[derive(Debug)]
pub(crate) struct StreamGuard {
    source: Source,
    events: Events,
}

/// The events of a stream.
#[derive(Debug)]
struct Events {
    patterns: Arc<Patterns>,
    channels: BTreeMap<String, Channel>,
    held: VecDeque<Held>,
    bytes: usize,
    found: BTreeSet<Entity>,
    /// Whether the last Server-Sent Event ended with a carriage return.
    after_return: bool,
    /// Whether it was passed on at once, before what is held.
    is_last_passed: bool,
}

impl StreamGuard {
    pub(crate) fn new(patterns: Arc<Patterns>, framing: &Framing) -> Self {
        let source = match framing {
            Framing::Sse => Source::Sse(RawEvents::default()),
            Framing::Aws => Source::Aws(EventStreamDecoder::new()),
            Framing::Array => Source::Array(ArraySplitter::default()),
        };
        let events = Events {
            patterns,
            channels: BTreeMap::new(),
            held: VecDeque::new(),
            bytes: 0,
            found: BTreeSet::new(),
            after_return: false,
            is_last_passed: false,
        };
        Self { source, events }
    }

    /// What was found so far.
    pub(crate) fn found(&self) -> &BTreeSet<Entity> {
        &self.events.found
    }

    /// Takes in the next piece of the stream, and appends what may go on.
    ///
    /// # Errors
    /// It cannot be read. Nothing else may be sent then but what [`Self::finish`] gives and an error.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { source, events } = self;
        let mut result = Ok(());
        let mut take = |events: &mut Events, event: Result<(Frame, &[u8]), StreamFault>| {
            if result.is_ok() {
                result = event.and_then(|(frame, payload)| events.take(frame, payload, out));
            }
        };
        match source {
            Source::Sse(raw) => raw.push(piece, |part| match part {
                RawPart::Event(event) => take(events, Ok((Frame::Sse(event.to_vec()), &data(event)))),
                RawPart::Piece(_) => take(events, Err(TOO_LARGE)),
            }),
            Source::Aws(decoder) => {
                let decoded = decoder.push(piece, |message| {
                    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
                    let headers = message.headers.iter().map(own).collect();
                    take(events, Ok((Frame::Aws(headers), message.payload)));
                });
                result = result.and(decoded.map_err(|_| BROKEN));
            }
            Source::Array(splitter) => {
                let split = splitter.push(piece, |part| match part {
                    ArrayPart::Element(element) => take(events, Ok((Frame::Element, element))),
                    ArrayPart::Between(bytes) => take(events, Ok((Frame::Bytes, bytes))),
                });
                result = result.and(split.map_err(|_| TOO_LARGE));
            }
        }
        result
    }

    /// The stream has ended: appends what is left.
    ///
    /// # Errors
    /// It has ended in the middle of an event.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { source, events } = self;
        let result = match source {
            Source::Sse(raw) => {
                // Some providers end a stream without the blank line.
                let rest = raw.rest();
                let payload = data(&rest).into_owned();
                if rest.is_empty() { Ok(()) } else { events.take(Frame::Sse(rest), &payload, out) }
            }
            Source::Aws(decoder) if decoder.is_complete() => Ok(()),
            Source::Array(splitter) if splitter.is_complete() => Ok(()),
            Source::Aws(_) | Source::Array(_) => Err(BROKEN),
        };
        events.close("");
        events.release(out);
        result
    }
}

impl Events {
    fn take(&mut self, mut frame: Frame, payload: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        if let Frame::Sse(raw) = &mut frame {
            self.complete_last(raw, out);
        }
        self.is_last_passed = false;
        let held = match (&frame, payload.trim_ascii()) {
            (Frame::Bytes, bytes) => {
                // Elements that are no objects.
                if bytes.iter().any(|byte| !byte.is_ascii_whitespace() && !b"[],".contains(byte)) {
                    return Err(NOT_JSON);
                }
                Held::bare(frame, payload)
            }
            // A JSON text without `data:`, for one.
            (Frame::Sse(raw), _) if !raw_sse::lines(raw).all(|(line, _)| raw_sse::is_known(line)) => {
                return Err(NOT_JSON);
            }
            // Comments, which keep the connection alive.
            (Frame::Sse(raw), b"") if raw_sse::lines(raw).all(|(line, _)| is_comment(line)) => {
                out.extend_from_slice(raw);
                self.is_last_passed = true;
                return Ok(());
            }
            (Frame::Sse(_), b"") => Held::bare(frame, payload),
            (Frame::Sse(_), b"[DONE]") => {
                self.close("");
                Held::bare(frame, payload)
            }
            _ => self.read(frame, payload)?,
        };
        self.bytes += held.size();
        self.held.push_back(held);
        self.release(out);
        while self.bytes > MAX_HELD_EVENTS {
            let keys: Vec<String> = self
                .held
                .front()
                .into_iter()
                .flat_map(|held| &held.slots)
                .map(|slot| slot.key.clone())
                .collect();
            keys.iter().for_each(|key| self.close(key));
            self.release(out);
        }
        Ok(())
    }

    /// An event ends with its carriage return, since a line feed need not follow. One that does comes with the next event,
    /// and belongs to the last one.
    fn complete_last(&mut self, raw: &mut Vec<u8>, out: &mut Vec<u8>) {
        let after_return = std::mem::replace(&mut self.after_return, raw.last() == Some(&b'\r'));
        if !after_return || raw.first() != Some(&b'\n') {
            return;
        }
        raw.remove(0);
        match self.held.back_mut() {
            Some(Held { frame: Frame::Sse(last), .. }) if !self.is_last_passed => {
                last.push(b'\n');
                self.bytes += 1;
            }
            _ => out.push(b'\n'),
        }
    }

    /// Reads an event: masks what stands in it as a whole, and adds its pieces to their texts.
    fn read(&mut self, frame: Frame, payload: &[u8]) -> Result<Held, StreamFault> {
        let document = Document::parse(payload).map_err(|_| NOT_JSON)?;
        let is_aws = matches!(frame, Frame::Aws(_));
        // A model's own protocol in base64 (`invoke-with-response-stream`).
        if is_aws && document.member(0, "bytes").is_some() {
            return Err(BROKEN);
        }
        let plan = Plan::of(&document);
        let mut spared: BTreeSet<usize> = plan.slots.iter().map(|(index, _)| *index).collect();
        // Padding of a random length.
        let padding = document.items.iter().position(|item| item.container == Some(0) && item.name.is("p"));
        spared.extend(padding.filter(|_| is_aws).into_iter().flat_map(|at| [at, at + 1]));
        let mut masker = Masker { patterns: &self.patterns, side: Side::Response, found: BTreeSet::new() };
        let edits = masker.edits(&document, &spared);
        self.found.append(&mut masker.found);
        let mut slots = Vec::with_capacity(plan.slots.len());
        for (index, key) in plan.slots {
            let Some(item) = document.items.get(index) else { continue };
            let channel = self.channels.entry(key.clone()).or_insert_with(|| Channel::new(&key));
            let piece = channel.push(&document.decoded(item));
            slots.push(Slot { key, piece, place: item.range.clone() });
        }
        for slot in &slots {
            if let Some(channel) = self.channels.get_mut(&slot.key) {
                channel.settle(&self.patterns, false, &mut self.found);
            }
        }
        plan.closed.iter().for_each(|prefix| self.close(prefix));
        Ok(Held { frame, payload: payload.to_vec(), edits, slots })
    }

    /// The texts with this beginning of their keys go no further.
    fn close(&mut self, prefix: &str) {
        for (_, channel) in self.channels.iter_mut().filter(|(key, _)| key.starts_with(prefix)) {
            channel.settle(&self.patterns, true, &mut self.found);
        }
    }

    /// Gives out the events whose texts are settled, up to the first one of which that is not so.
    fn release(&mut self, out: &mut Vec<u8>) {
        let is_settled = |channels: &BTreeMap<String, Channel>, slot: &Slot| {
            channels.get(&slot.key).is_none_or(|channel| channel.settled() >= slot.piece.end)
        };
        while let Some(held) = self.held.front() {
            if !held.slots.iter().all(|slot| is_settled(&self.channels, slot)) {
                return;
            }
            let Some(mut held) = self.held.pop_front() else { return };
            self.bytes -= held.size();
            for Slot { key, piece, place } in std::mem::take(&mut held.slots) {
                let new = self.channels.get_mut(&key).and_then(|channel| channel.give(&piece));
                let new = new.map(|new| serde_json::to_vec(&new).unwrap_or_default());
                held.edits.extend(new.map(|new| (place, new)));
            }
            held.write(out);
        }
    }
}

/// Whether a line of an event is blank or a comment.
fn is_comment(line: &[u8]) -> bool {
    line.starts_with(b":") || line.trim_ascii().is_empty()
}

impl Held {
    /// One that leaves as it came.
    fn bare(frame: Frame, payload: &[u8]) -> Self {
        Self { frame, payload: payload.to_vec(), edits: Vec::new(), slots: Vec::new() }
    }

    /// How many bytes it came in. An event without data has some, too.
    fn size(&self) -> usize {
        match &self.frame {
            Frame::Sse(raw) => raw.len(),
            Frame::Aws(_) | Frame::Element | Frame::Bytes => self.payload.len(),
        }
    }

    fn write(mut self, out: &mut Vec<u8>) {
        let is_changed = !self.edits.is_empty();
        if is_changed {
            self.edits.sort_by_key(|(range, _)| range.start);
            self.payload = spliced(&self.payload, &self.edits);
        }
        match self.frame {
            Frame::Sse(raw) if is_changed => with_data(&raw, &self.payload, out),
            Frame::Sse(raw) => out.extend_from_slice(&raw),
            Frame::Aws(headers) => {
                let headers: Vec<_> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                // It has come in the same framing, and a mask is shorter than the limit of a message.
                let _ = write_message(out, &headers, &self.payload);
            }
            Frame::Element | Frame::Bytes => out.extend_from_slice(&self.payload),
        }
    }
}
