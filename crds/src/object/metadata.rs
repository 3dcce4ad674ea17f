//! What is read of the metadata of any object, whichever type keeps it.

use std::collections::BTreeMap;

use crate::core::ObjectMeta;
use crate::gateway_api::part;

/// Metadata of an object.
pub trait Metadata {
    /// `metadata.name`.
    fn name(&self) -> &str;

    /// `metadata.namespace`.
    fn namespace(&self) -> Option<&str>;

    /// `metadata.generation`.
    fn generation(&self) -> Option<i64>;

    /// `metadata.labels`.
    fn labels(&self) -> Option<&BTreeMap<String, String>>;
}

impl Metadata for ObjectMeta {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn generation(&self) -> Option<i64> {
        self.generation
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_ref()
    }
}

impl Metadata for part::Metadata {
    fn name(&self) -> &str {
        &self.name
    }

    fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    fn generation(&self) -> Option<i64> {
        self.generation
    }

    fn labels(&self) -> Option<&BTreeMap<String, String>> {
        self.labels.as_deref()
    }
}
