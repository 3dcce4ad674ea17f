//! Findings in the Static Analysis Results Interchange Format (SARIF 2.1.0), which tools for code review show at the
//! lines of a change.
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use crate::source::{Finding, Place, Severity};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The findings as a log with one run.
///
/// # Errors
/// The folder that the paths are seen from is not known.
pub(super) fn log(findings: &[Finding]) -> io::Result<Value> {
    let here = std::env::current_dir()?;
    let rules: BTreeMap<&str, Value> = findings.iter().map(|finding| (finding.rule, rule(finding))).collect();
    let ids: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &ids, &here)).collect();
    Ok(json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "chancery",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.into_values().collect::<Vec<_>>(),
            } },
            "results": results,
        }],
    }))
}

fn rule(finding: &Finding) -> Value {
    json!({ "id": finding.rule, "shortDescription": { "text": words(finding.rule) } })
}

/// `BackendNotFound` as `Backend not found`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for (index, char) in name.chars().enumerate() {
        if index > 0 && char.is_ascii_uppercase() {
            words.push(' ');
        }
        words.push(if index > 0 { char.to_ascii_lowercase() } else { char });
    }
    words
}

fn result(finding: &Finding, rules: &[&str], here: &Path) -> Value {
    let Finding { place, severity, rule, object, field, message } = finding;
    let mut location = json!({});
    // Standard input, and an object that is in no file, are nowhere in a repository.
    if *place != Place::nowhere() && place.file != Path::new("-") {
        location["physicalLocation"] = json!({ "artifactLocation": { "uri": uri(&place.file, here) } });
        if let Some(document) = place.document {
            location["physicalLocation"]["region"] = json!({ "startLine": document.line });
        }
    }
    let subject = object.as_ref().map(|object| match field.as_str() {
        "" => object.to_string(),
        field => format!("{object}: {field}"),
    });
    if let Some(subject) = &subject {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": subject }]);
    }
    let text = subject.map_or_else(|| message.clone(), |subject| format!("{subject}: {message}"));
    json!({
        "ruleId": rule,
        "ruleIndex": rules.iter().position(|id| id == rule),
        "level": if *severity == Severity::Problem { "error" } else { "warning" },
        "message": { "text": text },
        "locations": [location],
    })
}

/// A path as a reference: relative to the folder that the command was started in, where it lies below that.
fn uri(file: &Path, here: &Path) -> String {
    let below = file.strip_prefix(here).or_else(|_| file.strip_prefix("./")).unwrap_or(file);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let path = below.to_string_lossy();
    let escaped: String = path
        .bytes()
        .map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    if below.is_absolute() { format!("file://{escaped}") } else { escaped }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_references_from_here() {
        let here = Path::new("/work/repo");
        let rows = [
            ("/work/repo/a/b.yaml", "a/b.yaml"),
            ("./a.yaml", "a.yaml"),
            ("a b.yaml", "a%20b.yaml"),
            ("/elsewhere/ä.yaml", "file:///elsewhere/%C3%A4.yaml"),
        ];
        for (path, expected) in rows {
            assert_eq!(uri(Path::new(path), here), expected, "{path}");
        }
    }
}
