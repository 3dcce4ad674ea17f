//! An `Any` without a type, such as the configuration by which a route enables a filter as it is. Its JSON is `{}`, which
//! the serialiser does not write: it gets a type for that time.

use prost_reflect::{DynamicMessage, ReflectMessage as _, Value as Field};
use serde_json::{Value, json};

use super::{ANY, TYPE};
use crate::descriptors;

/// What stands in for it: a type that no configuration of Envoy's holds.
const STAND_IN: &str = "type.googleapis.com/google.protobuf.Empty";

/// Gives every `Any` without a type one, also inside of others; says whether there was one.
pub(super) fn fill(message: &mut DynamicMessage) -> bool {
    if message.descriptor().full_name() == ANY {
        return fill_any(message);
    }
    let mut any = false;
    for (_, value) in message.fields_mut() {
        any |= fill_field(value);
    }
    any
}

fn fill_field(field: &mut Field) -> bool {
    let mut any = false;
    match field {
        Field::Message(message) => any |= fill(message),
        Field::List(values) => values.iter_mut().for_each(|value| any |= fill_field(value)),
        Field::Map(values) => values.values_mut().for_each(|value| any |= fill_field(value)),
        _ => {}
    }
    any
}

fn fill_any(message: &mut DynamicMessage) -> bool {
    let type_url = message.get_field_by_name("type_url").and_then(|url| url.as_str().map(str::to_owned));
    if type_url.is_none_or(|url| url.is_empty()) {
        message.set_field_by_name("type_url", Field::String(STAND_IN.to_owned()));
        return true;
    }
    // What cannot be read is the serialiser's to tell.
    let Some(Ok(mut inner)) = descriptors::decode_any(message) else { return false };
    let any = fill(&mut inner);
    if any {
        let bytes = prost::Message::encode_to_vec(&inner);
        message.set_field_by_name("value", Field::Bytes(bytes.into()));
    }
    any
}

/// Takes the types out of the JSON again.
pub(super) fn clear(json: &mut Value) {
    match json {
        Value::Object(members) if members.get(TYPE).is_some_and(|url| url == STAND_IN) => *json = json!({}),
        Value::Object(members) => members.values_mut().for_each(clear),
        Value::Array(values) => values.iter_mut().for_each(clear),
        _ => {}
    }
}
