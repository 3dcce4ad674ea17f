//! Members of a JSON object that passes in pieces.

/// A value that is longer is not kept.
const MAX_VALUE: usize = 64 * 1024;

/// Further values of a member are not kept.
const MAX_REPEATED: usize = 16;

/// Watches a JSON text that passes in pieces, and keeps the values of a few members of its outermost object (or of the
/// objects of its outermost array, as Gemini streams them). Of several values of one member it keeps the last one.
/// Holds nothing else of the text.
#[derive(Debug)]
pub struct Capture {
    names: &'static [&'static str],
    values: Vec<Vec<Vec<u8>>>,
    state: State,
    /// Open brackets.
    depth: usize,
    /// How many brackets there are between the object at the top and those with the members of interest.
    nesting: usize,
    /// At which depth the members of interest are.
    level: usize,
    /// The string or value that is being read.
    text: Vec<u8>,
    /// The member whose value is being read.
    member: Option<usize>,
    /// Whether the next string at the level of interest is a name.
    is_name_next: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Between,
    String,
    Escaped,
}

impl Capture {
    /// Watches for these members.
    pub fn new(names: &'static [&'static str]) -> Self {
        Self::nested(0, names)
    }

    /// Watches for these members of objects with so many brackets between them and the object at the top. Of a member that
    /// is there more than once, all values are kept, up to [`MAX_REPEATED`].
    pub fn nested(nesting: usize, names: &'static [&'static str]) -> Self {
        Self {
            names,
            values: names.iter().map(|_| Vec::new()).collect(),
            nesting,
            state: State::Between,
            depth: 0,
            level: 0,
            text: Vec::new(),
            member: None,
            is_name_next: false,
        }
    }

    /// The value of a member that has passed whole, as JSON text; the last one, if there were several.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let index = self.names.iter().position(|known| *known == name)?;
        self.values.get(index)?.last().map(Vec::as_slice)
    }

    /// All values that are kept of all members, as JSON text, in the order of the names.
    pub fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.values.iter().flatten().map(Vec::as_slice)
    }

    /// Takes in the next piece.
    pub fn push(&mut self, mut piece: &[u8]) {
        while let Some((byte, rest)) = piece.split_first() {
            if self.state == State::String {
                // Most of a text is inside of strings.
                let end = memchr::memchr2(b'"', b'\\', piece).unwrap_or(piece.len());
                let (inside, rest) = piece.split_at(end);
                self.keep(inside);
                piece = rest;
                if let Some((byte, rest)) = rest.split_first() {
                    self.keep(&[*byte]);
                    piece = rest;
                    match byte {
                        b'\\' => self.state = State::Escaped,
                        _ => self.end_string(),
                    }
                }
                continue;
            }
            if self.is_nothing_of_interest() {
                // Numbers, and signs between them.
                let next = piece.iter().position(|byte| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']'));
                piece = piece.get(next.unwrap_or(piece.len())..).unwrap_or_default();
                let Some((byte, rest)) = piece.split_first() else { return };
                self.step(*byte);
                piece = rest;
                continue;
            }
            piece = rest;
            match self.state {
                State::Escaped => {
                    self.keep(&[*byte]);
                    self.state = State::String;
                }
                _ => self.step(*byte),
            }
        }
    }

    fn step(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.state = State::String;
                if self.is_name_next && self.is_at_level() {
                    self.text.clear();
                }
                self.keep(b"\"");
            }
            b'{' | b'[' => {
                self.keep(&[byte]);
                self.depth += 1;
                if self.level == 0 {
                    self.level = self.nesting + if byte == b'{' { 1 } else { 2 };
                }
                self.is_name_next = byte == b'{' && self.is_at_level();
            }
            b'}' | b']' => {
                if self.is_at_level() {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
                self.keep(&[byte]);
            }
            b',' if self.is_at_level() => {
                self.end_value();
                self.is_name_next = true;
            }
            b':' if self.is_at_level() && self.is_name_next => {
                self.is_name_next = false;
                let name = serde_json::from_slice::<String>(&self.text).unwrap_or_default();
                self.member = self.names.iter().position(|known| *known == name);
                self.text.clear();
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => self.keep(&[byte]),
        }
    }

    /// Whether what comes next is inside of a value that is not kept.
    fn is_nothing_of_interest(&self) -> bool {
        self.state == State::Between && self.member.is_none() && self.level > 0 && self.depth > self.level
    }

    fn is_at_level(&self) -> bool {
        self.level > 0 && self.depth == self.level
    }

    /// Keeps a part of the name or value that is being read.
    fn keep(&mut self, part: &[u8]) {
        let is_name = self.is_name_next && self.is_at_level();
        if (is_name || self.member.is_some()) && self.text.len() + part.len() <= MAX_VALUE {
            self.text.extend_from_slice(part);
        }
    }

    fn end_string(&mut self) {
        self.state = State::Between;
    }

    fn end_value(&mut self) {
        let Some(values) = self.member.take().and_then(|member| self.values.get_mut(member)) else { return };
        if self.nesting == 0 {
            values.clear();
        }
        if values.len() < MAX_REPEATED {
            values.push(std::mem::take(&mut self.text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["usage", "model"];

    fn captured(text: &str, split: usize) -> [Option<String>; 2] {
        let mut capture = Capture::new(NAMES);
        let (first, second) = text.as_bytes().split_at(split);
        capture.push(first);
        capture.push(second);
        ["usage", "model"]
            .map(|name| capture.get(name).map(|value| String::from_utf8(value.to_vec()).unwrap()))
    }

    #[test]
    fn members_are_found_wherever_the_text_is_split() {
        for (text, usage, model) in [
            (
                r#"{"id":"x","choices":[{"usage":1,"model":"no"}],"usage":{"a":{"b":[1,"}"]}, "c":2},"model":"m\"1"}"#,
                Some(r#"{"a":{"b":[1,"}"]},"c":2}"#),
                Some(r#""m\"1""#),
            ),
            (
                r#"[{"usage":1,"x":{"model":2}},
{"usage":2 , "model":"b"}]"#,
                Some("2"),
                Some("\"b\""),
            ),
            (r#"{"u\u0073age":null}"#, Some("null"), None),
            (r#"{"x":"\"usage\":1","y":"\\"}"#, None, None),
            (r#"{"usage":{"a":1}"#, None, None),
            ("[[{\"usage\":1}]]", None, None),
            ("\"usage\"", None, None),
            ("", None, None),
        ] {
            for split in 0..=text.len() {
                let expected = [usage.map(str::to_owned), model.map(str::to_owned)];
                assert_eq!(captured(text, split), expected, "{text} at {split}");
            }
        }
    }

    #[test]
    fn members_of_nested_objects_are_all_found_wherever_the_text_is_split() {
        for (text, expected) in [
            (
                r#"{"finish":0,"choices":[{"x":{"finish":9},"finish":"a"},{"finish":"b","y":["finish"]}]}"#,
                "\"a\"\"b\"",
            ),
            (
                r#"[{"candidates":[{"finish":null}]},{"candidates":[{"t":"\"finish\":1","finish":2}]}]"#,
                "null2",
            ),
            (r#"{"choices":[]}"#, ""),
        ] {
            for split in 0..=text.len() {
                let mut capture = Capture::nested(2, &["finish"]);
                let (first, second) = text.as_bytes().split_at(split);
                capture.push(first);
                capture.push(second);
                let all: Vec<u8> = capture.all().flatten().copied().collect();
                assert_eq!(String::from_utf8(all).unwrap(), expected, "{text} at {split}");
            }
        }
        let mut capture = Capture::nested(2, &["finish"]);
        capture.push(b"{\"choices\":[");
        for _ in 0..1000 {
            capture.push(b"{\"finish\":1},");
        }
        assert_eq!(capture.all().count(), MAX_REPEATED);
    }

    #[test]
    fn a_value_that_is_too_long_is_not_held() {
        let mut capture = Capture::new(NAMES);
        capture.push(b"{\"usage\":\"");
        for _ in 0..1000 {
            capture.push(&[b'x'; 1024]);
        }
        assert!(capture.text.len() <= MAX_VALUE);
        capture.push(b"\",\"model\":\"m\"}");
        assert_eq!(capture.get("model"), Some(&b"\"m\""[..]));
    }
}
