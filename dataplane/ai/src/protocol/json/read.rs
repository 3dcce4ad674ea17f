use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::json::{self, Object, elements};
use crate::protocol::error::RequestError;
use crate::protocol::lost::Lost;

/// The text of a JSON value, known to be valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct RawJson(String);

impl RawJson {
    /// The value that `text` holds, if that is JSON.
    pub(in crate::protocol) fn parse(text: &str) -> Option<Self> {
        let raw: &RawValue = serde_json::from_str(text).ok()?;
        Some(Self(raw.get().to_owned()))
    }

    pub(in crate::protocol) fn as_str(&self) -> &str {
        &self.0
    }

    pub(in crate::protocol) fn into_string(self) -> String {
        self.0
    }

    /// As a number, for comparisons only.
    pub(in crate::protocol) fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }
}

/// A value with the path it had in the client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::protocol) struct Located<T> {
    pub(in crate::protocol) value: T,
    pub(in crate::protocol) path: String,
}

/// How deep a request may be nested where it is read; opaque values may be deeper.
const MAX_DEPTH: usize = 64;

/// Whether `text` is a JSON object.
pub(in crate::protocol) fn is_json_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// One value of a request, with its path. The document is known to be JSON, so that values in it are only looked for, which
/// costs less than to read what they hold once more at each level.
#[derive(Debug, Clone)]
pub(in crate::protocol) struct Field<'a> {
    raw: &'a str,
    depth: usize,
    pub(in crate::protocol) path: String,
}

impl<'a> Field<'a> {
    /// The document itself.
    pub(in crate::protocol) fn document(body: &'a [u8]) -> Result<Self, RequestError> {
        let text = std::str::from_utf8(body)
            .map_err(|_| RequestError::invalid(None, "the request body is not UTF-8"))?;
        let raw: &RawValue = serde_json::from_str(text)
            .map_err(|e| RequestError::invalid(None, format!("the request body is not JSON: {e}")))?;
        Ok(Self { raw: raw.get(), depth: 0, path: String::new() })
    }

    /// Readers recurse where protocols nest; no request needs that much.
    fn check_depth(&self) -> Result<(), RequestError> {
        if self.depth > MAX_DEPTH {
            return Err(RequestError::invalid(None, "the request is nested too deeply"));
        }
        Ok(())
    }

    fn wrong(&self, expected: &str) -> RequestError {
        RequestError::invalid(Some(&self.path), format!("expected {expected}"))
    }

    /// The first byte, which tells the type of a value.
    fn first(&self) -> u8 {
        self.raw.bytes().next().unwrap_or(b'n')
    }

    pub(in crate::protocol) fn is_text(&self) -> bool {
        self.first() == b'"'
    }

    pub(in crate::protocol) fn is_array(&self) -> bool {
        self.first() == b'['
    }

    pub(in crate::protocol) fn is_object(&self) -> bool {
        self.first() == b'{'
    }

    pub(in crate::protocol) fn is_null(&self) -> bool {
        self.raw == "null"
    }

    pub(in crate::protocol) fn raw_text(&self) -> &'a str {
        self.raw
    }

    pub(in crate::protocol) fn raw(&self) -> RawJson {
        RawJson(self.raw.to_owned())
    }

    pub(in crate::protocol) fn raw_object(&self) -> Result<RawJson, RequestError> {
        if self.is_object() { Ok(self.raw()) } else { Err(self.wrong("an object")) }
    }

    pub(in crate::protocol) fn text(&self) -> Result<String, RequestError> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a string"))
    }

    pub(in crate::protocol) fn boolean(&self) -> Result<bool, RequestError> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("true or false"))
    }

    pub(in crate::protocol) fn unsigned(&self) -> Result<u64, RequestError> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a whole number that is not negative"))
    }

    pub(in crate::protocol) fn integer(&self) -> Result<i64, RequestError> {
        serde_json::from_str(self.raw).map_err(|_| self.wrong("a whole number"))
    }

    pub(in crate::protocol) fn number(&self) -> Result<RawJson, RequestError> {
        match self.first() {
            b'-' | b'0'..=b'9' => Ok(self.raw()),
            _ => Err(self.wrong("a number")),
        }
    }

    pub(in crate::protocol) fn object(&self) -> Result<Fields<'a>, RequestError> {
        if !self.is_object() {
            return Err(self.wrong("an object"));
        }
        self.check_depth()?;
        let object = Object::parse(self.raw.as_bytes()).map_err(|_| self.wrong("an object"))?;
        let entry = |field: json::Field<'a>| Some((field.name, self.raw.get(field.value)?));
        let entries: Vec<_> = object.into_fields().into_iter().filter_map(entry).collect();
        let mut fields = Fields { path: self.path.clone(), depth: self.depth, entries: Vec::new() };
        if let Some(name) = repeated(&entries) {
            let path = fields.path_of(name);
            // Readers differ in which of two values they believe; a guard and a provider must not.
            return Err(RequestError::invalid(Some(&path), "the field is given twice"));
        }
        fields.entries = entries;
        Ok(fields)
    }

    pub(in crate::protocol) fn array(&self) -> Result<Vec<Field<'a>>, RequestError> {
        if !self.is_array() {
            return Err(self.wrong("an array"));
        }
        self.check_depth()?;
        let depth = self.depth + 1;
        let items = elements(self.raw.as_bytes()).map_err(|_| self.wrong("an array"))?;
        let fields = items.into_iter().filter_map(|item| self.raw.get(item)).enumerate();
        Ok(fields.map(|(index, raw)| Field { raw, depth, path: format!("{}[{index}]", self.path) }).collect())
    }

    pub(in crate::protocol) fn texts(&self) -> Result<Vec<String>, RequestError> {
        self.array()?.iter().map(Field::text).collect()
    }

    pub(in crate::protocol) fn located<T>(self, value: T) -> Located<T> {
        Located { value, path: self.path }
    }
}

/// A name that stands twice in an object.
fn repeated<'e>(entries: &'e [(Cow<'_, str>, &str)]) -> Option<&'e str> {
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().map(|(name, _)| name.as_ref()).find(|name| !seen.insert(*name))
}

/// The fields of an object that are not read yet.
#[derive(Debug)]
pub(in crate::protocol) struct Fields<'a> {
    pub(in crate::protocol) path: String,
    depth: usize,
    entries: Vec<(Cow<'a, str>, &'a str)>,
}

impl<'a> Fields<'a> {
    pub(in crate::protocol) fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field. `null` counts as absent.
    pub(in crate::protocol) fn take(&mut self, name: &str) -> Option<Field<'a>> {
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        let (_, raw) = self.entries.remove(at);
        let field = Field { raw, depth: self.depth + 1, path: self.path_of(name) };
        (!field.is_null()).then_some(field)
    }

    /// Takes a field of a protobuf message, whose JSON may spell it in either case.
    pub(in crate::protocol) fn take_proto(&mut self, name: &str) -> Option<Field<'a>> {
        self.take(name).or_else(|| self.take(&snake_case(name)))
    }

    pub(in crate::protocol) fn require(&mut self, name: &str) -> Result<Field<'a>, RequestError> {
        let path = self.path_of(name);
        self.take(name).ok_or_else(|| RequestError::invalid(Some(&path), "the field is required"))
    }

    pub(in crate::protocol) fn text(&mut self, name: &str) -> Result<Option<String>, RequestError> {
        self.take(name).map(|field| field.text()).transpose()
    }

    /// The field that says which variant an object is.
    pub(in crate::protocol) fn tag(&mut self) -> Result<String, RequestError> {
        self.require("type")?.text()
    }

    pub(in crate::protocol) fn located<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, RequestError>,
    ) -> Result<Option<Located<T>>, RequestError> {
        self.take(name).map(|field| Ok(Located { value: read(&field)?, path: field.path })).transpose()
    }

    pub(in crate::protocol) fn located_proto<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Field<'a>) -> Result<T, RequestError>,
    ) -> Result<Option<Located<T>>, RequestError> {
        self.take_proto(name).map(|field| Ok(Located { value: read(&field)?, path: field.path })).transpose()
    }

    /// What is left, except nulls.
    pub(in crate::protocol) fn rest(self) -> Vec<(String, Field<'a>)> {
        let Self { path, depth, entries } = self;
        let path_of = |name: &str| {
            if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
        };
        let fields = entries
            .into_iter()
            .map(|(name, raw)| (name.to_string(), Field { raw, depth: depth + 1, path: path_of(&name) }));
        fields.filter(|(_, field)| !field.is_null()).collect()
    }

    /// Reports what is left as not carried.
    pub(in crate::protocol) fn finish(self, lost: &mut Lost) {
        for (_, field) in self.rest() {
            lost.add(&field.path, "the field is unknown here");
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
