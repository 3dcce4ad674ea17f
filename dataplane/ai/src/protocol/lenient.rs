//! Values of answers that providers write in more than one way.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A count that may also be written as a decimal number or be null.
pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let raw = Option::<&'de RawValue>::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| {
        let text = raw.get();
        let whole = text.split('.').next().unwrap_or(text);
        whole.parse().ok()
    }))
}

/// A text that some hosts write as a number.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text_or_json(Option::<&'de RawValue>::deserialize(deserializer)?))
}

/// The text of a value: a string's content, or the JSON of anything else but null.
pub(super) fn text_or_json(raw: Option<&RawValue>) -> Option<String> {
    let text = raw?.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).ok(),
        _ if text == "null" => None,
        _ => Some(text.to_owned()),
    }
}
