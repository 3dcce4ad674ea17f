//! One text that comes piece by piece, such as the answer of one choice.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use super::body::{Cut, cut};
use super::patterns::{CONTEXT, Entity, Match, Patterns, boundary};
use super::slots::is_json;

/// A text that goes on. Places are counted in bytes from its beginning.
#[derive(Debug)]
pub(super) struct Channel {
    /// What is not given out yet, with some of what stands before.
    text: String,
    /// Where `text` begins.
    start: usize,
    /// Up to here nothing changes any more, whatever comes.
    settled: usize,
    /// What is masked; all of it is settled.
    places: VecDeque<Match>,
    /// Where what is given out ends.
    given: usize,
    /// Set if the text is JSON: whether what is given out ends inside of a string.
    json: Option<JsonState>,
    is_begun: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct JsonState {
    is_in_string: bool,
    is_escaped: bool,
}

impl Channel {
    pub(super) fn new(key: &str) -> Self {
        Self {
            text: String::new(),
            start: 0,
            settled: 0,
            places: VecDeque::new(),
            given: 0,
            json: is_json(key).then(JsonState::default),
            is_begun: false,
        }
    }

    /// Adds a piece: where it stands.
    pub(super) fn push(&mut self, piece: &str) -> Range<usize> {
        if !self.is_begun && !piece.trim_start().is_empty() {
            self.is_begun = true;
            // An answer that is to be JSON.
            if piece.trim_start().starts_with('{') {
                self.json.get_or_insert_default();
            }
        }
        let from = self.end();
        self.text.push_str(piece);
        from..self.end()
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    pub(super) fn settled(&self) -> usize {
        self.settled
    }

    /// Looks for what is in the text so far. With `is_closed` nothing follows, and all of it is settled.
    pub(super) fn settle(&mut self, patterns: &Patterns, is_closed: bool, found: &mut BTreeSet<Entity>) {
        if self.settled == self.end() {
            return;
        }
        // What is settled may wait for another text of its events, and is not looked at again.
        let first = boundary(&self.text, (self.settled - self.start).saturating_sub(CONTEXT));
        let (places, open) = patterns.find_settled(self.text.get(first..).unwrap_or_default());
        let first = self.start + first;
        let settled = if is_closed { self.end() } else { (first + open).max(self.settled) };
        for Match { range, entity } in places {
            let range = (range.start + first).max(self.settled)..(range.end + first);
            if range.start < range.end && range.end <= settled {
                found.insert(entity);
                self.places.push_back(Match { range, entity });
            }
        }
        self.settled = settled;
    }

    /// Gives out a piece, which must be settled and follow the one before; what stands in its place, if something else
    /// does.
    pub(super) fn give(&mut self, piece: &Range<usize>) -> Option<String> {
        let text =
            self.text.get(piece.start - self.start..piece.end - self.start).unwrap_or_default().to_owned();
        let mut cuts = Vec::new();
        let mut read = 0;
        while let Some(Match { range, entity }) =
            self.places.front().filter(|place| place.range.start < piece.end)
        {
            let own = range.start.max(piece.start) - piece.start..range.end.min(piece.end) - piece.start;
            // A mask stands where the place begins.
            let begins = range.start >= piece.start;
            let mask = if begins { entity.mask() } else { "" };
            let ends = range.end <= piece.end;
            if let Some(json) = &mut self.json {
                json.pass(text.get(read..own.start).unwrap_or_default());
            }
            // In JSON, a number becomes a string.
            let is_number = begins && self.json.is_some_and(|json| !json.is_in_string);
            if let Some(json) = &mut self.json {
                json.pass(text.get(own.clone()).unwrap_or_default());
            }
            read = own.end;
            cuts.push((Cut { range: own, mask }, is_number));
            if !ends {
                break;
            }
            self.places.pop_front();
        }
        if let Some(json) = &mut self.json {
            json.pass(text.get(read..).unwrap_or_default());
        }
        self.given = piece.end;
        self.forget();
        (!cuts.is_empty()).then(|| quoted(&text, cuts))
    }

    /// Keeps no more of what is given out than may tell what comes next.
    fn forget(&mut self) {
        let length = boundary(&self.text, (self.given - self.start).saturating_sub(CONTEXT));
        self.text.drain(..length);
        self.start += length;
    }
}

/// A text with cuts, of which some are put into quotes.
fn quoted(text: &str, cuts: Vec<(Cut, bool)>) -> String {
    let (quoted, plain): (Vec<_>, Vec<_>) = cuts.into_iter().partition(|(_, is_number)| *is_number);
    if quoted.is_empty() {
        return cut(text, plain.into_iter().map(|(cut, _)| cut).collect());
    }
    let quotes = quoted.iter().flat_map(|(Cut { range, .. }, _)| [range.start, range.end]);
    let mut all: Vec<Cut> = quotes.map(|at| Cut { range: at..at, mask: "\"" }).collect();
    all.extend(plain.into_iter().chain(quoted).map(|(cut, _)| cut));
    // A quote stands before a mask at the same place, and behind one that ends there.
    all.sort_by_key(|cut| cut.range.end);
    cut(text, all)
}

impl JsonState {
    fn pass(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_in_string => self.is_escaped = true,
                b'"' => self.is_in_string = !self.is_in_string,
                _ => {}
            }
        }
    }
}
