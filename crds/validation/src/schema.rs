//! Structural schemas, as a CRD writes them.
//!
//! Every keyword is a field: a schema with a keyword that is not known here does not parse, so that no
//! constraint of a CRD is passed over without a word.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use crate::rule::Rule;

/// A node of a structural schema: what one value must be.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub(crate) struct Schema {
    /// Said by the CRD to its readers; not used.
    #[serde(rename = "description")]
    _description: Option<serde::de::IgnoredAny>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<Kind>,
    pub(crate) format: Option<Format>,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    #[serde(rename = "enum")]
    pub(crate) values: Option<Vec<Value>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) minimum: Option<f64>,
    pub(crate) maximum: Option<f64>,
    pub(crate) min_length: Option<usize>,
    pub(crate) max_length: Option<usize>,
    pub(crate) min_items: Option<usize>,
    pub(crate) max_items: Option<usize>,
    pub(crate) max_properties: Option<usize>,
    pub(crate) min_properties: Option<usize>,
    pub(crate) required: Vec<String>,
    pub(crate) properties: BTreeMap<String, Schema>,
    /// The values of a map, whose keys are data.
    pub(crate) additional_properties: Option<Box<Schema>>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) all_of: Vec<Schema>,
    pub(crate) any_of: Vec<Schema>,
    pub(crate) one_of: Vec<Schema>,
    pub(crate) not: Option<Box<Schema>>,
    #[serde(rename = "x-kubernetes-int-or-string")]
    pub(crate) int_or_string: bool,
    #[serde(rename = "x-kubernetes-preserve-unknown-fields")]
    pub(crate) preserves_unknown: bool,
    #[serde(rename = "x-kubernetes-list-type")]
    pub(crate) list_type: ListType,
    #[serde(rename = "x-kubernetes-list-map-keys")]
    pub(crate) list_map_keys: Vec<String>,
    /// Matters for server-side apply only; not used.
    #[serde(rename = "x-kubernetes-map-type")]
    _map_type: Option<serde::de::IgnoredAny>,
    #[serde(rename = "x-kubernetes-validations")]
    pub(crate) rules: Vec<Rule>,
}

impl Schema {
    /// The schema of a member of an object, if the object may have it.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional_properties.as_deref())
    }

    /// Whether null stands for an absent value: the server drops it, or puts the default in its place.
    pub(crate) fn drops_null(&self) -> bool {
        !self.nullable
    }

    /// Every rule of the schema, at any depth.
    #[cfg(test)]
    pub(crate) fn all_rules(&self) -> Vec<&Rule> {
        let children = self.properties.values().chain(self.additional_properties.as_deref());
        let children = children.chain(self.items.as_deref());
        self.rules.iter().chain(children.flat_map(Self::all_rules)).collect()
    }
}

/// The type of a value.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Array,
    Boolean,
    Integer,
    Number,
    Object,
    String,
}

impl Kind {
    /// As a message says it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Array => "a list",
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
        }
    }
}

/// What else the text or the number must be.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Format {
    DateTime,
    Int32,
    Int64,
    Ipv4,
    Ipv6,
}

/// What tells the items of a list apart.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListType {
    /// Nothing.
    #[default]
    Atomic,
    /// The members that `x-kubernetes-list-map-keys` names.
    Map,
    /// Their value.
    Set,
}

/// A regular expression, compiled when it is first needed.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub(crate) struct Pattern {
    pub(crate) text: String,
    compiled: Arc<OnceLock<Option<Regex>>>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text, compiled: Arc::default() }
    }
}

impl Pattern {
    /// Whether the expression matches anywhere in the text; `None` if it is no expression (a unit test
    /// shows that every expression of a shipped CRD is one).
    pub(crate) fn matches(&self, text: &str) -> Option<bool> {
        let compiled = self.compiled.get_or_init(|| Regex::new(&self.text).ok());
        compiled.as_ref().map(|expression| expression.is_match(text))
    }
}
