//! What the readers of requests share.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::ask::Part;
use crate::error::Fault;

/// The member `name`, or nothing when it is absent or null.
pub(super) fn member<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    value.get(name).filter(|member| !member.is_null())
}

/// The text of the member `name`; empty when there is none.
pub(super) fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The members of a list; none when it is absent.
pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The texts of a list, or a single one.
pub(super) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// An image of base64 data.
pub(super) fn image(media_type: &str, data: &str) -> Result<Part, Fault> {
    let decoded =
        STANDARD.decode(data).map_err(|_| Fault::new(400, "The image data is not valid base64."))?;
    Ok(Part::Image { media_type: media_type.to_owned(), bytes: decoded.len() })
}

/// An image by its URL, which may carry the data.
pub(super) fn image_url(url: &str) -> Result<Part, Fault> {
    match url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((media_type, data)) => image(media_type, data),
        None if url.starts_with("data:") => Err(Fault::new(400, "The data URL is not valid.")),
        None => Ok(Part::Image { media_type: "url".to_owned(), bytes: 0 }),
    }
}

/// The arguments of a call that are JSON in text.
pub(super) fn arguments(text: &str) -> Result<Value, Fault> {
    let text = if text.is_empty() { "{}" } else { text };
    serde_json::from_str(text)
        .map_err(|_| Fault::new(400, "The arguments of a tool call are not valid JSON."))
}

/// JSON in pieces of a few letters, as models write arguments.
pub(super) fn json_pieces(value: &Value) -> Vec<String> {
    let letters: Vec<char> = value.to_string().chars().collect();
    letters.chunks(5).map(|piece| piece.iter().collect()).collect()
}
