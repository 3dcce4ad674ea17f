//! Answers that a server is asked about: as a whole, or, of a stream, one segment after the other.
//!
//! A segment is as many events as hold [`SEGMENT`] bytes of text, or those before the end. The server is asked about the
//! texts that they add to, each put together; what it wants in place of one stands in the first of its events, and the
//! others lose their share. While it is asked, further events wait, up to [`MAX_ANSWER`] bytes of them.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use ai_config::GuardRejection;

use super::answer::{AnswerKind, MAX_ANSWER, NO_JSON, NO_TEXT, TOO_LARGE};
use super::body::{Edit, Side, logprobs};
use super::document::spliced;
use super::frames::{Frame, Frames, StreamFault, readable};
use super::hooks::{Decision, HookFault};
use super::slots::Plan;
use super::texts::{Text, Texts, quoted, texts};
use super::{Finding, Verdict, unlabelled};

/// So many bytes of text of a stream are waited for before a server is asked.
pub const SEGMENT: usize = 512;

/// The name of what a webhook has found.
pub(crate) const WEBHOOK: &str = "WEBHOOK";

/// Why an answer goes no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The server rejects it.
    Rejected(GuardRejection),
    /// It cannot be asked about, for this reason.
    Unreadable(&'static str),
    /// The server is at fault.
    Hook(HookFault),
}

/// An answer that a server is asked about.
#[derive(Debug)]
pub(crate) struct HookedAnswer {
    state: State,
    /// Whether the server is being asked.
    is_asking: bool,
    has_ended: bool,
    finding: Finding,
}

#[derive(Debug)]
enum State {
    Whole { body: Vec<u8>, is_json: bool, texts: Texts },
    Stream(Box<Stream>),
    Faulty(&'static str),
    Ended,
}

impl HookedAnswer {
    pub(crate) fn new(kind: AnswerKind) -> Self {
        let whole = |is_json| State::Whole { body: Vec::new(), is_json, texts: Texts::default() };
        let state = match kind {
            AnswerKind::Stream(framing) => State::Stream(Box::new(Stream::new(Frames::new(framing)))),
            AnswerKind::Json => whole(true),
            AnswerKind::Other => whole(false),
            AnswerKind::Unreadable(why) => State::Faulty(why),
        };
        let finding = Finding::nothing(Verdict::Passed);
        Self { state, is_asking: false, has_ended: false, finding }
    }

    /// Whether nothing of the answer, its head included, may go on before the server was asked.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self.state, State::Whole { .. } | State::Faulty(_))
    }

    /// Whether all of the answer has gone on, or nothing more of it does.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// What has come of it so far.
    pub(crate) fn finding(&self) -> &Finding {
        &self.finding
    }

    /// Takes in a piece of the answer, and appends what may go on.
    ///
    /// # Errors
    /// The answer stops here.
    pub(crate) fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Stop> {
        let result = match &mut self.state {
            State::Whole { body, .. } => {
                body.extend_from_slice(piece);
                if body.len() > MAX_ANSWER { Err(TOO_LARGE) } else { Ok(()) }
            }
            State::Stream(stream) => stream.push(piece, out).map_err(|StreamFault(why)| why),
            State::Faulty(_) | State::Ended => Ok(()),
        };
        match result {
            Err(why) if self.is_whole() => {
                self.state = State::Faulty(why);
                Ok(())
            }
            result => result.map_err(|why| self.stop(Stop::Unreadable(why))),
        }
    }

    /// The answer has ended.
    ///
    /// # Errors
    /// It stops here.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        self.has_ended = true;
        let result = match &mut self.state {
            State::Stream(stream) => stream.finish(out).map_err(|StreamFault(why)| why),
            State::Faulty(why) => Err(*why),
            State::Whole { .. } | State::Ended => Ok(()),
        };
        result.map_err(|why| self.stop(Stop::Unreadable(why)))
    }

    /// The texts that the server is asked about next; `None` if it is being asked, or there is nothing to ask now.
    /// Appends what goes on without a question.
    ///
    /// # Errors
    /// The answer stops here.
    pub(crate) fn ask(&mut self, out: &mut Vec<u8>) -> Result<Option<Vec<Text>>, Stop> {
        if self.is_asking {
            return Ok(None);
        }
        if self.has_ended {
            self.read_unlabelled(out)?;
        }
        let asked = match &mut self.state {
            State::Whole { body, is_json, texts } if self.has_ended => match read(body, *is_json) {
                Ok(found) if found.texts.is_empty() => {
                    out.append(body);
                    Vec::new()
                }
                Ok(found) => {
                    *texts = found;
                    texts.texts.clone()
                }
                Err(why) => return Err(self.stop(Stop::Unreadable(why))),
            },
            State::Stream(stream) if self.has_ended || stream.text >= SEGMENT => stream.ask(out),
            _ => return Ok(None),
        };
        self.is_asking = !asked.is_empty();
        if !self.is_asking && self.has_ended {
            self.state = State::Ended;
        }
        Ok(self.is_asking.then_some(asked))
    }

    /// A whole answer that is a stream by how it begins is one from here on.
    fn read_unlabelled(&mut self, out: &mut Vec<u8>) -> Result<(), Stop> {
        let State::Whole { body, is_json: false, .. } = &self.state else { return Ok(()) };
        let Some(framing) = unlabelled::framing_of(body) else { return Ok(()) };
        let mut stream = Box::new(Stream::new(Frames::new(framing)));
        let read = stream.push(body, out).and_then(|()| stream.finish(out));
        self.state = State::Stream(stream);
        read.map_err(|StreamFault(why)| self.stop(Stop::Unreadable(why)))
    }

    /// How many texts the server is being asked about.
    pub(crate) fn asked(&self) -> usize {
        match &self.state {
            State::Whole { texts, .. } => texts.texts.len(),
            State::Stream(stream) => stream.units.len(),
            State::Faulty(_) | State::Ended => 0,
        }
    }

    /// The server has decided: appends what goes on.
    ///
    /// # Errors
    /// The answer stops here.
    pub(crate) fn hear(
        &mut self,
        decision: Result<Decision, HookFault>,
        out: &mut Vec<u8>,
    ) -> Result<(), Stop> {
        self.is_asking = false;
        if self.is_done() {
            // It was stopped while the server was asked.
            return Ok(());
        }
        let new = match decision {
            Ok(Decision::Pass) => None,
            Ok(Decision::Mask(new)) => Some(new),
            Ok(Decision::Reject(rejection)) => return Err(self.stop(Stop::Rejected(rejection))),
            Err(fault) => return Err(self.stop(Stop::Hook(fault))),
        };
        if new.is_some() {
            self.finding.join(Verdict::Masked, [WEBHOOK.to_owned()]);
        }
        match &mut self.state {
            State::Whole { body, texts, .. } => {
                match new {
                    Some(new) => out.extend(texts.replaced(body, &new)),
                    None => out.append(body),
                }
                self.state = State::Ended;
            }
            State::Stream(stream) => {
                stream.hear(new.as_deref(), out);
                if self.has_ended && stream.held.is_empty() {
                    self.state = State::Ended;
                }
            }
            State::Faulty(_) | State::Ended => {}
        }
        Ok(())
    }

    fn stop(&mut self, stop: Stop) -> Stop {
        self.state = State::Ended;
        self.is_asking = false;
        let (verdict, name) = match &stop {
            Stop::Rejected(_) => (Verdict::Rejected, Some(WEBHOOK)),
            Stop::Unreadable(_) => (Verdict::Unreadable, None),
            Stop::Hook(_) => (Verdict::Unavailable, None),
        };
        self.finding.join(verdict, name.map(str::to_owned));
        stop
    }
}

/// The texts of an answer that is no stream.
fn read(body: &[u8], is_json: bool) -> Result<Texts, &'static str> {
    if body.is_empty() {
        return Ok(Texts::default());
    }
    match Texts::of_json(body, Side::Response) {
        Ok(texts) => Ok(texts),
        Err(_) if is_json => Err(NO_JSON),
        Err(_) => std::str::from_utf8(body).map(Texts::of_text).map_err(|_| NO_TEXT),
    }
}

/// The events of a stream.
#[derive(Debug)]
struct Stream {
    frames: Frames,
    events: Events,
}

/// Events that wait.
#[derive(Debug, Default)]
struct Events {
    held: VecDeque<Held>,
    /// How long they are.
    bytes: usize,
    /// How much text is in those that the server was not asked about.
    text: usize,
    /// What the server is being asked about.
    units: Vec<Unit>,
    /// So many events the server is being asked about.
    asked: usize,
}

/// An event that waits.
#[derive(Debug)]
struct Held {
    frame: Frame,
    payload: Vec<u8>,
    pieces: Vec<Piece>,
    /// What repeats its texts.
    repeated: Vec<Edit>,
}

/// A string of an event.
#[derive(Debug)]
struct Piece {
    /// The text that it is a piece of; `None` if it is one by itself.
    key: Option<String>,
    text: String,
    place: Range<usize>,
}

/// A text that the server is asked about, with the events and the places of its pieces.
#[derive(Debug)]
struct Unit {
    key: Option<String>,
    text: String,
    places: Vec<(usize, Range<usize>)>,
}

impl std::ops::Deref for Stream {
    type Target = Events;

    fn deref(&self) -> &Events {
        &self.events
    }
}

impl Stream {
    fn new(frames: Frames) -> Self {
        Self { frames, events: Events::default() }
    }

    fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { frames, events } = self;
        frames.push(piece, |frame, payload| events.take(frame, payload, out))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let Self { frames, events } = self;
        frames.finish(|frame, payload| events.take(frame, payload, out))
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Vec<Text> {
        self.events.ask(out)
    }

    fn hear(&mut self, new: Option<&[String]>, out: &mut Vec<u8>) {
        self.events.hear(new, out);
    }
}

impl Events {
    fn take(&mut self, frame: Frame, payload: &[u8], out: &mut Vec<u8>) -> Result<(), StreamFault> {
        let held = Held::read(frame, payload)?;
        // While the server is asked, what it is asked about is held.
        if self.held.is_empty() && held.pieces.is_empty() {
            held.frame.write(&held.payload, false, out);
            return Ok(());
        }
        self.bytes += held.frame.size(&held.payload);
        self.text += held.pieces.iter().map(|piece| piece.text.len()).sum::<usize>();
        self.held.push_back(held);
        if self.bytes > MAX_ANSWER { Err(StreamFault(TOO_LARGE)) } else { Ok(()) }
    }

    fn ask(&mut self, out: &mut Vec<u8>) -> Vec<Text> {
        (self.asked, self.text) = (self.held.len(), 0);
        let mut units: Vec<Unit> = Vec::new();
        for (index, held) in self.held.iter().enumerate() {
            for Piece { key, text, place } in &held.pieces {
                let place = (index, place.clone());
                match units.iter_mut().find(|unit| unit.key.is_some() && unit.key == *key) {
                    Some(unit) => {
                        unit.text.push_str(text);
                        unit.places.push(place);
                    }
                    None => units.push(Unit { key: key.clone(), text: text.clone(), places: vec![place] }),
                }
            }
        }
        units.retain(|unit| !unit.text.trim().is_empty());
        self.units = units;
        if self.units.is_empty() {
            self.hear(None, out);
        }
        // As kgateway has it, only the beginning of an answer says whose it is.
        self.units.iter().map(|unit| Text { role: String::new(), content: unit.text.clone() }).collect()
    }

    fn hear(&mut self, new: Option<&[String]>, out: &mut Vec<u8>) {
        let units = std::mem::take(&mut self.units);
        let mut edits: Vec<Vec<Edit>> = vec![Vec::new(); self.asked];
        for (unit, new) in units.iter().zip(new.unwrap_or_default()).filter(|(unit, new)| unit.text != **new)
        {
            let texts = std::iter::once(new.as_str()).chain(std::iter::repeat(""));
            for ((event, place), text) in unit.places.iter().zip(texts) {
                if let Some(edits) = edits.get_mut(*event) {
                    edits.push((place.clone(), quoted(text)));
                }
            }
        }
        let is_changed = edits.iter().any(|edits| !edits.is_empty());
        for (held, mut edits) in self.held.drain(..self.asked.min(self.held.len())).zip(edits) {
            self.bytes -= held.frame.size(&held.payload);
            if is_changed {
                edits.extend(held.repeated.iter().cloned());
            }
            edits.sort_by_key(|(range, _)| range.start);
            match edits.is_empty() {
                true => held.frame.write(&held.payload, false, out),
                false => held.frame.write(&spliced(&held.payload, &edits), true, out),
            }
        }
        self.asked = 0;
    }
}

impl Held {
    fn read(frame: Frame, payload: &[u8]) -> Result<Self, StreamFault> {
        let Some(document) = readable(&frame, payload)? else {
            return Ok(Self { frame, payload: payload.to_vec(), pieces: Vec::new(), repeated: Vec::new() });
        };
        let repeated = logprobs(&document);
        let slots = Plan::of(&document).slots;
        let mut spared: BTreeSet<usize> = slots.iter().map(|(index, _)| *index).collect();
        spared.extend(frame.padding(&document));
        let mut pieces: Vec<Piece> = texts(&document, Side::Response, &spared, &repeated)
            .into_iter()
            .map(|(place, text)| Piece { key: None, text: text.content, place })
            .collect();
        for (index, key) in slots {
            let Some(item) = document.items.get(index) else { continue };
            let text = document.decoded(item).into_owned();
            if !text.is_empty() {
                pieces.push(Piece { key: Some(key), text, place: item.range.clone() });
            }
        }
        pieces.sort_by_key(|piece| piece.place.start);
        Ok(Self { frame, payload: payload.to_vec(), pieces, repeated })
    }
}
