//! The descriptors of the pinned Envoy: what each message, field and annotation is called and means.
//!
//! `descriptors/README.md` says where they come from and how to renew them.

use std::io::Read as _;
use std::sync::LazyLock;

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor,
    ReflectMessage as _,
};

use crate::any::message_name;

/// The version of the Envoy whose descriptors these are, for example `1.40.0`.
pub const ENVOY_VERSION: &str = include_str!("../descriptors/VERSION").trim_ascii_end();

static PACKED: &[u8] = include_bytes!("../descriptors/envoy.binpb.gz");

/// Why a message could not be described.
///
/// No variant carries the message's bytes: they may be a secret.
#[derive(Debug)]
pub enum DescribeError {
    /// The pinned Envoy has no such message.
    UnknownType(String),
    /// The bytes are not an encoding of the message.
    Decode {
        /// The full name of the message.
        message: String,
        /// What the decoder said.
        source: prost::DecodeError,
    },
    /// The message has no JSON form: it contains an `Any` of a type that the pinned Envoy lacks, or a
    /// duration or timestamp out of range.
    ToJson {
        /// The full name of the outermost message.
        message: String,
        /// What the serialiser said.
        source: serde_json::Error,
    },
    /// The JSON is not a form of the message. The source may quote a value of the JSON.
    FromJson {
        /// The full name of the outermost message.
        message: String,
        /// What the deserialiser said.
        source: serde_json::Error,
    },
}

impl std::fmt::Display for DescribeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UnknownType(name) => write!(f, "Envoy {ENVOY_VERSION} has no message `{name}`"),
            Self::Decode { message, .. } => write!(f, "the bytes are not a valid {message}"),
            Self::ToJson { message, .. } => write!(f, "cannot write this {message} as JSON"),
            Self::FromJson { message, .. } => write!(f, "the JSON is not a valid {message}"),
        }
    }
}

impl std::error::Error for DescribeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::UnknownType(_) => None,
            Self::Decode { source, .. } => Some(source),
            Self::ToJson { source, .. } | Self::FromJson { source, .. } => Some(source),
        }
    }
}

/// The descriptors of every message of the pinned Envoy's API. Decoded at the first call.
pub fn pool() -> &'static DescriptorPool {
    static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
        let mut bytes = Vec::new();
        let read = flate2::read::GzDecoder::new(PACKED).read_to_end(&mut bytes);
        let pool = read.ok().and_then(|_| DescriptorPool::decode(bytes.as_slice()).ok());
        // Cannot happen, and a test would say so: the set is part of this program. An empty pool makes
        // every lookup an `UnknownType`.
        pool.unwrap_or_default()
    });
    &POOL
}

/// The descriptor of a message, by type URL or full name.
///
/// # Errors
/// [`DescribeError::UnknownType`].
pub fn descriptor(type_url: &str) -> Result<MessageDescriptor, DescribeError> {
    let name = message_name(type_url);
    pool().get_message_by_name(name).ok_or_else(|| DescribeError::UnknownType(name.to_owned()))
}

/// Decodes a message of the type that a type URL or full name says.
///
/// # Errors
/// [`DescribeError::UnknownType`], [`DescribeError::Decode`].
pub fn decode(type_url: &str, bytes: &[u8]) -> Result<DynamicMessage, DescribeError> {
    let descriptor = descriptor(type_url)?;
    let message = descriptor.full_name().to_owned();
    DynamicMessage::decode(descriptor, bytes).map_err(|source| DescribeError::Decode { message, source })
}

/// Decodes what an `Any` holds; `None` when the message is not an `Any`, or an empty one.
pub(crate) fn decode_any(message: &DynamicMessage) -> Option<Result<DynamicMessage, DescribeError>> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let type_url = message.get_field_by_name("type_url")?;
    let bytes = message.get_field_by_name("value")?;
    let type_url = type_url.as_str().filter(|url| !url.is_empty())?;
    Some(decode(type_url, bytes.as_bytes().map_or(&[], |bytes| bytes)))
}

/// Whether a field is annotated `udpa.annotations.sensitive`, which is to say: it holds a secret.
pub(crate) fn is_sensitive(field: &FieldDescriptor) -> bool {
    static SENSITIVE: LazyLock<Option<ExtensionDescriptor>> =
        LazyLock::new(|| pool().get_extension_by_name("udpa.annotations.sensitive"));
    field.field_descriptor_proto().options.is_some()
        && SENSITIVE
            .as_ref()
            .is_some_and(|annotation| field.options().get_extension(annotation).as_bool() == Some(true))
}

#[cfg(test)]
mod tests;
