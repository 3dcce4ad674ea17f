//! The strings of a JSON text, in place, with where they stand.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Deeper values are refused.
const MAX_DEPTH: usize = 128;

/// So many strings are looked at; a text with more is refused.
const MAX_ITEMS: usize = 1_000_000;

/// An integer of fewer digits is a setting, such as `max_tokens`, and no data.
const MIN_DATA_DIGITS: usize = 9;

/// Why a text is not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// It is no JSON. The byte at which that was seen.
    Syntax(usize),
    /// Values are nested too deeply.
    TooDeep,
    /// There are too many strings.
    TooMany,
    /// A name stands twice in one object, of which readers take either the first or the last.
    Duplicate(String),
}

impl fmt::Display for JsonFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "is not valid JSON (at byte {at})"),
            Self::TooDeep => write!(f, "is nested more than {MAX_DEPTH} levels deep"),
            Self::TooMany => write!(f, "has more than {MAX_ITEMS} strings"),
            Self::Duplicate(name) => write!(f, "has the member {name:?} twice in one object"),
        }
    }
}

/// What a value is called by what it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name<'a> {
    Member(Cow<'a, str>),
    Element(usize),
}

/// An object or array.
#[derive(Clone, Debug)]
pub(super) struct Container<'a> {
    /// The container that it stands in; `None` if it is the whole.
    pub parent: Option<usize>,
    pub name: Name<'a>,
    pub range: Range<usize>,
    /// Whether it is an array with numbers in it.
    pub has_numbers: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A string.
    Text,
    /// The name of a member; the item's own name is that of the member.
    MemberName,
    /// An integer that may be data, or a number that is a member.
    Number,
    /// `true`, `false` or `null`, as a member.
    Literal,
}

/// A value that is no container.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    /// The container that it stands in; `None` if it is the whole.
    pub container: Option<usize>,
    pub name: Name<'a>,
    pub kind: Kind,
    /// Where it stands, with its quotes.
    pub range: Range<usize>,
}

/// A JSON text.
#[derive(Clone, Debug)]
pub(super) struct Document<'a> {
    pub text: &'a [u8],
    pub containers: Vec<Container<'a>>,
    pub items: Vec<Item<'a>>,
}

impl<'a> Document<'a> {
    /// Reads a text: strictly, since what this reader and the provider's read differently escapes the guard.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, JsonFault> {
        let text_only = std::str::from_utf8(text).map_err(|error| JsonFault::Syntax(error.valid_up_to()))?;
        let mut reader = Reader { text: text_only, at: 0, containers: Vec::new(), items: Vec::new() };
        if text.starts_with(b"\xef\xbb\xbf") {
            reader.at = 3;
        }
        reader.value(None, Name::Element(0), 0)?;
        reader.blank();
        if reader.at < text.len() {
            return Err(JsonFault::Syntax(reader.at));
        }
        Ok(Self { text, containers: reader.containers, items: reader.items })
    }

    /// The text of an item.
    pub(super) fn source(&self, item: &Item<'_>) -> &'a [u8] {
        self.text.get(item.range.clone()).unwrap_or_default()
    }

    /// The string that an item is, without escapes.
    pub(super) fn decoded(&self, item: &Item<'_>) -> Cow<'a, str> {
        let source = std::str::from_utf8(self.source(item)).unwrap_or_default();
        decode(source.get(1..source.len().saturating_sub(1)).unwrap_or_default())
    }

    /// The names that lead to an item, from the top.
    pub(super) fn path(&self, item: &Item<'a>) -> Vec<Name<'a>> {
        let mut path = vec![item.name.clone()];
        let mut at = item.container;
        while let Some(container) = at.and_then(|at| self.containers.get(at)) {
            if container.parent.is_some() {
                path.push(container.name.clone());
            }
            at = container.parent;
        }
        path.reverse();
        path
    }

    /// A member of a container that is no container itself.
    pub(super) fn member(&self, container: usize, name: &str) -> Option<&Item<'a>> {
        let range = &self.containers.get(container)?.range;
        let first = self.items.partition_point(|item| item.range.start < range.start);
        let own = self.items.iter().skip(first).take_while(|item| item.range.end <= range.end);
        own.into_iter().find(|item| {
            item.container == Some(container)
                && item.kind != Kind::MemberName
                && matches!(&item.name, Name::Member(own) if own == name)
        })
    }

    /// A member of a container that is a number.
    pub(super) fn number(&self, container: usize, name: &str) -> Option<&'a str> {
        let item = self.member(container, name).filter(|item| item.kind == Kind::Number)?;
        std::str::from_utf8(self.source(item)).ok()
    }

    /// A member of a container that is a string.
    pub(super) fn string(&self, container: usize, name: &str) -> Option<Cow<'a, str>> {
        let item = self.member(container, name).filter(|item| item.kind == Kind::Text)?;
        Some(self.decoded(item))
    }
}

impl Name<'_> {
    /// Whether it is this member.
    pub(super) fn is(&self, name: &str) -> bool {
        matches!(self, Self::Member(own) if own == name)
    }
}

/// The text of a string between its quotes, without escapes. A half of a surrogate pair is U+FFFD.
fn decode(source: &str) -> Cow<'_, str> {
    let Some(first) = source.find('\\') else { return Cow::Borrowed(source) };
    let (mut out, mut rest) = (String::with_capacity(source.len()), source);
    let mut next = Some(first);
    while let Some(at) = next {
        out.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + 1..).unwrap_or_default();
        let unit = |text: &str| text.get(1..5).and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let (character, length) = match rest.bytes().next() {
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(b'u') => {
                let high = unit(rest).unwrap_or(0xfffd);
                let low = rest
                    .get(5..)
                    .filter(|rest| rest.starts_with("\\u"))
                    .and_then(|rest| unit(rest.get(1..)?));
                match (high, low) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                        (char::from_u32(code).unwrap_or('\u{fffd}'), 11)
                    }
                    _ => (char::from_u32(high).unwrap_or('\u{fffd}'), 5),
                }
            }
            Some(other) => (char::from(other), 1),
            None => break,
        };
        out.push(character);
        rest = rest.get(length..).unwrap_or_default();
        next = rest.find('\\');
    }
    out.push_str(rest);
    Cow::Owned(out)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    containers: Vec<Container<'a>>,
    items: Vec<Item<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn fault(&self) -> JsonFault {
        JsonFault::Syntax(self.at)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonFault> {
        self.blank();
        if self.peek() != Some(byte) {
            return Err(self.fault());
        }
        self.at += 1;
        Ok(())
    }

    fn note(&mut self, item: Item<'a>) -> Result<(), JsonFault> {
        if self.items.len() == MAX_ITEMS {
            return Err(JsonFault::TooMany);
        }
        self.items.push(item);
        Ok(())
    }

    fn value(&mut self, parent: Option<usize>, name: Name<'a>, depth: usize) -> Result<(), JsonFault> {
        if depth > MAX_DEPTH {
            return Err(JsonFault::TooDeep);
        }
        self.blank();
        let start = self.at;
        match self.peek() {
            Some(open @ (b'{' | b'[')) => {
                let own = self.containers.len();
                if own == MAX_ITEMS {
                    return Err(JsonFault::TooMany);
                }
                self.containers.push(Container { parent, name, range: start..start, has_numbers: false });
                match open {
                    b'{' => self.object(own, depth)?,
                    _ => self.array(own, depth)?,
                }
                let end = self.at;
                if let Some(container) = self.containers.get_mut(own) {
                    container.range.end = end;
                }
                Ok(())
            }
            Some(b'"') => {
                self.string()?;
                self.note(Item { container: parent, name, kind: Kind::Text, range: start..self.at })
            }
            Some(b'-' | b'0'..=b'9') => self.number(parent, name),
            _ => self.literal(parent, name),
        }
    }

    fn object(&mut self, own: usize, depth: usize) -> Result<(), JsonFault> {
        let mut names = HashSet::new();
        self.at += 1;
        self.blank();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blank();
            let start = self.at;
            let name = decode(self.string()?);
            if !names.insert(name.clone()) {
                return Err(JsonFault::Duplicate(name.chars().take(64).collect()));
            }
            let range = start..self.at;
            let item = Item {
                container: Some(own),
                name: Name::Member(name.clone()),
                kind: Kind::MemberName,
                range,
            };
            self.note(item)?;
            self.expect(b':')?;
            self.value(Some(own), Name::Member(name), depth + 1)?;
            if !self.goes_on(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, own: usize, depth: usize) -> Result<(), JsonFault> {
        self.at += 1;
        self.blank();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        let mut index = 0;
        loop {
            self.value(Some(own), Name::Element(index), depth + 1)?;
            if !self.goes_on(b']')? {
                return Ok(());
            }
            index += 1;
        }
    }

    /// Behind a value: whether another one follows.
    fn goes_on(&mut self, close: u8) -> Result<bool, JsonFault> {
        self.blank();
        let goes_on = match self.peek() {
            Some(b',') => true,
            Some(byte) if byte == close => false,
            _ => return Err(self.fault()),
        };
        self.at += 1;
        Ok(goes_on)
    }

    /// A string: what stands between its quotes.
    fn string(&mut self) -> Result<&'a str, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault());
        }
        self.at += 1;
        let start = self.at;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let is_sign = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
            let Some(next) = rest.iter().position(is_sign) else { return Err(self.fault()) };
            self.at += next;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(self.fault()),
            }
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        self.at += 1;
        Ok(text)
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        let length = match rest {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 2,
            [b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) => 6,
            _ => return Err(self.fault()),
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self, parent: Option<usize>, name: Name<'a>) -> Result<(), JsonFault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits();
        let leads_zero = self.text.as_bytes().get(self.at - whole) == Some(&b'0');
        if whole == 0 || (leads_zero && whole > 1) {
            return Err(self.fault());
        }
        let mut is_integer = true;
        if self.peek() == Some(b'.') {
            is_integer = false;
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fault());
            }
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            is_integer = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            if self.digits() == 0 {
                return Err(self.fault());
            }
        }
        let is_element = matches!(name, Name::Element(_));
        if let Some(container) = parent.and_then(|parent| self.containers.get_mut(parent)) {
            container.has_numbers |= is_element;
        }
        if is_element && !(is_integer && whole >= MIN_DATA_DIGITS) {
            return Ok(());
        }
        self.note(Item { container: parent, name, kind: Kind::Number, range: start..self.at })
    }

    /// How many digits follow.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - start
    }

    fn literal(&mut self, parent: Option<usize>, name: Name<'a>) -> Result<(), JsonFault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(word) = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word)) else {
            return Err(self.fault());
        };
        let range = self.at..self.at + word.len();
        self.at = range.end;
        match name {
            Name::Element(_) => Ok(()),
            Name::Member(_) => self.note(Item { container: parent, name, kind: Kind::Literal, range }),
        }
    }
}

/// Whether a number, as text, may be data.
pub(super) fn is_data(number: &str) -> bool {
    number.len() >= MIN_DATA_DIGITS && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The text with these places replaced, which are in order.
pub(super) fn spliced(text: &[u8], edits: &[(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for (range, new) in edits {
        out.extend_from_slice(text.get(from..range.start).unwrap_or_default());
        out.extend_from_slice(new);
        from = range.end;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_found_with_their_places() {
        let text = r#" {"a":"x\u0041","b":[{"c":"\ud83d\ude00"},1234567890,7,true],"n":7,"t":null} "#;
        let document = Document::parse(text.as_bytes()).unwrap();
        let told: Vec<_> = document
            .items
            .iter()
            .filter(|item| item.kind != Kind::MemberName)
            .map(|item| (document.path(item).len(), item.kind, &text[item.range.clone()]))
            .collect();
        let expected = [
            (1, Kind::Text, r#""x\u0041""#),
            (3, Kind::Text, r#""\ud83d\ude00""#),
            (2, Kind::Number, "1234567890"),
            (1, Kind::Number, "7"),
            (1, Kind::Literal, "null"),
        ];
        assert_eq!(told, expected);
        assert_eq!(document.string(0, "a").as_deref(), Some("xA"));
        assert_eq!(document.number(0, "n"), Some("7"));
        assert_eq!(document.containers[0].range, 1..text.len() - 1);
        assert!(document.containers[1].has_numbers);
    }

    /// The reader takes what serde_json takes, but for names that stand twice and for halves of surrogate pairs.
    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "{}x",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\" 1}",
            "NaN",
            "[01]",
            "[1.]",
            "[1e]",
            "[-]",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12\"",
            "\"a\nb\"",
            "{\"a\":tru}",
            "// x\n{}",
            "\u{feff}\u{feff}{}",
        ] {
            assert!(Document::parse(text.as_bytes()).is_err(), "{text:?}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text:?}");
        }
        assert!(Document::parse(b"\"\xff\"").is_err());
        assert!(
            Document::parse(
                "{\"a\":\"x\"}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>().as_slice()
            )
            .is_err()
        );
        for text in ["{}", "[]", " [ 1 , -0.5e+3, \"\\ud800\" ] ", "\u{feff}{}", "null", "\"a\""] {
            assert!(Document::parse(text.as_bytes()).is_ok(), "{text:?}");
        }
        let twice = Document::parse(br#"{"x":{"a":1,"\u0061":2}}"#).unwrap_err();
        assert_eq!(twice, JsonFault::Duplicate("a".to_owned()));
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Document::parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(Document::parse(deep(MAX_DEPTH + 2).as_bytes()).unwrap_err(), JsonFault::TooDeep);
    }
}
