//! Server-sent events, as the providers write them.

use bytes::Bytes;
use serde_json::Value;

/// An event without a name (OpenAI, Mistral).
pub(super) fn data(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

/// An event with a name (Anthropic, OpenAI's responses): that of the member `type`.
pub(super) fn typed(value: &Value) -> Bytes {
    let name = value.get("type").and_then(Value::as_str).unwrap_or_default();
    format!("event: {name}\ndata: {value}\n\n").into()
}

/// An event as Google writes it, whose lines end in CR and LF.
pub(super) fn google(value: &Value) -> Bytes {
    format!("data: {value}\r\n\r\n").into()
}
