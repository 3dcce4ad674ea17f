//! The input state: every object as it is now. One of the two mutable states of the program.

use crate::source::{Change, Finding, Severity, Update};
use translator::Resources;

/// All objects, and what is wrong with the places that they come from.
#[derive(Clone, Debug, Default)]
pub struct Store {
    resources: Resources,
    findings: Vec<Finding>,
}

impl Store {
    /// Takes an update in.
    pub fn apply(&mut self, update: Update) {
        let Update { changes, findings } = update;
        for change in changes {
            match change {
                Change::Apply(object) => self.resources.apply(object),
                Change::Delete(object) => drop(self.resources.delete(&object)),
            }
        }
        self.findings = findings;
    }

    /// The objects; cheap to clone.
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// What a person should know about the input.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Findings that are problems.
    pub fn problems(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Problem)
    }
}
