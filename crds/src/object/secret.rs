//! What an API server does to a Secret on its way in.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{ByteString, core::Secret};
use k8s_openapi::api::core::v1 as core_v1;

/// Turns a null entry of `stringData` into an empty string, as the API server reads it. An unset shell
/// variable in a manifest is written so; the key must stay visible, with nothing in it.
pub(super) fn nulls_to_empty(secret: &mut Value) {
    let Some(Value::Object(entries)) = secret.get_mut("stringData") else { return };
    for entry in entries.values_mut().filter(|entry| entry.is_null()) {
        *entry = Value::String(String::new());
    }
}

impl<'de> Deserialize<'de> for Secret {
    /// Merges the write-only `stringData` into `data`, overwriting, as the API server does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut secret = core_v1::Secret::deserialize(deserializer)?;
        if let Some(entries) = secret.string_data.take() {
            let entries = entries.into_iter().map(|(key, value)| (key, ByteString(value.into_bytes())));
            secret.data.get_or_insert_default().extend(entries);
        }
        Ok(Self::from(secret))
    }
}
