//! Compressed bodies: `compression` of a TrafficPolicy.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Disable;
use crate::ai::SpecError;
use crate::policy::http::Setting;
use crate::policy::set_members;

/// How bodies are compressed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.responseCompression) || has(self.requestDecompression)")
        .message("responseCompression or requestDecompression must be set")
)]
pub struct Compression {
    /// Answers are compressed for clients that take it: texts and JSON, of 30 bytes and more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_compression: Option<ResponseCompression>,
    /// Bodies of requests that are compressed go on as they were before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_decompression: Option<RequestDecompression>,
}

/// Answers are compressed.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResponseCompression {
    /// In which forms; Gzip, if absent. The others have no effect yet, and the status says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub libraries: Vec<CompressionLibrary>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_content_length_bytes: Option<i32>,
    /// Not carried out yet: it has no effect, and the status says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(min = 1, max = 256)))]
    pub content_types: Vec<String>,
    /// Takes back what a less specific policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// Bodies of requests go on without compression.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestDecompression {
    /// Of which forms; Gzip, if absent. The others have no effect yet, and the status says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub libraries: Vec<CompressionLibrary>,
    /// Takes back what a less specific policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// A form of compression.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum CompressionLibrary {
    Gzip,
    Brotli,
    Zstd,
}

/// What is done by gzip, of answers and of requests.
type Content = (Option<Setting<()>>, Option<Setting<()>>);

impl Compression {
    /// What it says; `field` holds it. What has no effect is added to `ignored`.
    pub(super) fn content(&self, field: &str, ignored: &mut Vec<String>) -> Result<Content, SpecError> {
        let Self { response_compression, request_decompression } = self;
        let response = response_compression.as_ref().map(|response| {
            let field = format!("{field}.responseCompression");
            let ResponseCompression { libraries, min_content_length_bytes, content_types, disable } =
                response;
            let others = [
                ("minContentLengthBytes", min_content_length_bytes.is_some()),
                ("contentTypes", !content_types.is_empty()),
            ];
            ignored.extend(set_members(others).map(|member| format!("{field}.{member}")));
            by_gzip(&field, libraries, *disable, ignored)
        });
        let request = request_decompression.as_ref().map(|request| {
            let RequestDecompression { libraries, disable } = request;
            by_gzip(&format!("{field}.requestDecompression"), libraries, *disable, ignored)
        });
        match (response, request) {
            (None, None) => {
                let message = "responseCompression or requestDecompression must be set";
                Err(SpecError::invalid(field, message))
            }
            said => Ok(said),
        }
    }
}

/// Whether something is done by gzip.
fn by_gzip(
    field: &str,
    libraries: &[CompressionLibrary],
    disable: Option<Disable>,
    ignored: &mut Vec<String>,
) -> Setting<()> {
    if disable.is_some() {
        return Setting::Off;
    }
    let others = libraries.iter().enumerate().filter(|(_, library)| **library != CompressionLibrary::Gzip);
    ignored.extend(others.map(|(index, _)| format!("{field}.libraries[{index}]")));
    match libraries.is_empty() || libraries.contains(&CompressionLibrary::Gzip) {
        true => Setting::On(()),
        false => Setting::Off,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn gzip_is_done_and_the_rest_is_named() {
        for (spec, response, request, names) in [
            (json!({"responseCompression": {}}), Some(Setting::On(())), None, vec![]),
            (json!({"requestDecompression": {}}), None, Some(Setting::On(())), vec![]),
            (
                json!({"responseCompression": {"disable": {}}, "requestDecompression": {"disable": {}}}),
                Some(Setting::Off),
                Some(Setting::Off),
                vec![],
            ),
            (
                json!({"responseCompression": {"libraries": ["Brotli", "Gzip"], "contentTypes": ["a/b"]}}),
                Some(Setting::On(())),
                None,
                vec!["f.responseCompression.contentTypes", "f.responseCompression.libraries[0]"],
            ),
            (
                json!({"requestDecompression": {"libraries": ["Zstd"]}}),
                None,
                Some(Setting::Off),
                vec!["f.requestDecompression.libraries[0]"],
            ),
        ] {
            let read: Compression = serde_json::from_value(spec.clone()).unwrap();
            let mut ignored = Vec::new();
            assert_eq!(read.content("f", &mut ignored).unwrap(), (response, request), "{spec}");
            assert_eq!(ignored, names, "{spec}");
        }
        let nothing: Compression = serde_json::from_value(Value::Object(Default::default())).unwrap();
        assert_eq!(nothing.content("f", &mut Vec::new()).unwrap_err().path, "f");
    }
}
