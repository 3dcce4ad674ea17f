//! Gemini's `Schema`, a protobuf message, turned into the JSON schema it stands for.

use super::{Field, Json, Map, RawJson};

const TYPES: [&str; 7] = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
/// Fields that hold a schema, an array of schemas, or an object of schemas.
const NESTED: [&str; 5] = ["items", "anyOf", "any_of", "prefixItems", "properties"];
/// Fields of type int64, which protobuf's JSON may write as strings.
const NUMBERS: [&str; 6] =
    ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
/// Deeper schemas are left as they are.
const MAX_DEPTH: usize = 64;

/// Whether a schema names its types the way of the protobuf message.
pub(in crate::protocol) fn is_proto_schema(schema: &RawJson) -> bool {
    TYPES.iter().any(|name| schema.as_str().contains(&format!("\"{name}\"")))
}

/// The JSON schema that a `Schema` message stands for: types in lower case, `nullable` as a type.
pub(in crate::protocol) fn proto_to_json_schema(schema: &RawJson) -> RawJson {
    let converted = Field::document(schema.as_str().as_bytes()).ok().and_then(|field| convert(&field, 0));
    match converted {
        Some(Json::Object(map)) => RawJson::parse(&map.to_text()).unwrap_or_else(|| schema.clone()),
        _ => schema.clone(),
    }
}

fn convert(field: &Field<'_>, depth: usize) -> Option<Json> {
    if depth > MAX_DEPTH {
        return None;
    }
    if field.is_array() {
        let items = field.array().ok()?;
        return Some(Json::Array(items.iter().map(|item| child(item, depth)).collect()));
    }
    let mut fields = field.object().ok()?;
    let nullable = fields.take("nullable").is_some_and(|field| field.boolean().unwrap_or(false));
    let mut map = Map::new();
    for (name, mut value) in fields.rest() {
        // Names are the user's own here: paths made of them could grow without bound.
        value.path.clear();
        match name.as_str() {
            "type" if value.is_text() => {
                let kind = lower_type(value.text().ok()?);
                if nullable {
                    map.set("type", vec![Json::from(kind), Json::from("null")]);
                } else {
                    map.set("type", kind);
                }
            }
            "properties" => {
                let mut properties = Map::new();
                for (name, mut value) in value.object().ok()?.rest() {
                    value.path.clear();
                    properties.set(name, child(&value, depth));
                }
                map.set("properties", properties);
            }
            other if NESTED.contains(&other) => {
                let name = if other == "any_of" { "anyOf".to_owned() } else { name };
                map.set(name, child(&value, depth));
            }
            other if NUMBERS.contains(&other) && value.is_text() => {
                let number = value.text().ok().and_then(|text| text.parse::<u64>().ok());
                let number = number.map_or_else(|| Json::Raw(value.raw()), Json::Unsigned);
                map.set(name, number);
            }
            _ => {
                map.set(name, value.raw());
            }
        }
    }
    Some(map.into())
}

fn child(field: &Field<'_>, depth: usize) -> Json {
    convert(field, depth + 1).unwrap_or_else(|| Json::Raw(field.raw()))
}

fn lower_type(name: String) -> String {
    if TYPES.contains(&name.as_str()) { name.to_ascii_lowercase() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_message_becomes_a_json_schema() {
        let schema = RawJson::parse(
            r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","nullable":true},"n":{"type":"ARRAY","items":{"type":"NUMBER"},"minItems":"2"}},"default":12345678901234567890123,"required":["type"]}"#,
        )
        .unwrap();
        assert!(is_proto_schema(&schema));
        assert_eq!(
            proto_to_json_schema(&schema).as_str(),
            r#"{"type":"object","properties":{"type":{"type":["string","null"]},"n":{"type":"array","items":{"type":"number"},"minItems":2}},"default":12345678901234567890123,"required":["type"]}"#
        );
    }
}
