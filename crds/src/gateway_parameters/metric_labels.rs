//! `kube.aiExtension.stats`: labels of one's own for the metrics of tokens. Both dialects write them alike.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AiExtension;

/// The most labels. Each one multiplies the series that a proxy keeps.
const MAX_LABELS: usize = 8;

/// The longest name of a label, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Names that the metrics have already, or that Prometheus keeps for itself.
const TAKEN: [&str; 6] = ["instance", "job", "le", "llm", "model", "quantile"];

/// What parts the members of `metadataKey`, unless the parameters say so.
const DEFAULT_DELIMITER: &str = ":";

/// Labels of the metrics of tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AiExtensionStats {
    /// Labels beside `llm` and `model`; at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub custom_labels: Vec<CustomLabel>,
}

/// A label of the metrics of tokens.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CustomLabel {
    /// Its name, as Prometheus takes it.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The namespace of dynamic metadata that its value stands in; envoy.filters.http.jwt_authn if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_namespace: Option<MetadataNamespace>,
    /// Where its value stands in the namespace: names of members, from the outer to the inner one. What a token says stands
    /// under principal.
    #[schemars(length(min = 1))]
    pub metadata_key: String,
    /// What parts the names in metadataKey; a colon if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub key_delimiter: Option<String>,
}

/// A namespace of dynamic metadata.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "a variant's doc would reach the CRD")]
pub enum MetadataNamespace {
    // What the tokens of clients say.
    #[default]
    #[serde(rename = "envoy.filters.http.jwt_authn")]
    Tokens,
    // What transformations have written.
    #[serde(rename = "io.solo.transformation")]
    Transformation,
}

/// A label, as it is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricLabel {
    /// Its name.
    pub name: String,
    /// The namespace of dynamic metadata that its value stands in.
    pub namespace: MetadataNamespace,
    /// The members that lead to its value; never empty.
    pub path: Vec<String>,
}

impl MetadataNamespace {
    /// Its name in Envoy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tokens => "envoy.filters.http.jwt_authn",
            Self::Transformation => "io.solo.transformation",
        }
    }
}

impl AiExtension {
    /// The labels of one's own.
    ///
    /// # Errors
    /// One of them cannot be had; with the field.
    pub fn metric_labels(&self) -> Result<Vec<MetricLabel>, String> {
        let Some(stats) = self.stats.as_ref().filter(|_| self.enabled != Some(false)) else {
            return Ok(Vec::new());
        };
        let labels = &stats.custom_labels;
        if labels.len() > MAX_LABELS {
            return Err(format!("customLabels: there are {}, at most {MAX_LABELS} can be", labels.len()));
        }
        let mut names = BTreeSet::new();
        let labels = labels.iter().enumerate().map(|(index, label)| {
            let field = format!("customLabels[{index}]");
            check_name(&label.name).map_err(|error| format!("{field}.name: {:?} {error}", label.name))?;
            if !names.insert(&label.name) {
                return Err(format!("{field}.name: {:?} stands twice", label.name));
            }
            read(label).map_err(|error| format!("{field}.{error}"))
        });
        labels.collect()
    }
}

/// Whether a label can have this name (Prometheus, data model).
fn check_name(name: &str) -> Result<(), String> {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_name = name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit());
    if !is_name || !name.bytes().next().is_some_and(is_letter) || name.starts_with("__") {
        return Err(
            "is not a name of a label: letters, digits and _, with no digit and no __ in front".to_owned()
        );
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("is longer than {MAX_NAME_BYTES} bytes"));
    }
    if TAKEN.contains(&name) {
        return Err("is the name of another label".to_owned());
    }
    Ok(())
}

fn read(label: &CustomLabel) -> Result<MetricLabel, String> {
    let CustomLabel { name, metadata_namespace, metadata_key, key_delimiter } = label;
    let delimiter = key_delimiter.as_deref().unwrap_or(DEFAULT_DELIMITER);
    if delimiter.is_empty() {
        return Err("keyDelimiter: is empty".to_owned());
    }
    let path: Vec<_> = metadata_key.split(delimiter).map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err(format!("metadataKey: {metadata_key:?} has an empty name between two {delimiter:?}"));
    }
    Ok(MetricLabel { name: name.clone(), namespace: metadata_namespace.unwrap_or_default(), path })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(labels: Value) -> Result<Vec<MetricLabel>, String> {
        let extension: AiExtension =
            serde_json::from_value(json!({"stats": {"customLabels": labels}})).unwrap();
        extension.metric_labels()
    }

    #[test]
    fn keys_lead_into_metadata_by_their_delimiter() {
        let read = labels(json!([
            {"name": "team", "metadataKey": "principal:team"},
            {"name": "_org", "metadataKey": "principal|https://a.example/org", "keyDelimiter": "|"},
            {"name": "tier", "metadataNamespace": "io.solo.transformation", "metadataKey": "tier"},
        ]));
        let label = |name: &str, namespace, path: &[&str]| MetricLabel {
            name: name.to_owned(),
            namespace,
            path: path.iter().map(|name| (*name).to_owned()).collect(),
        };
        let expected = vec![
            label("team", MetadataNamespace::Tokens, &["principal", "team"]),
            label("_org", MetadataNamespace::Tokens, &["principal", "https://a.example/org"]),
            label("tier", MetadataNamespace::Transformation, &["tier"]),
        ];
        assert_eq!(read, Ok(expected));
        let off = json!({"enabled": false, "stats": {"customLabels": [{"name": "1", "metadataKey": ""}]}});
        let off: AiExtension = serde_json::from_value(off).unwrap();
        assert_eq!(off.metric_labels(), Ok(Vec::new()));
    }

    #[test]
    fn what_prometheus_would_not_take_names_its_field() {
        let named = |name: &str| json!([{"name": name, "metadataKey": "a"}]);
        let many: Vec<_> = (0..9).map(|i| json!({"name": format!("a{i}"), "metadataKey": "a"})).collect();
        for (written, words) in [
            (named(""), "customLabels[0].name"),
            (named("a-b"), "customLabels[0].name"),
            (named("1a"), "customLabels[0].name"),
            (named("__a"), "customLabels[0].name"),
            (named(&"a".repeat(65)), "longer than 64 bytes"),
            (named("model"), "another label"),
            (json!([named("a")[0], named("a")[0]]), "customLabels[1].name: \"a\" stands twice"),
            (json!([{"name": "a", "metadataKey": "a::b"}]), "customLabels[0].metadataKey"),
            (json!([{"name": "a", "metadataKey": ""}]), "customLabels[0].metadataKey"),
            (
                json!([{"name": "a", "metadataKey": "a", "keyDelimiter": ""}]),
                "customLabels[0].keyDelimiter: is empty",
            ),
            (json!(many), "at most 8"),
        ] {
            let error = labels(written.clone()).unwrap_err();
            assert!(error.contains(words), "{written}: {error}");
        }
    }
}
