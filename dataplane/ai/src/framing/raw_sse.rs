//! Server-sent events as raw bytes: complete ones are told apart, and stay byte for byte.

use std::borrow::Cow;

/// A longer event is not looked at.
const MAX_EVENT: usize = 1024 * 1024;

/// Splits a stream into its events, each with the blank line that ends it. Holds no more than one event.
#[derive(Debug, Default)]
pub(crate) struct RawEvents {
    held: Vec<u8>,
    /// Whether the line at hand is empty so far.
    is_line_empty: bool,
    /// Whether the last byte was a carriage return, which with a line feed behind it is one end of a line.
    after_return: bool,
    /// Whether the event at hand is one that is too long to be held.
    is_too_long: bool,
}

/// A part of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RawPart<'a> {
    /// An event, whole.
    Event(&'a [u8]),
    /// A piece of an event that is too long.
    Piece(&'a [u8]),
}

impl RawEvents {
    /// Takes in the next piece of the stream.
    pub(crate) fn push(&mut self, piece: &[u8], mut take: impl FnMut(RawPart<'_>)) {
        let (mut start, mut at) = (0, 0);
        while at < piece.len() {
            let rest = piece.get(at..).unwrap_or_default();
            let inside = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            if inside > 0 {
                (self.is_line_empty, self.after_return) = (false, false);
            }
            let Some(byte) = rest.get(inside) else { break };
            at += inside + 1;
            let after_return = std::mem::replace(&mut self.after_return, *byte == b'\r');
            // An event that has ended has done so with the carriage return.
            let is_same_end = *byte == b'\n' && after_return;
            if !is_same_end && std::mem::replace(&mut self.is_line_empty, true) {
                self.end(piece.get(start..at).unwrap_or_default(), &mut take);
                start = at;
            }
        }
        self.hold(piece.get(start..).unwrap_or_default(), &mut take);
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.held.len()
    }

    /// What is left at the end of the stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    fn end(&mut self, last: &[u8], take: &mut impl FnMut(RawPart<'_>)) {
        self.is_line_empty = true;
        if std::mem::take(&mut self.is_too_long) {
            take(RawPart::Piece(last));
        } else if self.held.is_empty() {
            take(RawPart::Event(last));
        } else {
            self.held.extend_from_slice(last);
            take(RawPart::Event(&self.held));
            self.held.clear();
        }
    }

    fn hold(&mut self, piece: &[u8], take: &mut impl FnMut(RawPart<'_>)) {
        if self.is_too_long || self.held.len() + piece.len() > MAX_EVENT {
            if !self.held.is_empty() {
                take(RawPart::Piece(&std::mem::take(&mut self.held)));
            }
            self.is_too_long = true;
            take(RawPart::Piece(piece));
        } else {
            self.held.extend_from_slice(piece);
        }
    }
}

/// The lines of an event or of a whole stream, each with the bytes that end it.
pub(crate) fn lines(event: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = event;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        let length = if behind.starts_with(b"\r\n") { 2 } else { behind.len().min(1) };
        let (line_end, behind) = behind.split_at(length);
        rest = behind;
        Some((line, line_end))
    })
}

/// Whether a line is blank, a comment, or has a field that the standard knows. What clients make of any other line, such
/// as one behind a byte order mark, is not certain.
pub(crate) fn is_known(line: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [b"data:", b"event:", b":", b"id:", b"retry:"];
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
        || line == b"data"
        || line.trim_ascii().is_empty()
}

/// The data of an event: its lines `data:`, joined by line feeds.
pub(crate) fn data(event: &[u8]) -> Cow<'_, [u8]> {
    let mut data: Option<Cow<'_, [u8]>> = None;
    for (line, _) in lines(event) {
        let Some(value) = line.strip_prefix(b"data:") else { continue };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match &mut data {
            // Nearly always the only one.
            None => data = Some(Cow::Borrowed(value)),
            Some(data) => {
                let data = data.to_mut();
                if !data.is_empty() {
                    data.push(b'\n');
                }
                data.extend_from_slice(value);
            }
        }
    }
    data.unwrap_or_default()
}

/// Appends an event with other data; its other lines stay.
pub(crate) fn with_data(event: &[u8], data: &[u8], out: &mut Vec<u8>) {
    let mut is_written = false;
    for (line, line_end) in lines(event) {
        if !line.starts_with(b"data:") {
            out.extend_from_slice(line);
            out.extend_from_slice(line_end);
        } else if !std::mem::replace(&mut is_written, true) {
            // A line feed inside of the data is the beginning of a further line.
            for line in data.split(|byte| *byte == b'\n') {
                out.extend_from_slice(b"data: ");
                out.extend_from_slice(line);
                out.extend_from_slice(if line_end.is_empty() { b"\n" } else { line_end });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(stream: &[u8], split: usize) -> (Vec<String>, String) {
        let mut raw = RawEvents::default();
        let mut all = Vec::new();
        let (first, second) = stream.split_at(split);
        for piece in [first, second] {
            raw.push(piece, |part| match part {
                RawPart::Event(event) => all.push(String::from_utf8(event.to_vec()).unwrap()),
                RawPart::Piece(_) => panic!("nothing is too long"),
            });
        }
        (all, String::from_utf8(raw.rest()).unwrap())
    }

    #[test]
    fn events_are_whole_wherever_the_stream_is_split() {
        for (stream, expected) in [
            ("data: a\n\ndata: b\n\nx", vec!["data: a", "data: b"]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", vec!["data: a", "data: b"]),
            ("data: a\r\revent: e\rdata: b\r\r", vec!["data: a", "event: e\rdata: b"]),
        ] {
            for split in 0..=stream.len() {
                let (all, rest) = events(stream.as_bytes(), split);
                let told: Vec<&str> =
                    all.iter().map(|event| event.trim()).filter(|event| !event.is_empty()).collect();
                assert_eq!(told, expected, "{stream:?} at {split}");
                assert_eq!(all.concat() + &rest, stream, "nothing is lost: {stream:?} at {split}");
            }
        }
    }

    #[test]
    fn a_long_event_passes_in_pieces() {
        let mut raw = RawEvents::default();
        let mut passed = 0;
        let mut held = 0;
        for _ in 0..3000 {
            raw.push(&[b'x'; 1024], |part| match part {
                RawPart::Event(_) => panic!("no event has ended"),
                RawPart::Piece(piece) => passed += piece.len(),
            });
            held = held.max(raw.held.len());
        }
        assert!(held <= MAX_EVENT && passed == 3000 * 1024, "{held} {passed}");
        let mut last = Vec::new();
        raw.push(b"\n\ndata: 1\n\n", |part| last.push(format!("{part:?}")));
        assert_eq!(last.len(), 2);
        assert!(last[0].starts_with("Piece") && last[1].starts_with("Event"), "{last:?}");
    }

    #[test]
    fn lines_that_clients_may_read_in_different_ways_are_told_apart() {
        for line in
            ["", " ", ":", ": c", "event: x", "event:", "id:1", "retry: 5", "data", "data:", "data: x"]
        {
            assert!(is_known(line.as_bytes()), "{line:?}");
        }
        for line in ["\u{feff}data: x", " data: x", "datax: 1", "Data: x", "{}", "event", "x: 1"] {
            assert!(!is_known(line.as_bytes()), "{line:?}");
        }
    }

    #[test]
    fn data_is_that_of_all_lines() {
        assert_eq!(&*data(b"event: x\r\ndata: {\r\ndata:  }\r\ndatax: 1\r\n\r\n"), b"{\n }");
        assert_eq!(&*data(b"data:\ndata:1\ndata:\n"), b"1\n");
        assert_eq!(&*data(b"data: 1"), b"1");
        assert_eq!(&*data(b"event: x\n\n"), b"");
    }

    #[test]
    fn data_is_replaced_and_other_lines_stay() {
        for (event, expected) in [
            ("event: x\r\ndata: 1\r\nid: 7\r\n\r\n", "event: x\r\ndata: {\r\ndata: }\r\nid: 7\r\n\r\n"),
            ("data:1\ndata:2\n\n", "data: {\ndata: }\n\n"),
            ("data: 1", "data: {\ndata: }\n"),
            (":c\rdata: 1\r\r", ":c\rdata: {\rdata: }\r\r"),
        ] {
            let mut out = Vec::new();
            with_data(event.as_bytes(), b"{\n}", &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{event:?}");
        }
    }
}
