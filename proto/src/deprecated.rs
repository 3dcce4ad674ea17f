//! Finds what Envoy has deprecated in a message.

use std::sync::LazyLock;

use prost_reflect::{
    DynamicMessage, EnumValueDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MapKey,
    ReflectMessage as _, Value,
};

use crate::descriptors::{self, DescribeError};

/// The paths of all that is set in a message and that the pinned Envoy calls deprecated, sorted.
///
/// Fields, enum values and whole messages count; a nested `Any` is searched as the message that it
/// holds. A field is written `hosts[0].address`, a map's entry `metadata["key"]`, an enum value
/// `type = LOGICAL_DNS`, a deprecated message `filter is envoy.package.Message`.
///
/// # Errors
/// When the pinned Envoy does not know the type, or that of an `Any` inside; when bytes do not decode.
pub fn deprecated_fields(type_url: &str, bytes: &[u8]) -> Result<Vec<String>, DescribeError> {
    let mut found = Vec::new();
    search_message(&descriptors::decode(type_url, bytes)?, "", &mut found)?;
    found.sort();
    Ok(found)
}

fn search_message(
    message: &DynamicMessage,
    path: &str,
    found: &mut Vec<String>,
) -> Result<(), DescribeError> {
    if let Some(inner) = descriptors::decode_any(message) {
        return search_message(&inner?, path, found);
    }
    let descriptor = message.descriptor();
    if descriptor.descriptor_proto().options.as_ref().is_some_and(|options| options.deprecated()) {
        found.push(format!("{path} is {}", descriptor.full_name()).trim_start().to_owned());
    }
    for (field, value) in message.fields() {
        let path = if path.is_empty() { field.name().to_owned() } else { format!("{path}.{}", field.name()) };
        if is_deprecated_field(&field) {
            found.push(path.clone());
        }
        search_value(&field.kind(), value, &path, found)?;
    }
    Ok(())
}

fn search_value(
    kind: &Kind,
    value: &Value,
    path: &str,
    found: &mut Vec<String>,
) -> Result<(), DescribeError> {
    match value {
        Value::Message(message) => search_message(message, path, found)?,
        Value::EnumNumber(number) => {
            let value = kind.as_enum().and_then(|kind| kind.get_value(*number));
            if let Some(value) = value.filter(is_deprecated_value) {
                found.push(format!("{path} = {}", value.name()));
            }
        }
        Value::List(values) => {
            for (index, value) in values.iter().enumerate() {
                search_value(kind, value, &format!("{path}[{index}]"), found)?;
            }
        }
        Value::Map(entries) => {
            let Some(entry) = kind.as_message() else { return Ok(()) };
            let kind = entry.map_entry_value_field().kind();
            for (key, value) in entries {
                search_value(&kind, value, &format!("{path}[{}]", display_key(key)), found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn display_key(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => format!("{key:?}"),
    }
}

pub(crate) fn is_deprecated_field(field: &FieldDescriptor) -> bool {
    static SINCE: LazyLock<Option<ExtensionDescriptor>> = LazyLock::new(|| {
        descriptors::pool().get_extension_by_name("envoy.annotations.deprecated_at_minor_version")
    });
    field.field_descriptor_proto().options.as_ref().is_some_and(|options| {
        options.deprecated() || SINCE.as_ref().is_some_and(|since| field.options().has_extension(since))
    })
}

fn is_deprecated_value(value: &EnumValueDescriptor) -> bool {
    static SINCE: LazyLock<Option<ExtensionDescriptor>> = LazyLock::new(|| {
        descriptors::pool().get_extension_by_name("envoy.annotations.deprecated_at_minor_version_enum")
    });
    value.enum_value_descriptor_proto().options.as_ref().is_some_and(|options| {
        options.deprecated() || SINCE.as_ref().is_some_and(|since| value.options().has_extension(since))
    })
}

#[cfg(test)]
mod tests;
