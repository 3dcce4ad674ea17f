//! JSON that is kept for long.

use std::sync::Arc;

use serde_json::Value;

/// A JSON value kept as its text, which takes a fraction of the memory that the value takes. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonText(Arc<str>);

impl JsonText {
    /// The value. Costs parsing it.
    pub fn value(&self) -> Value {
        // It is the text of a value.
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        Self(value.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was() {
        for value in [json!(null), json!({"b": [1, -2.5, "\u{7f}\"\\ü"], "a": {"": true}}), json!([])] {
            let text = JsonText::from(&value);
            assert_eq!(text.value(), value);
            assert_eq!(text, JsonText::from(&text.value()));
        }
    }
}
