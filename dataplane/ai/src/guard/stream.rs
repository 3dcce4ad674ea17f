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
use super::frames::{DONE, Frame, Frames, Framing, StreamFault, readable};
use super::patterns::{Entity, Patterns};
use super::slots::Plan;
use super::texts::quoted;

/// So many bytes of events are held back at most. If more are, what is in the first of them counts as settled.
pub const MAX_HELD_EVENTS: usize = 256 * 1024;

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
    frames: Frames,
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
    pub(crate) fn new(patterns: Arc<Patterns>, framing: Framing) -> Self {
        let events = Events {
            patterns,
            channels: BTreeMap::new(),
            held: VecDeque::new(),
            bytes: 0,
            found: BTreeSet::new(),
            after_return: false,
            is_last_passed: false,
        };
        Self { frames: Frames::new(framing), events }
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
        let Self { frames, events } = self;
        frames.push(piece, |frame, payload| events.take(frame, payload, out))
    }

    /// The stream has ended: appends what is left.
    ///
    /// # Errors
    /// It has ended in the middle of an event.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { frames, events } = self;
        let result = frames.finish(|frame, payload| events.take(frame, payload, out));
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
        let held = match readable(&frame, payload)? {
            Some(document) => self.read(&document, frame, payload),
            // Comments, which keep the connection alive.
            None if frame.is_comment() => {
                frame.write(payload, false, out);
                self.is_last_passed = true;
                return Ok(());
            }
            None => {
                if payload.trim_ascii() == DONE {
                    self.close("");
                }
                Held { frame, payload: payload.to_vec(), edits: Vec::new(), slots: Vec::new() }
            }
        };
        self.bytes += held.frame.size(&held.payload);
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
    fn read(&mut self, document: &Document<'_>, frame: Frame, payload: &[u8]) -> Held {
        let plan = Plan::of(document);
        let mut spared: BTreeSet<usize> = plan.slots.iter().map(|(index, _)| *index).collect();
        spared.extend(frame.padding(document));
        let mut masker = Masker { patterns: &self.patterns, side: Side::Response, found: BTreeSet::new() };
        let edits = masker.edits(document, &spared);
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
        Held { frame, payload: payload.to_vec(), edits, slots }
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
            self.bytes -= held.frame.size(&held.payload);
            for Slot { key, piece, place } in std::mem::take(&mut held.slots) {
                let new = self.channels.get_mut(&key).and_then(|channel| channel.give(&piece));
                let new = new.map(|new| quoted(&new));
                held.edits.extend(new.map(|new| (place, new)));
            }
            held.write(out);
        }
    }
}

impl Held {
    fn write(mut self, out: &mut Vec<u8>) {
        let is_changed = !self.edits.is_empty();
        if is_changed {
            self.edits.sort_by_key(|(range, _)| range.start);
            self.payload = spliced(&self.payload, &self.edits);
        }
        self.frame.write(&self.payload, is_changed, out);
    }
}
