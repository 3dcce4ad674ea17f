//! Secrets, which no `Debug` and no serialisation shows.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{SecretName, Trust};

/// A value that neither `Debug` nor `Serialize` shows.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each caller of this is a place to look at in a review.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<T> Serialize for Redacted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("[redacted]")
    }
}

/// A secret that Envoy receives by SDS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecretIr {
    /// By which clusters and listeners refer to it.
    pub name: SecretName,
    /// What it holds.
    pub value: SecretValue,
}

/// What a secret holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum SecretValue {
    /// The whole value of a credential header.
    Credential(Redacted<String>),
    /// A certificate with its key.
    Certificate(Certificate),
    /// Certificate authorities to trust; public, but delivered the same way.
    Trust(Trust),
}

/// A certificate with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// The certificate and those that lead to its authority, PEM.
    pub chain: String,
    /// The private key, PEM.
    pub key: Redacted<String>,
}
