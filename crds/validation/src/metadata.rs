//! What an API server asks of the metadata of any object.

use std::sync::OnceLock;

use crds::{KindInfo, name_problem};
use regex::Regex;
use serde_json::{Map, Value};

use crate::schema::Schema;
use crate::violation::{Path, Report};
use crate::{check, complete};

/// The most bytes that all annotations of an object may have together.
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

const METADATA: Path<'_> = Path::Member(&Path::Root, "metadata");

/// The members of `ObjectMeta`. A null value of a map of texts is an empty text.
fn schema() -> Option<&'static Schema> {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    let read = || {
        let text = serde_json::json!({"type": "string"});
        let texts =
            serde_json::json!({"type": "object", "additionalProperties": {"type": "string", "default": ""}});
        let whole = serde_json::json!({"type": "integer", "format": "int64"});
        serde_json::from_value(serde_json::json!({"type": "object", "properties": {
            "name": text, "generateName": text, "namespace": text, "selfLink": text, "uid": text,
            "resourceVersion": text, "creationTimestamp": text, "deletionTimestamp": text,
            "generation": whole, "deletionGracePeriodSeconds": whole, "labels": texts, "annotations": texts,
            "finalizers": {"type": "array", "items": text},
            "managedFields": {"type": "array", "items": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            "ownerReferences": {"type": "array", "items": {"type": "object", "properties": {
                "apiVersion": text, "kind": text, "name": text, "uid": text,
                "controller": {"type": "boolean"}, "blockOwnerDeletion": {"type": "boolean"}}}},
        }}))
        .ok()
    };
    SCHEMA.get_or_init(read).as_ref()
}

/// Completes the metadata of an object and reports what is wrong with them.
pub(crate) fn check_and_complete(kind: &KindInfo, document: &mut Value, report: &mut Report) {
    let name = Path::Member(&METADATA, "name");
    let metadata = match document.get_mut("metadata") {
        None | Some(Value::Null) => return report.blocking(&name, "is required"),
        Some(metadata) => metadata,
    };
    if let Some(schema) = schema() {
        complete::unknown_fields(metadata, Some(schema), &METADATA, report);
        complete::drop_nulls(metadata, schema);
        complete::put_defaults(metadata, schema);
        complete::whole_numbers(metadata, schema);
        check::check(metadata, schema, &METADATA, report);
    }
    let Some(metadata) = metadata.as_object_mut() else { return };
    match metadata.get("name") {
        Some(Value::String(text)) if !text.is_empty() => {
            if let Some(problem) = name_problem(kind, text) {
                report.add(&name, problem);
            }
        }
        // Another type has been reported.
        Some(other) if !other.is_string() => {}
        _ => report.blocking(&name, "is required"),
    }
    check_namespace(kind, metadata, report);
    check_maps(metadata, report);
    check_owners(metadata, report);
}

fn check_namespace(kind: &KindInfo, metadata: &Map<String, Value>, report: &mut Report) {
    let path = Path::Member(&METADATA, "namespace");
    let namespace = metadata.get("namespace").and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(namespace) = namespace else { return };
    if !kind.namespaced {
        return report.add(&path, format!("must not be set: a {} does not live in a namespace", kind.kind));
    }
    if let Some(problem) = crds::label_problem(namespace) {
        report.add(&path, problem);
    }
}

fn check_maps(metadata: &Map<String, Value>, report: &mut Report) {
    let members = |field: &str| metadata.get(field).and_then(Value::as_object).into_iter().flatten();
    let labels = Path::Member(&METADATA, "labels");
    for (key, value) in members("labels") {
        let path = Path::Member(&labels, key);
        check_key(key, &path, report);
        if value.as_str().is_some_and(|value| !is_label_value(value)) {
            let rule = "is no value of a label: at most 63 letters, digits, `-`, `_` and `.`, beginning and \
                        ending with a letter or digit";
            report.add(&path, rule);
        }
    }
    let annotations = Path::Member(&METADATA, "annotations");
    let mut size = 0;
    for (key, value) in members("annotations") {
        // Unlike those of labels, the prefixes of annotations may have capital letters.
        check_key(&key.to_lowercase(), &Path::Member(&annotations, key), report);
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        report.blocking(
            &annotations,
            format!("must have at most {ANNOTATIONS_LIMIT} bytes together, and have {size}"),
        );
    }
    let finalizers = Path::Member(&METADATA, "finalizers");
    let list = metadata.get("finalizers").and_then(Value::as_array);
    for (index, finalizer) in list.into_iter().flatten().enumerate() {
        if let Some(finalizer) = finalizer.as_str() {
            check_key(finalizer, &Path::Item(&finalizers, index), report);
        }
    }
}

/// Owners are named in full, and at most one of them is the controller.
fn check_owners(metadata: &Map<String, Value>, report: &mut Report) {
    let path = Path::Member(&METADATA, "ownerReferences");
    let owners = metadata.get("ownerReferences").and_then(Value::as_array);
    let mut controllers = 0;
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        let path = Path::Item(&path, index);
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner.get(field).is_none_or(|value| value == "") {
                report.blocking(&Path::Member(&path, field), "is required");
            }
        }
        controllers += usize::from(owner.get("controller") == Some(&Value::Bool(true)));
    }
    if controllers > 1 {
        report.add(&path, "must have at most one controller");
    }
}

/// A qualified name: an optional DNS subdomain and `/`, then a name of at most 63 characters.
fn check_key(key: &str, path: &Path<'_>, report: &mut Report) {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix_fits = prefix.is_none_or(crds::is_dns_subdomain);
    if !prefix_fits || name.is_empty() || !is_label_value(name) {
        let rule = "is no qualified name: at most 63 letters, digits, `-`, `_` and `.`, beginning and ending \
                    with a letter or digit, after an optional DNS subdomain and `/`";
        report.add(path, rule);
    }
}

fn is_label_value(text: &str) -> bool {
    static PATTERN: OnceLock<Option<Regex>> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| Regex::new("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$").ok());
    text.len() <= 63 && pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}
