//! The members of one JSON object, in place.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// Deeper values are refused: nothing that a provider takes is so deep, and deep ones cost their readers dearly.
const MAX_DEPTH: usize = 128;

/// A JSON object with the places of its members. Values are not read, only skipped.
#[derive(Clone, Debug)]
pub struct Object<'a> {
    text: &'a [u8],
    fields: Vec<Field<'a>>,
    /// Where the closing brace stands.
    end: usize,
}

/// One member of an object.
#[derive(Clone, Debug)]
pub struct Field<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Where its value stands in the text.
    pub value: Range<usize>,
}

/// Why a text is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectError {
    /// It is something else, or ends too early, or goes on behind its end. The byte at which it was seen.
    Syntax(usize),
    /// Values are nested too deeply.
    TooDeep,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(at) => write!(f, "is not a JSON object (at byte {at})"),
            Self::TooDeep => write!(f, "is nested more than {MAX_DEPTH} levels deep"),
        }
    }
}

impl std::error::Error for ObjectError {}

/// Where the elements stand in the array that the text is.
///
/// # Errors
/// The text is no array. What [`Object::parse`] says of nested values holds here, too.
pub fn elements(text: &[u8]) -> Result<Vec<Range<usize>>, ObjectError> {
    let mut scanner = Scanner { text, at: 0 };
    let mut elements = Vec::new();
    scanner.list(b'[', b']', |scanner| {
        elements.push(scanner.value()?);
        Ok(())
    })?;
    scanner.end()?;
    Ok(elements)
}

/// A change of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The member.
    pub name: String,
    /// Its new value, as JSON text.
    pub value: Vec<u8>,
}

impl Edit {
    /// A member with this value.
    pub fn new(name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl<'a> Object<'a> {
    /// Finds the members of the object that the text is.
    ///
    /// # Errors
    /// The text is no object. Inside of nested values only brackets and strings are looked at: whoever reads them finds
    /// other mistakes.
    pub fn parse(text: &'a [u8]) -> Result<Self, ObjectError> {
        let mut scanner = Scanner { text, at: 0 };
        // Some clients send a byte order mark, which RFC 8259 lets a reader ignore.
        if text.starts_with(b"\xef\xbb\xbf") {
            scanner.at = 3;
        }
        let mut fields = Vec::new();
        let end = scanner.list(b'{', b'}', |scanner| {
            let name = scanner.name()?;
            scanner.expect(b':')?;
            fields.push(Field { name, value: scanner.value()? });
            Ok(())
        })?;
        scanner.end()?;
        Ok(Self { text, fields, end })
    }

    /// The members, in order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The members, in order.
    pub fn into_fields(self) -> Vec<Field<'a>> {
        self.fields
    }

    /// The values of all members of that name: there may be several.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.filter_map(|field| self.text.get(field.value.clone()))
    }

    /// The value of a member as text. Of several with one name the last one, which is the one that readers take.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        let field = self.fields.iter().rev().find(|field| field.name == name)?;
        self.text.get(field.value.clone())
    }

    /// A member that is a string.
    pub fn string(&self, name: &str) -> Option<String> {
        serde_json::from_slice(self.get(name)?).ok()
    }

    /// Whether a member is `true`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name) == Some(b"true")
    }

    /// Whether the text says already what the edit wants, at each place where the member stands.
    pub fn holds(&self, edit: &Edit) -> bool {
        let mut places = self.fields.iter().filter(|field| field.name == edit.name).peekable();
        places.peek().is_some()
            && places.all(|field| self.text.get(field.value.clone()) == Some(edit.value.as_slice()))
    }

    /// The text with these members: in place of what they were (at each place, if a name stands several times, so that
    /// no reader finds the old value), or at the end.
    pub fn with(&self, edits: &[Edit]) -> Vec<u8> {
        let added: usize = edits.iter().map(|edit| edit.name.len() + edit.value.len() + 8).sum();
        let mut out = Vec::with_capacity(self.text.len() + added);
        let mut from = 0;
        let mut copy = |out: &mut Vec<u8>, upto: usize| {
            out.extend_from_slice(self.text.get(from..upto).unwrap_or_default());
            from = upto;
        };
        for field in &self.fields {
            if let Some(edit) = edits.iter().rev().find(|edit| edit.name == field.name) {
                copy(&mut out, field.value.start);
                out.extend_from_slice(&edit.value);
                // What was there is passed over.
                from_skip(&mut copy, field.value.end);
            }
        }
        copy(&mut out, self.end);
        let mut is_first = self.fields.is_empty();
        for (index, edit) in edits.iter().enumerate() {
            let is_known = self.fields.iter().any(|field| field.name == edit.name);
            let is_last = edits.iter().skip(index + 1).all(|later| later.name != edit.name);
            if is_known || !is_last {
                continue;
            }
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            out.extend_from_slice(&serde_json::to_vec(&edit.name).unwrap_or_default());
            out.push(b':');
            out.extend_from_slice(&edit.value);
        }
        copy(&mut out, self.text.len());
        out
    }
}

/// Moves on without copying.
fn from_skip(copy: &mut impl FnMut(&mut Vec<u8>, usize), upto: usize) {
    let mut nowhere = Vec::new();
    copy(&mut nowhere, upto);
}

/// Goes through a text.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ObjectError> {
        self.blank();
        if self.peek() != Some(byte) {
            return Err(ObjectError::Syntax(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// What stands between two brackets, with commas between; where the closing one stands.
    fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), ObjectError>,
    ) -> Result<usize, ObjectError> {
        self.expect(open)?;
        self.blank();
        if self.peek() != Some(close) {
            loop {
                item(self)?;
                self.blank();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => break,
                    _ => return Err(ObjectError::Syntax(self.at)),
                }
            }
        }
        self.at += 1;
        Ok(self.at - 1)
    }

    /// Nothing but blanks may follow.
    fn end(&mut self) -> Result<(), ObjectError> {
        self.blank();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(ObjectError::Syntax(self.at)),
        }
    }

    /// A string, with its quotes; the scanner stands at its first quote.
    fn string(&mut self) -> Result<&'a [u8], ObjectError> {
        let start = self.at;
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = memchr::memchr2(b'"', b'\\', rest) else {
                return Err(ObjectError::Syntax(self.text.len()));
            };
            self.at += next;
            let is_end = self.peek() == Some(b'"');
            self.at += if is_end { 1 } else { 2 };
            if is_end {
                return Ok(self.text.get(start..self.at).unwrap_or_default());
            }
        }
    }

    fn name(&mut self) -> Result<Cow<'a, str>, ObjectError> {
        self.blank();
        let at = self.at;
        if self.peek() != Some(b'"') {
            return Err(ObjectError::Syntax(at));
        }
        let text = self.string()?;
        let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or_default();
        if !inner.contains(&b'\\') {
            return std::str::from_utf8(inner).map(Cow::Borrowed).map_err(|_| ObjectError::Syntax(at));
        }
        serde_json::from_slice::<String>(text).map(Cow::Owned).map_err(|_| ObjectError::Syntax(at))
    }

    fn value(&mut self) -> Result<Range<usize>, ObjectError> {
        self.blank();
        let start = self.at;
        match self.peek() {
            Some(b'"') => drop(self.string()?),
            Some(b'{' | b'[') => self.nested()?,
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                let rest = self.text.get(start..).unwrap_or_default();
                self.at += rest.iter().take_while(|byte| is_part(byte)).count();
            }
            _ => return Err(ObjectError::Syntax(start)),
        }
        Ok(start..self.at)
    }

    /// An object or array: to the bracket that closes it.
    fn nested(&mut self) -> Result<(), ObjectError> {
        let mut open = [0_u8; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let is_sign = |byte: &u8| matches!(byte, b'"' | b'{' | b'[' | b'}' | b']');
            let Some(next) = rest.iter().position(is_sign) else {
                return Err(ObjectError::Syntax(self.text.len()));
            };
            self.at += next;
            let byte = self.peek().unwrap_or_default();
            match byte {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => {
                    *open.get_mut(depth).ok_or(ObjectError::TooDeep)? = byte;
                    depth += 1;
                }
                _ => {
                    depth -= 1;
                    let opened = open.get(depth).copied().unwrap_or_default();
                    // The closing bracket stands two places after the opening one in ASCII.
                    if opened + 2 != byte {
                        return Err(ObjectError::Syntax(self.at));
                    }
                }
            }
            self.at += 1;
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(text: &str, edits: &[(&str, &str)]) -> String {
        let edits: Vec<Edit> = edits.iter().map(|(name, value)| Edit::new(*name, *value)).collect();
        String::from_utf8(Object::parse(text.as_bytes()).unwrap().with(&edits)).unwrap()
    }

    #[test]
    fn members_are_replaced_in_place_and_added_at_the_end() {
        let text = "{ \"model\" : \"a\", \"x\":[{\"model\":\"}\\\"\"}] ,\n\"n\": -1.5e3 }\n";
        for (edits, expected) in [
            (&[][..], text.to_owned()),
            (&[("model", "\"b\"")], text.replacen("\"a\"", "\"b\"", 1)),
            (&[("n", "1"), ("model", "null")], text.replacen("\"a\"", "null", 1).replace("-1.5e3", "1")),
            (&[("y", "{}"), ("z", "2")], text.replacen("-1.5e3 }", "-1.5e3 ,\"y\":{},\"z\":2}", 1)),
            (&[("y", "1"), ("y", "2")], text.replacen("-1.5e3 }", "-1.5e3 ,\"y\":2}", 1)),
        ] {
            assert_eq!(edited(text, edits), expected);
        }
        assert_eq!(edited("{}", &[("a", "1"), ("b", "2")]), "{\"a\":1,\"b\":2}");
        assert_eq!(edited("\u{feff} { } ", &[("a", "1")]), "\u{feff} { \"a\":1} ");
    }

    /// Readers differ in which one they take.
    #[test]
    fn a_name_that_stands_twice_is_replaced_at_both_places() {
        let text = r#"{"model":"a","m\u006fdel":"b"}"#;
        assert_eq!(edited(text, &[("model", "1")]), r#"{"model":1,"m\u006fdel":1}"#);
        assert_eq!(Object::parse(text.as_bytes()).unwrap().string("model").as_deref(), Some("b"));
    }

    #[test]
    fn what_a_text_holds_at_each_place_it_holds() {
        let object = |text: &'static str| Object::parse(text.as_bytes()).unwrap();
        let edit = Edit::new("model", "\"a\"");
        assert!(object(r#"{"x":1,"model" : "a" }"#).holds(&edit));
        assert!(object(r#"{"model":"a","model":"a"}"#).holds(&edit));
        for text in ["{}", r#"{"model":"b"}"#, r#"{"model":"a","m\u006fdel":"b"}"#, r#"{"x":{"model":"a"}}"#]
        {
            assert!(!object(text).holds(&edit), "{text}");
        }
    }

    #[test]
    fn elements_are_found_in_place() {
        let found = |text: &str| {
            elements(text.as_bytes())
                .map(|places| places.into_iter().map(|place| text[place].to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(found(" [ ] ").unwrap(), Vec::<String>::new());
        let text = "[1, \"],\\\"\" ,{\"a\":[2]},[ [] ],null\n]";
        assert_eq!(found(text).unwrap(), ["1", "\"],\\\"\"", "{\"a\":[2]}", "[ [] ]", "null"]);
        for text in ["", "{}", "[", "[1", "[1,]", "[,]", "[1 2]", "[1]]", "[1] 2", "[\"a]"] {
            assert!(elements(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        for text in [
            "",
            " ",
            "[]",
            "1",
            "\"{}\"",
            "{",
            "{}}",
            "{} x",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\":[}",
            "{\"a\":[}]}",
            "{\"a\":{]}",
            "{a:1}",
            "{\"a\":1 \"b\":2}",
            "{\"a\":\"b",
            "{\"a\":\"b\\",
            "{\"\\x\":1}",
            "{\"a\":+1}",
        ] {
            assert!(Object::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert_eq!(Object::parse(b"{\"\xff\":1}").unwrap_err(), ObjectError::Syntax(1));
        assert!(Object::parse(deep(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(Object::parse(deep(MAX_DEPTH + 1).as_bytes()).unwrap_err(), ObjectError::TooDeep);
    }
}
