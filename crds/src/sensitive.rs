//! Values that must not be printed: `Debug` is redacted, serialisation is not.

use std::{fmt, ops::Deref};

use k8s_openapi::api::core::v1 as core_v1;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A string that is a credential. `Debug` prints `[redacted]`; it has no `Display`.
///
/// `Serialize` writes the real value, because the type is part of an API object.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct SensitiveString(String);

impl SensitiveString {
    /// Wraps a credential.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The credential itself. The only way to it: search for this name to review every use.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SensitiveString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A member of an object that we keep as it is but do not interpret.
///
/// It may hold a credential somewhere inside, so `Debug` prints `[opaque]`. In the CRD it is an object
/// whose unknown fields are preserved.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Opaque(pub Value);

impl fmt::Debug for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[opaque]")
    }
}

/// A Kubernetes Secret whose `Debug` prints the names of its keys and nothing of their values
/// (the derived `Debug` of the wrapped type would print the bytes).
///
/// Dereferences to the k8s-openapi type; do not print what it dereferences to.
#[derive(Clone, PartialEq, Default)]
pub struct Secret(core_v1::Secret);

impl From<core_v1::Secret> for Secret {
    fn from(secret: core_v1::Secret) -> Self {
        Self(secret)
    }
}

impl Deref for Secret {
    type Target = core_v1::Secret;

    fn deref(&self) -> &core_v1::Secret {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&String> = self.0.data.iter().flatten().map(|(key, _)| key).collect();
        f.debug_struct("Secret")
            .field("namespace", &self.0.metadata.namespace)
            .field("name", &self.0.metadata.name)
            .field("type", &self.0.type_)
            .field("keys", &keys)
            .finish()
    }
}
