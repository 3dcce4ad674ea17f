//! The rules of a CRD (`x-kubernetes-validations`), written in CEL.

use std::sync::Arc;

use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::{Key, Map};
use serde_json::Value;

use crate::schema::{Kind, Schema};
use crate::violation::{Path, Report};

/// Holds a value and what is in it to the rules of its schema.
pub(crate) fn check(value: &Value, schema: &Schema, path: &Path<'_>, report: &mut Report) {
    if value.is_null() {
        return;
    }
    let mut rules = schema.rules.iter().filter(|rule| !rule.is_about_change()).peekable();
    if rules.peek().is_some() {
        let mut views = vec![to_cel(value, Some(schema), Fraction::NotANumber)];
        if has_fraction(value, schema) {
            views.push(to_cel(value, Some(schema), Fraction::Absent));
        }
        rules.for_each(|rule| rule.check(&views, path, report));
    }
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                if let Some(schema) = schema.member(name) {
                    check(member, schema, &Path::Member(path, name), report);
                }
            }
        }
        Value::Array(items) => {
            let Some(schema) = schema.items.as_deref() else { return };
            for (index, item) in items.iter().enumerate() {
                check(item, schema, &Path::Item(path, index), report);
            }
        }
        _ => {}
    }
}

/// What stands for an integer that is written as a floating point number (`80.0`).
///
/// An API server takes it for an integer, but its rules fail as soon as they look at it. Here no such value
/// can be made, so a rule must hold both where the number equals nothing and where it is absent: then its
/// outcome does not depend on the number.
#[derive(Clone, Copy, PartialEq)]
enum Fraction {
    NotANumber,
    Absent,
}

fn is_fraction(value: &Value, schema: &Schema) -> bool {
    schema.kind == Some(Kind::Integer) && value.is_f64()
}

fn has_fraction(value: &Value, schema: &Schema) -> bool {
    match value {
        Value::Object(members) => members
            .iter()
            .any(|(name, member)| schema.member(name).is_some_and(|schema| has_fraction(member, schema))),
        Value::Array(items) => {
            schema.items.as_deref().is_some_and(|schema| items.iter().any(|item| has_fraction(item, schema)))
        }
        _ => is_fraction(value, schema),
    }
}

/// A value as a rule sees it.
fn to_cel(value: &Value, schema: Option<&Schema>, fraction: Fraction) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(_) if schema.is_some_and(|schema| is_fraction(value, schema)) => Cel::Float(f64::NAN),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Cel::Int(number),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| schema.items.as_deref());
            Cel::List(Arc::new(items.iter().map(|item| to_cel(item, schema, fraction)).collect()))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                // The keys of a map are data and stay as they are.
                let is_field = schema.is_some_and(|schema| schema.properties.contains_key(name));
                let key = if is_field { escape(name) } else { name.clone() };
                let schema = schema.and_then(|schema| schema.member(name));
                let is_absent =
                    fraction == Fraction::Absent && schema.is_some_and(|schema| is_fraction(value, schema));
                (!is_absent).then(|| (Key::String(Arc::new(key)), to_cel(value, schema, fraction)))
            };
            Cel::Map(Map { map: Arc::new(members.iter().filter_map(member).collect()) })
        }
    }
}

/// The name of a field in a rule, where CEL could not say it as it is.
/// <https://kubernetes.io/docs/reference/using-api/cel/#escaping>
fn escape(name: &str) -> String {
    const WORDS: &[&str] = &[
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    if WORDS.contains(&name) {
        return format!("__{name}__");
    }
    if !name.contains(['.', '-', '/']) && !name.contains("__") {
        return name.to_owned();
    }
    let name = name.replace("__", "__underscores__").replace('.', "__dot__");
    name.replace('-', "__dash__").replace('/', "__slash__")
}
