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
        for finding in findings.iter().filter(|finding| !self.findings.contains(finding)) {
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
