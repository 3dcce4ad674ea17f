//! Compressed bodies: `compression` of a TrafficPolicy.
#![allow(unreachable_pub, reason = "the KubeSchema derive makes hidden copies of the structs")]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::http::Disable;
use crate::ai::SpecError;
use crate::policy::http::{CompressorContent, Setting};

/// How bodies are compressed.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.responseCompression) || has(self.requestDecompression)")
        .message("responseCompression or requestDecompression must be set")
)]
pub struct Compression {
    /// Answers are compressed for clients that take it.
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
    /// In which forms, of which the client's wish decides; Gzip, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub libraries: Vec<CompressionLibrary>,
    /// Shorter answers are not compressed, if they tell their length; 30, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub min_content_length_bytes: Option<i32>,
    /// The types of content that are compressed, without parameters; texts, JSON and the like, if absent.
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
    /// Of which forms; Gzip, if absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub libraries: Vec<CompressionLibrary>,
    /// Takes back what a less specific policy says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable: Option<Disable>,
}

/// A form of compression.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it; a variant's doc would reach the CRD")]
pub enum CompressionLibrary {
    Brotli,
    Gzip,
    Zstd,
}

/// What is done with answers and with requests.
type Content = (Option<Setting<CompressorContent>>, Option<Setting<Vec<CompressionLibrary>>>);

/// The smallest answer that is compressed where nothing is said (Envoy's own, `CommonDirectionConfig.min_content_length`).
const LEAST_BYTES: u32 = 30;

impl Compression {
    /// What it says; `field` holds it.
    pub(super) fn content(&self, field: &str) -> Result<Content, SpecError> {
        let Self { response_compression, request_decompression } = self;
        let response = response_compression
            .as_ref()
            .map(|response| response.content(&format!("{field}.responseCompression")));
        let request =
            request_decompression.as_ref().map(|RequestDecompression { libraries, disable }| match disable {
                Some(Disable {}) => Setting::Off,
                None => Setting::On(all_of(libraries)),
            });
        match (response.transpose()?, request) {
            (None, None) => {
                let message = "responseCompression or requestDecompression must be set";
                Err(SpecError::invalid(field, message))
            }
            said => Ok(said),
        }
    }
}

impl ResponseCompression {
    fn content(&self, field: &str) -> Result<Setting<CompressorContent>, SpecError> {
        let Self { libraries, min_content_length_bytes, content_types, disable } = self;
        if disable.is_some() {
            return Ok(Setting::Off);
        }
        let least_bytes = match min_content_length_bytes {
            None => LEAST_BYTES,
            Some(bytes) => u32::try_from(*bytes).map_err(|_| {
                SpecError::invalid(format!("{field}.minContentLengthBytes"), "must not be negative")
            })?,
        };
        for (index, name) in content_types.iter().enumerate() {
            let is_name = |byte: u8| byte.is_ascii_graphic() && !b";,\"".contains(&byte);
            if !name.contains('/') || !name.bytes().all(is_name) {
                let message = "is not a type of content, such as text/html; without parameters";
                return Err(SpecError::invalid(format!("{field}.contentTypes[{index}]"), message));
            }
        }
        Ok(Setting::On(CompressorContent {
            libraries: all_of(libraries),
            least_bytes,
            content_types: content_types.iter().map(|name| name.to_ascii_lowercase()).collect(),
        }))
    }
}

/// Each once, in one order; gzip, if none is said.
fn all_of(libraries: &[CompressionLibrary]) -> Vec<CompressionLibrary> {
    match libraries {
        [] => vec![CompressionLibrary::Gzip],
        libraries => {
            let mut all = libraries.to_vec();
            all.sort_unstable();
            all.dedup();
            all
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::CompressionLibrary::{Brotli, Gzip, Zstd};
    use super::*;

    fn content(spec: &Value) -> Result<Content, String> {
        let read: Compression = serde_json::from_value(spec.clone()).unwrap();
        read.content("f").map_err(|error| error.path)
    }

    #[test]
    fn gzip_is_what_is_done_where_nothing_is_said() {
        let on = |libraries: &[_], least_bytes, types: &[&str]| {
            Some(Setting::On(CompressorContent {
                libraries: libraries.to_vec(),
                least_bytes,
                content_types: types.iter().map(ToString::to_string).collect(),
            }))
        };
        for (spec, response, request) in [
            (json!({"responseCompression": {}}), on(&[Gzip], 30, &[]), None),
            (json!({"requestDecompression": {}}), None, Some(Setting::On(vec![Gzip]))),
            (
                json!({"responseCompression": {"disable": {}}, "requestDecompression": {"disable": {}}}),
                Some(Setting::Off),
                Some(Setting::Off),
            ),
            (
                json!({"responseCompression": {"libraries": ["Gzip", "Brotli", "Gzip"], "minContentLengthBytes": 0, "contentTypes": ["A/b"]}}),
                on(&[Brotli, Gzip], 0, &["a/b"]),
                None,
            ),
            (
                json!({"requestDecompression": {"libraries": ["Zstd", "Brotli"]}}),
                None,
                Some(Setting::On(vec![Brotli, Zstd])),
            ),
        ] {
            assert_eq!(content(&spec), Ok((response, request)), "{spec}");
        }
        for (spec, path) in [
            (json!({}), "f"),
            (
                json!({"responseCompression": {"minContentLengthBytes": -1}}),
                "f.responseCompression.minContentLengthBytes",
            ),
            (
                json!({"responseCompression": {"contentTypes": ["a/b", "text"]}}),
                "f.responseCompression.contentTypes[1]",
            ),
            (
                json!({"responseCompression": {"contentTypes": ["a/b; q=1"]}}),
                "f.responseCompression.contentTypes[0]",
            ),
        ] {
            assert_eq!(content(&spec), Err(path.to_owned()), "{spec}");
        }
    }
}
