//! What an API server does to an object before it looks at it: unknown fields are found, nulls dropped,
//! defaults put in. In its order, and whatever the types of the values are.

use serde_json::Value;

use crate::schema::{Kind, Schema};
use crate::violation::{Path, Report};

/// Reports every field that the schema does not have, as `kubectl` does (`fieldValidation=Strict`).
pub(crate) fn unknown_fields(value: &Value, schema: Option<&Schema>, path: &Path<'_>, report: &mut Report) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let path = Path::Member(path, name);
                match schema.and_then(|schema| schema.member(name)) {
                    Some(schema) => unknown_fields(member, Some(schema), &path, report),
                    None if schema.is_some_and(|schema| schema.preserves_unknown) => {}
                    None => report.add(&path, unknown(name, schema)),
                }
            }
        }
        Value::Array(items) => {
            // An opaque value may hold lists of anything.
            if schema.is_some_and(|schema| schema.preserves_unknown && schema.items.is_none()) {
                return;
            }
            let schema = schema.and_then(|schema| schema.items.as_deref());
            for (index, item) in items.iter().enumerate() {
                unknown_fields(item, schema, &Path::Item(path, index), report);
            }
        }
        _ => {}
    }
}

/// Says what the field was probably meant to be.
fn unknown(name: &str, schema: Option<&Schema>) -> String {
    let known = schema.into_iter().flat_map(|schema| schema.properties.keys()).map(String::as_str);
    match crds::most_similar(name, known) {
        Some(meant) => format!("unknown field; did you mean {meant}?"),
        None => "unknown field".to_owned(),
    }
}

/// Drops every null that stands for an absent value and has no default.
pub(crate) fn drop_nulls(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                let schema = schema.member(name);
                !(member.is_null() && schema.is_some_and(|s| s.drops_null() && s.default.is_none()))
            });
            for (name, member) in members {
                if let Some(schema) = schema.member(name) {
                    drop_nulls(member, schema);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            items.iter_mut().for_each(|item| drop_nulls(item, schema));
        }
        _ => {}
    }
}

/// Puts defaults in place of what is absent, and of nulls that stand for an absent value.
pub(crate) fn put_defaults(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(members) => {
            for (name, schema) in &schema.properties {
                let Some(default) = &schema.default else { continue };
                let is_absent =
                    members.get(name).is_none_or(|member| member.is_null() && schema.drops_null());
                if is_absent {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in members {
                if let Some(schema) = schema.member(name) {
                    put_default_for_null(member, schema);
                    put_defaults(member, schema);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for item in items {
                put_default_for_null(item, schema);
                put_defaults(item, schema);
            }
        }
        _ => {}
    }
}

fn put_default_for_null(value: &mut Value, schema: &Schema) {
    if let Some(default) = schema.default.as_ref().filter(|_| value.is_null() && schema.drops_null()) {
        *value = default.clone();
    }
}

/// Writes whole numbers as such where an integer is asked for: `80.0` is stored as `80`.
pub(crate) fn whole_numbers(value: &mut Value, schema: &Schema) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = schema.member(name) {
                    whole_numbers(member, schema);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            items.iter_mut().for_each(|item| whole_numbers(item, schema));
        }
        Value::Number(number) if schema.kind == Some(Kind::Integer) || schema.int_or_string => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *value = Value::from(whole);
            }
        }
        _ => {}
    }
}

/// The integer that a floating point number is, within the range in which it can tell integers apart.
fn whole(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= LARGEST).then_some(number as i64)
}
