//! Strict decoding of one already parsed document.
//!
//! Two rules shape the messages. A field is named by its full path. The *value* of a field is never
//! repeated where it may be a credential: `serde` quotes what it did not expect
//! (`invalid type: string "sk-…"`), so every message passes through [`redact`].

use std::{error, fmt};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{KINDS, KindInfo, Object, secret};
use crate::object_ref::ObjectRef;
use crate::similar::most_similar;

/// Namespace of a namespaced object that names none, as `kubectl` uses without further configuration.
const DEFAULT_NAMESPACE: &str = "default";

/// A decoded object, and what in its document was not understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The object. A namespaced object always has a namespace.
    pub object: Object,
    /// Paths of fields that its type does not have, sorted within one object.
    pub unknown_fields: Vec<String>,
}

/// Why a document is not one of our objects. No variant repeats the value of a possibly secret field.
#[derive(Clone, Debug, PartialEq)]
pub enum DecodeError {
    /// Not a Kubernetes object at all; says what is missing.
    NotAnObject(&'static str),
    /// An object of a kind or version that is not in [`KINDS`].
    UnknownKind {
        /// `apiVersion` as written.
        api_version: String,
        /// `kind` as written.
        kind: String,
    },
    /// An object of a known kind that does not fit its type.
    Invalid(Box<InvalidObject>),
}

/// An object of a known kind that does not fit its type.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidObject {
    /// The kind it claims to be.
    pub kind: KindInfo,
    /// Its key, if it could be read.
    pub object: Option<ObjectRef>,
    /// Path of the offending field, such as `spec.rules[0].matches[1].path.type`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject(message) => f.write_str(message),
            Self::UnknownKind { api_version, kind } => {
                write!(f, "{kind} of {api_version} is not a kind that Chancery reads")?;
                match meant_by(api_version, kind) {
                    Some(known) => {
                        write!(f, "; did you mean apiVersion: {}, kind: {}?", known.api_version(), known.kind)
                    }
                    None => Ok(()),
                }
            }
            Self::Invalid(invalid) => invalid.fmt(f),
        }
    }
}

impl fmt::Display for InvalidObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => object.fmt(f)?,
            None => f.write_str(self.kind.kind)?,
        }
        write!(f, ": {}: {}", self.path, self.message)
    }
}

impl error::Error for DecodeError {}

/// Decodes one parsed document into all the objects it holds: none for an empty document, the items of
/// a `List` (however nested), or the one object. An item that fails leaves the others standing.
pub fn decode_all(document: Value) -> Vec<Result<Decoded, DecodeError>> {
    documents(document).into_iter().map(|(_, document)| decode(document?)).collect()
}

/// The documents of single objects in a document, as [`decode_all`] takes them apart, each with its path: empty for a
/// document that is an object itself, else such as `items[2]`.
pub fn documents(document: Value) -> Vec<(String, Result<Value, DecodeError>)> {
    let mut found = Vec::new();
    take_apart(document, String::new(), &mut found);
    found
}

fn take_apart(document: Value, path: String, found: &mut Vec<(String, Result<Value, DecodeError>)>) {
    let is_list = document.get("kind").is_some_and(|kind| kind == "List")
        && document.get("apiVersion").is_some_and(|version| version == "v1");
    let separator = if path.is_empty() { "" } else { "." };
    match document {
        Value::Null => {}
        Value::Object(mut list) if is_list => match list.remove("items") {
            Some(Value::Array(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    take_apart(item, format!("{path}{separator}items[{index}]"), found);
                }
            }
            Some(Value::Null) | None => {}
            Some(_) => {
                let error = DecodeError::NotAnObject("the `items` of the List are not a list");
                found.push((path, Err(error)));
            }
        },
        document => found.push((path, Ok(document))),
    }
}

/// The row of [`KINDS`] and the version that a document claims, and its key as far as it has one; `None`
/// if it is not of a kind and version that we read.
pub fn claimed(document: &Value) -> Option<(&'static KindInfo, &str, Option<ObjectRef>)> {
    let text = |field: &str| document.get(field).and_then(Value::as_str);
    let (group, version) = split_api_version(text("apiVersion")?);
    let known = find_kind(group, text("kind")?).filter(|known| known.versions.contains(&version))?;
    Some((known, version, claimed_ref(known, document)))
}

pub(super) fn decode(mut document: Value) -> Result<Decoded, DecodeError> {
    let api_version = take_string(&mut document, "apiVersion").ok_or(DecodeError::NotAnObject(
        "not a Kubernetes object: `apiVersion` is missing or not a string",
    ))?;
    let kind = take_string(&mut document, "kind")
        .ok_or(DecodeError::NotAnObject("not a Kubernetes object: `kind` is missing or not a string"))?;
    let (group, version) = split_api_version(&api_version);
    let known = find_kind(group, &kind).filter(|known| known.versions.contains(&version));
    let Some((known, decoder)) = known.zip(super::decoder(group, &kind)) else {
        return Err(DecodeError::UnknownKind { api_version, kind });
    };
    let reference = claimed_ref(known, &document);
    decode_known(known, decoder, document).map_err(|FieldError { path, message }| {
        DecodeError::Invalid(Box::new(InvalidObject { kind: *known, object: reference, path, message }))
    })
}

fn decode_known(known: &KindInfo, decoder: Decoder, mut document: Value) -> Result<Decoded, FieldError> {
    check_and_complete_metadata(known, &mut document)?;
    if known.kind == "Secret" {
        secret::nulls_to_empty(&mut document);
    }
    let mut unknown_fields = Vec::new();
    match decoder(document, &mut unknown_fields) {
        Ok(object) => Ok(Decoded { object, unknown_fields }),
        Err(FieldError { path, message }) => Err(FieldError { message: words(known, &path, message), path }),
    }
}

// --- the steps ---

/// What is wrong with one field.
#[derive(Debug)]
pub(super) struct FieldError {
    path: String,
    message: String,
}

impl FieldError {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }
}

/// Decodes a document into its type and collects the paths of fields unknown to that type.
pub(super) type Decoder = fn(Value, &mut Vec<String>) -> Result<Object, FieldError>;

/// The decoder of a type.
pub(super) fn decoder<T: DeserializeOwned + Into<Object>>() -> Decoder {
    |document, unknown_fields| {
        let mut on_unknown = |path: serde_ignored::Path<'_>| unknown_fields.push(render_path(&path));
        let deserializer = serde_ignored::Deserializer::new(document, &mut on_unknown);
        serde_path_to_error::deserialize::<_, T>(deserializer).map(Into::into).map_err(|error| {
            let path = error.path().to_string();
            field_error(if path == "." { "" } else { &path }, &error.into_inner().to_string())
        })
    }
}

/// `serde` reports a missing field at its parent; we report it where it should have been.
fn field_error(path: &str, message: &str) -> FieldError {
    match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) if path.is_empty() => FieldError::new(field, "is required"),
        Some(field) => FieldError::new(&format!("{path}.{field}"), "is required"),
        None => FieldError::new(path, message),
    }
}

/// A path as users write it: `spec.rules[0].name`.
fn render_path(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", render_path(parent)),
        Path::Map { parent, key } => match render_path(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            render_path(parent)
        }
    }
}

/// A `serde` message in the words of whoever wrote the document, without the value that it quotes.
fn words(known: &KindInfo, path: &str, message: String) -> String {
    if known.kind == "Secret" && path.starts_with("data.") {
        return "is not base64: encode the value (`base64 -w0`), or write it as it is under stringData"
            .to_owned();
    }
    let message = redact(may_be_credential(known, path), message);
    let Some((found, expected)) = message.split_once(", expected ") else { return message };
    if let Some(found) = found.strip_prefix("invalid type: ") {
        return format!("must be {}, not {}", type_words(expected), type_words(found));
    }
    match found.strip_prefix("unknown variant ") {
        Some(found) => format!("{found} is not {expected}"),
        None => format!("must be {}", type_words(expected)),
    }
}

/// What a type is called in YAML.
fn type_words(name: &str) -> &str {
    match name {
        "a nonzero u16" | "u16" => "a number from 1 to 65535",
        "i32" | "i64" | "u32" | "u64" | "isize" | "usize" | "integer" => "an integer",
        "floating point" => "a number",
        "string" => "a string",
        "boolean" => "a boolean",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" => "an object",
        "unit" | "unit value" | "Option value" => "null",
        name if name.starts_with("struct ") => "an object",
        name => name,
    }
}

/// Whether what stands at that path of an object may be a credential, in its place or beside it: no message repeats it.
pub fn may_be_credential(kind: &KindInfo, path: &str) -> bool {
    matches!(kind.kind, "Secret" | "Backend" | "Upstream")
        || path.split(['.', '[']).any(|part| matches!(part, "authToken" | "basicAuth" | "apiKeyAuth"))
}

/// Removes from a `serde` message the value that it quotes.
///
/// Everywhere for a wrong type (the path says enough); where a credential may be, everything but
/// what was expected. An HTTPRoute's unknown enum value is kept: it is the typo that the user looks for.
fn redact(may_be_credential: bool, message: String) -> String {
    // The last one: an earlier one may be inside the quoted value.
    let expected = message.rsplit_once(", expected ").map(|(_, expected)| expected);
    let unexpected = ["invalid type: ", "invalid value: "].iter().find_map(|prefix| {
        let value = message.strip_prefix(prefix)?;
        // The forms are: string "x" / integer `5` / floating point `1.5` / map, expected …
        let noun = value.split(['"', '`', ',']).next()?.trim_end();
        Some(format!("{prefix}{noun}"))
    });
    match (unexpected, expected) {
        (Some(unexpected), Some(expected)) => format!("{unexpected}, expected {expected}"),
        (_, Some(expected)) if may_be_credential => format!("is not valid, expected {expected}"),
        (_, None) if may_be_credential && message != "is required" => "is not valid".to_owned(),
        _ => message,
    }
}

/// Checks what an API server checks of any object's name and scope, and adds the default namespace.
fn check_and_complete_metadata(known: &KindInfo, document: &mut Value) -> Result<(), FieldError> {
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(FieldError::new("metadata.name", "is required"));
    };
    match metadata.get("name") {
        Some(Value::String(name)) => check_name(known, name)?,
        Some(Value::Null) | None => return Err(FieldError::new("metadata.name", "is required")),
        Some(_) => return Err(FieldError::new("metadata.name", "is not a string")),
    }
    match metadata.get("namespace") {
        Some(Value::String(namespace)) if !namespace.is_empty() => {
            if !known.namespaced {
                let message = format!("must not be set: a {} does not live in a namespace", known.kind);
                return Err(FieldError::new("metadata.namespace", message));
            }
            check_label("metadata.namespace", namespace)
        }
        Some(Value::String(_) | Value::Null) | None => {
            if known.namespaced {
                metadata.insert("namespace".to_owned(), Value::String(DEFAULT_NAMESPACE.to_owned()));
            } else {
                metadata.remove("namespace");
            }
            Ok(())
        }
        Some(_) => Err(FieldError::new("metadata.namespace", "is not a string")),
    }
}

fn check_name(known: &KindInfo, name: &str) -> Result<(), FieldError> {
    name_problem(known, name).map_or(Ok(()), |message| Err(FieldError::new("metadata.name", message)))
}

fn check_label(path: &str, label: &str) -> Result<(), FieldError> {
    label_problem(label).map_or(Ok(()), |message| Err(FieldError::new(path, message)))
}

/// What is wrong with the name of an object of this kind.
pub fn name_problem(known: &KindInfo, name: &str) -> Option<&'static str> {
    if known.kind == "Namespace" {
        return label_problem(name);
    }
    let rule = "is not a DNS-1123 subdomain: lower-case letters, digits, `-` and `.`, beginning and ending \
                with a letter or digit, at most 253 characters";
    (!is_dns_subdomain(name)).then_some(rule)
}

/// What is wrong with a text that must be a DNS-1123 label, such as a namespace.
pub fn label_problem(label: &str) -> Option<&'static str> {
    let rule = "is not a DNS-1123 label: lower-case letters, digits and `-`, beginning and ending with a \
                letter or digit, at most 63 characters";
    (label.len() > 63 || !is_dns_label_text(label)).then_some(rule)
}

/// Whether a text is a DNS-1123 subdomain.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label_text)
}

/// The characters of a DNS-1123 label, without its length limit (a subdomain limits only the whole).
fn is_dns_label_text(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && !text.starts_with('-') && !text.ends_with('-') && text.chars().all(inner)
}

// --- reading the head of a document ---

fn take_string(document: &mut Value, field: &str) -> Option<String> {
    match document.as_object_mut()?.remove(field)? {
        Value::String(value) => Some(value),
        _ => None,
    }
}

/// Group (empty for core) and version.
fn split_api_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The kind that was probably meant by one that we do not read: of another version, or of nearly that name or group.
/// Other groups have kinds of the same names, which are not meant.
pub fn meant_by(api_version: &str, kind: &str) -> Option<&'static KindInfo> {
    let (group, _) = split_api_version(api_version);
    let name = KINDS.iter().map(|known| known.kind).find(|known| *known == kind);
    let name = name.or_else(|| most_similar(kind, KINDS.iter().map(|known| known.kind)))?;
    let is_part = |whole: &str, part: &str| {
        whole.strip_suffix(part).is_some_and(|rest| rest.ends_with('.') || rest.is_empty())
    };
    let is_near = |known: &KindInfo| {
        let is_similar = || most_similar(group, [known.group]).is_some();
        known.group == group || group.is_empty() || is_part(known.group, group) || is_similar()
    };
    let candidates = || KINDS.iter().filter(|known| known.kind == name);
    candidates().find(|known| known.group == group).or_else(|| candidates().find(|known| is_near(known)))
}

fn find_kind(group: &str, kind: &str) -> Option<&'static KindInfo> {
    KINDS.iter().find(|known| known.group == group && known.kind == kind)
}

/// The key that an object claims, read before it is known to be valid.
fn claimed_ref(known: &KindInfo, document: &Value) -> Option<ObjectRef> {
    let metadata = document.get("metadata")?;
    let name = metadata.get("name")?.as_str()?;
    let namespace =
        metadata.get("namespace").and_then(Value::as_str).filter(|namespace| !namespace.is_empty());
    Some(match (known.namespaced, namespace) {
        (true, namespace) => {
            ObjectRef::namespaced(known.group, known.kind, namespace.unwrap_or(DEFAULT_NAMESPACE), name)
        }
        (false, _) => ObjectRef::cluster(known.group, known.kind, name),
    })
}
