//! What a schema says of a value without its rules.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::schema::{Format, Kind, ListType, Pattern, Schema};
use crate::violation::{Path, Report};

/// Reports all that is wrong with a value and with what is in it.
pub(crate) fn check(value: &Value, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    if value.is_null() && schema.nullable {
        return;
    }
    if !has_type(value, schema) {
        let expected = if schema.int_or_string {
            "an integer or a string"
        } else {
            schema.kind.map_or("something else", Kind::words)
        };
        let remedy = match (schema.kind, value) {
            (Some(Kind::String), Value::Number(_)) if is_duration(schema) => ": write a unit, such as 5s",
            (Some(Kind::String), Value::Number(_) | Value::Bool(_)) => ": put it in quotes",
            _ => "",
        };
        return report.blocking(path, format!("must be {expected}, not {}{remedy}", words(value)));
    }
    check_values(value, schema, path, report);
    match value {
        Value::String(text) => check_text(text, schema, path, report),
        Value::Number(number) => check_number(number, schema, path, report),
        Value::Array(items) => check_items(items, schema, path, report),
        Value::Object(members) => check_members(members, schema, path, report),
        Value::Null | Value::Bool(_) => {}
    }
    check_alternatives(value, schema, path, report);
}

fn has_type(value: &Value, schema: &Schema) -> bool {
    if schema.int_or_string {
        return value.is_string() || value.is_i64();
    }
    match schema.kind {
        Some(Kind::Array) => value.is_array(),
        Some(Kind::Boolean) => value.is_boolean(),
        // Larger than 64 bits with a sign is a floating point number to an API server.
        Some(Kind::Integer) => value.is_i64(),
        Some(Kind::Number) => value.is_number(),
        Some(Kind::Object) => value.is_object(),
        Some(Kind::String) => value.is_string(),
        None => true,
    }
}

fn words(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => Kind::Boolean.words(),
        Value::Number(number) if number.is_i64() => Kind::Integer.words(),
        Value::Number(_) => Kind::Number.words(),
        Value::String(_) => Kind::String.words(),
        Value::Array(_) => Kind::Array.words(),
        Value::Object(_) => Kind::Object.words(),
    }
}

fn check_values(value: &Value, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let Some(values) = schema.values.as_ref().filter(|values| !values.contains(value)) else { return };
    let values: Vec<String> = values.iter().map(Value::to_string).collect();
    let message = format!("{}is not one of {}", report.quote(path, value), values.join(", "));
    report.add(path, message);
}

fn check_text(text: &str, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let length = text.chars().count();
    if let Some(limit) = schema.max_length.filter(|limit| length > *limit) {
        report.blocking(path, format!("must be at most {limit} characters long, and has {length}"));
    }
    if let Some(limit) = schema.min_length.filter(|limit| length < *limit) {
        report.add(path, format!("must be at least {limit} characters long, and has {length}"));
    }
    if let Some(pattern) = schema.pattern.as_ref().filter(|pattern| !fits(pattern, text)) {
        let value = report.quote(path, &Value::from(text));
        let message = if is_duration(schema) {
            format!("{value}is not a duration: write numbers with units, such as 1m30s or 500ms")
        } else if HOST_PATTERNS.contains(&pattern.text.as_str()) {
            format!("{value}is not a host name: lower-case letters, digits, `-` and `.`, and no port")
        } else {
            format!("{value}does not match the pattern {}", pattern.text)
        };
        report.add(path, message);
    }
    let address = || text.parse::<IpAddr>().is_ok();
    let wrong = match schema.format {
        Some(Format::Ipv4) if !(text.contains('.') && address()) => "is not an IPv4 address",
        Some(Format::Ipv6) if !(text.contains(':') && address()) => "is not an IPv6 address",
        // Times stand in statuses and metadata only, which are not read.
        _ => return,
    };
    report.add(path, wrong);
}

/// The patterns of host names, without and with a wildcard (Gateway API, `PreciseHostname` and `Hostname`).
const HOST_PATTERNS: [&str; 2] = [
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
];

/// Whether a text must be a duration (Gateway API, `Duration`).
fn is_duration(schema: &Schema) -> bool {
    let text = schema.pattern.as_ref().map(|pattern| pattern.text.as_str());
    text == Some("^([0-9]{1,5}(h|m|s|ms)){1,4}$")
}

/// A pattern that is no regular expression takes nothing.
fn fits(pattern: &Pattern, text: &str) -> bool {
    pattern.matches(text).unwrap_or(false)
}

fn check_number(number: &serde_json::Number, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let Some(number) = number.as_f64() else { return };
    if let Some(limit) = schema.minimum.filter(|limit| number < *limit) {
        report.add(path, format!("must be at least {limit}"));
    }
    if let Some(limit) = schema.maximum.filter(|limit| number > *limit) {
        report.add(path, format!("must be at most {limit}"));
    }
    let is_out_of_range = number < f64::from(i32::MIN) || number > f64::from(i32::MAX);
    if schema.format == Some(Format::Int32) && is_out_of_range {
        report.add(path, "is out of the range of a 32-bit integer");
    }
}

fn check_items(items: &[Value], schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let count = items.len();
    if let Some(limit) = schema.max_items.filter(|limit| count > *limit) {
        report.blocking(path, format!("must have at most {limit} items, and has {count}"));
    }
    if let Some(limit) = schema.min_items.filter(|limit| count < *limit) {
        report.add(path, format!("must have at least {limit} items, and has {count}"));
    }
    if let Some(schema) = schema.items.as_deref() {
        for (index, item) in items.iter().enumerate() {
            check(item, schema, &Path::Item(path, index), report);
        }
    }
    check_uniqueness(items, schema, path, report);
}

fn check_uniqueness(items: &[Value], schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let keys = &schema.list_map_keys;
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let (key, what) = match schema.list_type {
            ListType::Atomic => return,
            ListType::Set => (item.to_string(), "is the same as an earlier item".to_owned()),
            ListType::Map => {
                let key: Vec<Option<&Value>> = keys.iter().map(|key| item.get(key)).collect();
                let what = format!("has the same {} as an earlier item", keys.join(" and "));
                (format!("{key:?}"), what)
            }
        };
        if !seen.insert(key) {
            report.blocking(&Path::Item(path, index), what);
        }
    }
}

fn check_members(members: &Map<String, Value>, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    let count = members.len();
    if let Some(limit) = schema.max_properties.filter(|limit| count > *limit) {
        report.blocking(path, format!("must have at most {limit} members, and has {count}"));
    }
    if let Some(limit) = schema.min_properties.filter(|limit| count < *limit) {
        report.add(path, format!("must have at least {limit} members, and has {count}"));
    }
    for name in schema.required.iter().filter(|name| !members.contains_key(*name)) {
        report.blocking(&Path::Member(path, name), "is required");
    }
    for (name, member) in members {
        if let Some(schema) = schema.member(name) {
            check(member, schema, &Path::Member(path, name), report);
        }
    }
}

fn check_alternatives(value: &Value, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    for part in &schema.all_of {
        check(value, part, path, report);
    }
    let fitting = |parts: &[Schema]| parts.iter().filter(|part| satisfies(value, part)).count();
    if !schema.any_of.is_empty() && fitting(&schema.any_of) == 0 {
        report.add(path, "fits none of the forms that are allowed here");
    }
    if !schema.one_of.is_empty() && fitting(&schema.one_of) != 1 {
        report.add(path, "must fit exactly one of the forms that are allowed here");
    }
    if schema.not.as_deref().is_some_and(|part| satisfies(value, part)) {
        report.add(path, "has a form that is not allowed here");
    }
}

fn satisfies(value: &Value, schema: &Schema) -> bool {
    let mut report = Report::new(None);
    check(value, schema, &Path::Root, &mut report);
    report.violations.is_empty()
}
