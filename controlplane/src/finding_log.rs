//! Logs what there is to say about the input: each finding once, and when a place is well again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::source::{Finding, Severity};

/// What was said last.
#[derive(Clone, Debug, Default)]
pub(crate) struct FindingLog {
    findings: Vec<Finding>,
}

impl FindingLog {
    /// Says what is new, and which places have no problem any more.
    pub(crate) fn tell(&mut self, findings: &[Finding]) {
        let is_known = |finding: &Finding| self.findings.iter().any(|known| is_same(known, finding));
        for finding in findings.iter().filter(|finding| !is_known(finding)) {
            match finding.severity {
                Severity::Problem | Severity::Warning => tracing::warn!("{finding}"),
                Severity::Notice => tracing::info!("{finding}"),
            }
        }
        for place in repaired(&self.findings, findings) {
            tracing::info!("{}: all good again", place.display());
        }
        self.findings = findings.to_vec();
    }
}

/// Whether two findings say the same, though the lines before them may have become more or fewer.
fn is_same(one: &Finding, other: &Finding) -> bool {
    let without_line = |finding: &Finding| {
        let place = &finding.place;
        (place.file.clone(), place.document.map(|document| document.number))
    };
    let words = |finding: &Finding| (finding.severity, finding.rule);
    let Finding { object, field, message, .. } = one;
    (object, field, message) == (&other.object, &other.field, &other.message)
        && words(one) == words(other)
        && without_line(one) == without_line(other)
}

/// Places that had a problem and have none now.
fn repaired(before: &[Finding], now: &[Finding]) -> BTreeSet<PathBuf> {
    let places = |findings: &[Finding]| -> BTreeSet<PathBuf> {
        let problems = findings.iter().filter(|finding| finding.severity == Severity::Problem);
        problems.map(|finding| finding.place.file.clone()).collect()
    };
    &places(before) - &places(now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Place, rule};

    #[test]
    fn a_place_is_well_again_when_its_last_problem_is_gone() {
        let finding = |file: &str, severity| Finding::new(Place::file(file), severity, rule::UNREADABLE, "x");
        let before = [
            finding("a", Severity::Problem),
            finding("b", Severity::Problem),
            finding("c", Severity::Notice),
        ];
        let now = [finding("a", Severity::Problem), finding("b", Severity::Notice)];
        assert_eq!(repaired(&before, &now), [PathBuf::from("b")].into());
    }
}
