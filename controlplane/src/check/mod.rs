//! `chancery check`: what is wrong with files, for people, for programs, and for the review of a change.

mod sarif;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::args::{CheckArgs, CheckOutput};
use crate::diagnosis;
use crate::exit::Outcome;
use crate::offline::{Input, Printed, lines, read};
use crate::settings::Machine;
use crate::source::{Finding, Severity};

/// Says what is wrong, and ends as `--strict` asks for.
///
/// # Errors
/// The input cannot be read at all.
pub fn check_command(args: &CheckArgs, machine: &Machine) -> Result<Printed> {
    let CheckArgs { paths, translation, strict, for_cluster, output } = args;
    let input = read(paths, translation, machine, *for_cluster)?;
    let checked = Checked::new(&input);
    let outcome = checked.outcome(*strict);
    let (output, remarks) = match output {
        CheckOutput::Text => (checked.text(), checked.remarks()),
        CheckOutput::Json => (format!("{:#}\n", checked.json()), String::new()),
        CheckOutput::Sarif => {
            let log = sarif::log(&checked.told).context("cannot name the files as seen from here")?;
            (format!("{log:#}\n"), String::new())
        }
    };
    Ok(Printed { output, remarks, outcome })
}

/// What was read, and what there is to say about it.
struct Checked {
    objects: usize,
    files: usize,
    /// Problems and warnings, in the order of the files.
    told: Vec<Finding>,
    notices: Vec<Finding>,
}

impl Checked {
    fn new(input: &Input) -> Self {
        let reports = input.translation.reports.iter();
        let of_objects = reports.flat_map(|report| diagnosis::findings(report, &input.origins));
        let unreachable =
            diagnosis::without_endpoints(input.without_endpoints.iter().cloned(), &input.origins);
        // Each once: a route says the same at each of its parents.
        let all: BTreeSet<Finding> =
            input.findings.iter().cloned().chain(of_objects).chain(unreachable).collect();
        let (notices, told) = all.into_iter().partition(|finding| finding.severity == Severity::Notice);
        Self { objects: input.origins.len(), files: input.files, told, notices }
    }

    fn count(&self, severity: Severity) -> usize {
        self.told.iter().filter(|finding| finding.severity == severity).count()
    }

    fn outcome(&self, is_strict: bool) -> Outcome {
        let is_bad = |finding: &Finding| finding.severity == Severity::Problem || is_strict;
        if self.told.iter().any(is_bad) { Outcome::ProblemsFound } else { Outcome::Success }
    }

    fn text(&self) -> String {
        let counts = [
            (self.objects, "object", "objects"),
            (self.files, "file", "files"),
            (self.count(Severity::Problem), "problem", "problems"),
            (self.count(Severity::Warning), "warning", "warnings"),
        ];
        let [objects, files, problems, warnings] =
            counts.map(|(count, one, many)| format!("{count} {}", if count == 1 { one } else { many }));
        format!("{}{objects} in {files}: {problems}, {warnings}\n", lines(&self.told))
    }

    fn remarks(&self) -> String {
        lines(&self.notices)
    }

    fn json(&self) -> Value {
        let findings: Vec<_> = self.told.iter().chain(&self.notices).map(finding).collect();
        json!({
            "objects": self.objects,
            "files": self.files,
            "problems": self.count(Severity::Problem),
            "warnings": self.count(Severity::Warning),
            "findings": findings,
        })
    }
}

/// A finding as JSON. What it does not have is null.
fn finding(finding: &Finding) -> Value {
    let Finding { place, severity, rule, object, field, message } = finding;
    let object = object.as_ref().map(|object| {
        json!({
            "group": object.group, "kind": object.kind, "namespace": object.namespace, "name": object.name,
        })
    });
    json!({
        "severity": severity.as_str(),
        "rule": rule,
        "file": place.file.display().to_string(),
        "document": place.document.map(|document| document.number),
        "line": place.document.map(|document| document.line),
        "object": object,
        "field": (!field.is_empty()).then_some(field),
        "message": message,
    })
}

#[cfg(test)]
mod tests;
