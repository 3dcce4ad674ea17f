//! Server-Sent Events, as WHATWG HTML §9.2 defines them.

use super::{DEFAULT_EVENT_LIMIT, FramingError};

/// One event of a stream, borrowed from the parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SseEvent<'a> {
    /// The `event` field; absent when the event has none (or an empty one).
    pub event: Option<&'a str>,
    /// The `data` fields, joined by line feeds.
    pub data: &'a str,
    /// The last `id` the stream has set, empty if none.
    pub id: &'a str,
    /// The `retry` field in milliseconds, if this event sets it.
    pub retry: Option<u64>,
}

/// An incremental parser of Server-Sent Events.
///
/// Takes chunks of any size; where a chunk is cut makes no difference.
#[derive(Debug)]
pub struct SseParser {
    limit: usize,
    line: Vec<u8>,
    data: Vec<u8>,
    event: String,
    id: String,
    retry: Option<u64>,
    /// A carriage return ended the last line: a line feed that follows belongs to it.
    after_cr: bool,
    first_line: bool,
}

impl Default for SseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl SseParser {
    /// A parser that accepts events of up to 1 MiB.
    pub fn new() -> Self {
        Self::with_limit(DEFAULT_EVENT_LIMIT)
    }

    /// A parser that accepts events of up to `limit` bytes.
    pub fn with_limit(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: Vec::new(),
            event: String::new(),
            id: String::new(),
            retry: None,
            after_cr: false,
            first_line: true,
        }
    }

    /// Takes the next bytes and calls `on_event` for each event they complete.
    ///
    /// # Errors
    /// [`FramingError::TooLarge`] when an event exceeds the limit; the parser is of no use after it.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(SseEvent<'_>)) -> Result<(), FramingError> {
        let mut rest = bytes;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(end);
            self.extend_line(line)?;
            rest = match tail {
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [b'\r', b'\n', after @ ..] | [_, after @ ..] => after,
                [] => &[],
            };
            self.end_line(&mut on_event);
        }
        self.extend_line(rest)
    }

    /// Ends the stream. What is left is an event that lacks its blank line, which the standard tells
    /// receivers to discard because it may be cut short; the caller decides.
    pub fn finish(&mut self) -> Option<(Option<String>, String)> {
        let mut left = None;
        self.end_line(&mut |_| ());
        self.end_event(&mut |event: SseEvent<'_>| {
            left = Some((event.event.map(str::to_owned), event.data.to_owned()));
        });
        left
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        if self.line.len() + self.data.len() + self.event.len() + bytes.len() > self.limit {
            return Err(FramingError::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) {
        let line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if std::mem::take(&mut self.first_line) {
            text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
        }
        if text.is_empty() {
            self.end_event(on_event);
        } else {
            self.field(text);
        }
        // Keeps the allocation for the next line.
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let (name, rest) = line.split_at(colon);
                let value = rest.get(1..).unwrap_or_default();
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match name {
            b"data" => {
                self.data.extend_from_slice(value);
                self.data.push(b'\n');
            }
            b"event" => self.event = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.id = String::from_utf8_lossy(value).into_owned(),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            }
            // Comments have an empty name; unknown fields are ignored, as the standard says.
            _ => (),
        }
    }

    fn end_event(&mut self, on_event: &mut impl FnMut(SseEvent<'_>)) {
        if self.data.pop().is_some() {
            let data = String::from_utf8_lossy(&self.data);
            on_event(SseEvent {
                event: Some(self.event.as_str()).filter(|name| !name.is_empty()),
                data: &data,
                id: &self.id,
                retry: self.retry,
            });
        }
        self.data.clear();
        self.event.clear();
        self.retry = None;
    }
}

/// Appends one event to `out`; a line break of the data begins a further `data` field.
pub fn write_event(out: &mut Vec<u8>, event: Option<&str>, data: &str) {
    if let Some(name) = event {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.push(b'\n');
    }
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        let Some(end) = rest.find(['\n', '\r']) else {
            out.extend_from_slice(rest.as_bytes());
            out.extend_from_slice(b"\n\n");
            return;
        };
        let (line, tail) = rest.split_at(end);
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
        rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (Option<String>, String, String, Option<u64>);

    fn parse(chunks: &[&[u8]]) -> Vec<Owned> {
        let mut parser = SseParser::new();
        let mut events = Vec::new();
        for chunk in chunks {
            parser
                .push(chunk, |e| {
                    events.push((e.event.map(str::to_owned), e.data.to_owned(), e.id.to_owned(), e.retry));
                })
                .unwrap();
        }
        events
    }

    fn event(name: Option<&str>, data: &str, id: &str, retry: Option<u64>) -> Owned {
        (name.map(str::to_owned), data.to_owned(), id.to_owned(), retry)
    }

    const MIXED: &[u8] = b"\xEF\xBB\xBF: hello\r\n\r\nevent: a\rdata: 1\rdata:2\r\rid: 7\r\ndata:  x\r\n\r\n\
        retry: 15\nretry: 1x\ndata\n\nevent: lost\n\ndata: \xC3\xA4\xFF\nunknown: y\nid: a\0b\n\nevent: b\ndata: no end";

    #[test]
    fn line_ends_comments_and_fields() {
        assert_eq!(
            parse(&[MIXED]),
            [
                event(Some("a"), "1\n2", "", None),
                event(None, " x", "7", None),
                event(None, "", "7", Some(15)),
                event(None, "ä\u{FFFD}", "7", None),
            ]
        );
    }

    #[test]
    fn every_split_gives_the_same_events() {
        let whole = parse(&[MIXED]);
        for at in 0..=MIXED.len() {
            let (head, tail) = MIXED.split_at(at);
            assert_eq!(parse(&[head, tail]), whole, "split at {at}");
            assert_eq!(parse(&[head, b"", tail]), whole, "split at {at} with an empty chunk");
        }
        let bytes: Vec<&[u8]> = MIXED.chunks(1).collect();
        assert_eq!(parse(&bytes), whole);
    }

    #[test]
    fn what_is_left_is_handed_to_the_caller() {
        let mut parser = SseParser::new();
        parser.push(b"data: a\n\nevent: b\ndata: no end", |_| ()).unwrap();
        assert_eq!(parser.finish(), Some((Some("b".into()), "no end".into())));
        assert_eq!(parser.finish(), None);
    }

    #[test]
    fn the_limit_counts_one_event() {
        let mut parser = SseParser::with_limit(20);
        for _ in 0..100 {
            parser.push(b"data: 12345678\n\n", |_| ()).unwrap();
        }
        assert_eq!(parser.push(&[b'x'; 21], |_| ()), Err(FramingError::TooLarge { limit: 20 }));
        let mut parser = SseParser::with_limit(20);
        let many = "data: 1\n".repeat(20);
        assert_eq!(parser.push(many.as_bytes(), |_| ()), Err(FramingError::TooLarge { limit: 20 }));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        write_event(&mut out, Some("name"), "one\ntwo\r\nthree\r");
        write_event(&mut out, None, "");
        write_event(&mut out, None, " {}");
        assert_eq!(
            parse(&[&out]),
            [
                event(Some("name"), "one\ntwo\nthree\n", "", None),
                event(None, "", "", None),
                event(None, " {}", "", None)
            ]
        );
    }
}
