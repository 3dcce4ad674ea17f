//! Envoy's messages as readable JSON and back, in protobuf's JSON form with the field names that Envoy's
//! documentation uses.

use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, SerializeOptions,
};
use serde_json::Value;

use crate::descriptors::{self, DescribeError};
use crate::deterministic;

mod empty_any;

/// What stands in JSON for the value of a field that holds a secret.
pub const REDACTED: &str = "[redacted]";

const ANY: &str = "google.protobuf.Any";
const TYPE: &str = "@type";

/// The JSON of the message whose type URL or full name and encoded bytes are given, for people to read.
///
/// Field names are the `.proto` file's (snake case); unset and default fields are left out; an `Any` is
/// expanded in place, with its type under `@type`; numbers of 64 bits are strings, as in protobuf's JSON.
/// The value of every field that Envoy's API annotates as sensitive is [`REDACTED`], also inside an `Any`.
///
/// # Errors
/// When the pinned Envoy does not know the type, or that of an `Any` inside; when the bytes do not decode.
pub fn to_json(type_url: &str, bytes: &[u8]) -> Result<Value, DescribeError> {
    let message = descriptors::decode(type_url, bytes)?;
    let mut json = serialize(&message)?;
    redact_message(&message.descriptor(), &mut json);
    Ok(json)
}

/// As [`to_json`], **with the secrets in clear**: for JSON that is passed on to Envoy, never for people.
///
/// # Errors
/// As [`to_json`].
pub fn to_json_unredacted(type_url: &str, bytes: &[u8]) -> Result<Value, DescribeError> {
    serialize(&descriptors::decode(type_url, bytes)?)
}

/// [`to_json`] of a message. That of an `Any` says its type under `@type`.
///
/// # Errors
/// As [`to_json`].
pub fn message_to_json<M: prost::Name>(message: &M) -> Result<Value, DescribeError> {
    to_json(&M::full_name(), &message.encode_to_vec())
}

/// [`to_json_unredacted`] of a message, **with the secrets in clear**.
///
/// # Errors
/// As [`to_json`].
pub fn message_to_json_unredacted<M: prost::Name>(message: &M) -> Result<Value, DescribeError> {
    to_json_unredacted(&M::full_name(), &message.encode_to_vec())
}

/// The encoded bytes of the message of the given type whose JSON this is. An unknown field is an error.
///
/// Fields may be named as in the `.proto` file or in camel case. Equal JSON gives equal bytes, except
/// that the entries of a map inside an `Any` come in no particular order.
///
/// # Errors
/// [`DescribeError::UnknownType`], [`DescribeError::FromJson`].
pub fn from_json(type_url: &str, json: &Value) -> Result<Vec<u8>, DescribeError> {
    let descriptor = descriptors::descriptor(type_url)?;
    let name = descriptor.full_name().to_owned();
    match DynamicMessage::deserialize(descriptor, json) {
        Ok(message) => Ok(deterministic::sort_maps(&name, prost::Message::encode_to_vec(&message))),
        Err(source) => Err(DescribeError::FromJson { message: name, source }),
    }
}

/// The message whose JSON this is. An unknown field is an error.
///
/// # Errors
/// As [`from_json`]; [`DescribeError::Decode`] if the generated type and Envoy disagree on a field.
pub fn message_from_json<M: prost::Name + Default>(json: &Value) -> Result<M, DescribeError> {
    let message = M::full_name();
    let bytes = from_json(&message, json)?;
    M::decode(bytes.as_slice()).map_err(|source| DescribeError::Decode { message, source })
}

fn serialize(message: &DynamicMessage) -> Result<Value, DescribeError> {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(true);
    let write = |message: &DynamicMessage| {
        message.serialize_with_options(serde_json::value::Serializer, &options).map_err(|source| {
            DescribeError::ToJson { message: message.descriptor().full_name().to_owned(), source }
        })
    };
    // Few messages have an empty `Any`, which the serialiser does not know.
    write(message).or_else(|error| {
        let mut message = message.clone();
        if !empty_any::fill(&mut message) {
            return Err(error);
        }
        let mut json = write(&message)?;
        empty_any::clear(&mut json);
        Ok(json)
    })
}

/// Replaces the values of sensitive fields in the JSON of a message.
fn redact_message(message: &MessageDescriptor, json: &mut Value) {
    if message.full_name() == ANY {
        return redact_any(json);
    }
    // The other well-known types have JSON forms of their own, and no sensitive field.
    if is_well_known(message) {
        return;
    }
    let Value::Object(members) = json else { return };
    for (name, value) in members {
        match message.get_field_by_name(name) {
            Some(field) if descriptors::is_sensitive(&field) => *value = REDACTED.into(),
            Some(field) => redact_field(&field, value),
            None => {}
        }
    }
}

fn redact_field(field: &FieldDescriptor, json: &mut Value) {
    let Kind::Message(message) = field.kind() else { return };
    match json {
        Value::Object(members) if field.is_map() => {
            let field = message.map_entry_value_field();
            members.values_mut().for_each(|value| redact_field(&field, value));
        }
        Value::Array(values) if field.is_list() => {
            values.iter_mut().for_each(|value| redact_message(&message, value));
        }
        json => redact_message(&message, json),
    }
}

fn redact_any(json: &mut Value) {
    let Some(type_url) = json.get(TYPE).and_then(Value::as_str) else { return };
    match descriptors::descriptor(type_url) {
        // A well-known type with a JSON form of its own stands under `value`.
        Ok(message) if is_well_known(&message) => {
            if let Some(value) = json.get_mut("value") {
                redact_message(&message, value);
            }
        }
        Ok(message) => redact_message(&message, json),
        // Not reached: the serialiser needed the descriptor as well.
        Err(_) => *json = REDACTED.into(),
    }
}

fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

#[cfg(test)]
mod tests;
