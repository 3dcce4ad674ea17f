use std::borrow::Cow;

use super::RawJson;

/// A JSON value to be written. Objects keep the order of their fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) enum Json {
    Null,
    Bool(bool),
    Unsigned(u64),
    Text(String),
    /// Text that is JSON already.
    Raw(RawJson),
    Array(Vec<Json>),
    Object(Map),
}

/// A JSON object to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::protocol) struct Map(Vec<(Cow<'static, str>, Json)>);

impl Map {
    pub(in crate::protocol) fn new() -> Self {
        Self::default()
    }

    /// An object whose first field is `type`.
    pub(in crate::protocol) fn tagged(tag: &str) -> Self {
        Self::new().with("type", tag)
    }

    pub(in crate::protocol) fn with(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.set(name, value);
        self
    }

    pub(in crate::protocol) fn with_some(self, name: &'static str, value: Option<impl Into<Json>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(in crate::protocol) fn set(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Json>,
    ) -> &mut Self {
        self.0.push((name.into(), value.into()));
        self
    }

    pub(in crate::protocol) fn set_some(
        &mut self,
        name: &'static str,
        value: Option<impl Into<Json>>,
    ) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    /// Sets a field unless `value` has no fields.
    pub(in crate::protocol) fn set_filled(&mut self, name: &'static str, value: Map) -> &mut Self {
        if !value.is_empty() {
            self.set(name, value);
        }
        self
    }

    /// Adds the fields of another object.
    pub(in crate::protocol) fn append(&mut self, other: Map) {
        self.0.extend(other.0);
    }

    pub(in crate::protocol) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(in crate::protocol) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(name, out);
            out.push(b':');
            value.write(out);
        }
        out.push(b'}');
    }

    pub(in crate::protocol) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    pub(in crate::protocol) fn to_text(&self) -> String {
        String::from_utf8(self.to_bytes()).unwrap_or_default()
    }
}

impl Json {
    /// A value that is not an object or array of objects is written as it is; so is everything else.
    pub(in crate::protocol) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Unsigned(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => write_text(text, out),
            Self::Raw(raw) => out.extend_from_slice(raw.as_str().as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(map) => map.write(out),
        }
    }
}

/// A string with its quotes. Most texts have long runs without anything to escape.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_escaped(rest) {
        let (plain, behind) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, behind)) = behind.split_first() else { break };
        escape(*byte, out);
        rest = behind;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte stands that a string cannot have as it is. Eight bytes are looked at in one word.
fn first_escaped(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = escaped_bytes(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let is_escaped = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    Some(words.len() * 8 + rest.iter().position(is_escaped)?)
}

/// A word whose lowest bit that is set belongs to the first (lowest) byte of `word` that has to be escaped; zero if there
/// is none. Bytes behind that one may be taken for others: a subtraction carries into them.
fn escaped_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, 0x20) | is(b'"') | is(b'\\')) & HIGH
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        0..0x20 => {
            let digit = |value: u8| HEX.get(usize::from(value)).copied().unwrap_or(b'0');
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
            return;
        }
        _ => byte,
    };
    out.extend_from_slice(&[b'\\', letter]);
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Self::Unsigned(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Self::Unsigned(value.into())
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Unsigned(u64::try_from(value).unwrap_or(u64::MAX))
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&String> for Json {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<RawJson> for Json {
    fn from(value: RawJson) -> Self {
        Self::Raw(value)
    }
}

impl From<&RawJson> for Json {
    fn from(value: &RawJson) -> Self {
        Self::Raw(value.clone())
    }
}

impl From<Map> for Json {
    fn from(value: Map) -> Self {
        Self::Object(value)
    }
}

impl From<Vec<Json>> for Json {
    fn from(value: Vec<Json>) -> Self {
        Self::Array(value)
    }
}

impl From<Vec<Map>> for Json {
    fn from(value: Vec<Map>) -> Self {
        Self::Array(value.into_iter().map(Json::Object).collect())
    }
}

impl From<&[String]> for Json {
    fn from(value: &[String]) -> Self {
        Self::Array(value.iter().map(Json::from).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_serde_writes_them() {
        let all: String = (0..=0x180).filter_map(char::from_u32).collect();
        let long = "a long run of plain text, ä too, ".repeat(10);
        for text in
            ["", "\"", "\\", "plain", all.as_str(), long.as_str(), &(long.clone() + "\n" + &all + &long)]
        {
            for cut in 0..text.len().min(40) {
                let Some(text) = text.get(cut..) else { continue };
                let mut out = Vec::new();
                write_text(text, &mut out);
                assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(text).unwrap());
            }
        }
    }
}
