//! What became of the suite's tests, from what Go's test runner prints.

use std::fmt;

/// How many tests are named as the slowest.
const SLOWEST: usize = 8;

/// How the tests of service meshes begin, which no profile of ours has.
const MESH: &str = "Mesh";

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// A test of the suite that has ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TestResult {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) seconds: f64,
}

impl TestResult {
    /// Reads a line such as `    --- PASS: TestConformance/HTTPRouteWeight (3.21s)`; `None` for any other, and for
    /// those of a test's parts.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (outcome, rest) = line.trim_start().strip_prefix("--- ")?.split_once(": TestConformance/")?;
        let (name, time) = rest.split_once(" (")?;
        let outcome = match outcome {
            "PASS" => Outcome::Passed,
            "FAIL" => Outcome::Failed,
            "SKIP" => Outcome::Skipped,
            _ => return None,
        };
        let seconds = time.strip_suffix("s)")?.parse().ok()?;
        (!name.contains('/')).then(|| Self { name: name.to_owned(), outcome, seconds })
    }
}

/// All tests that have ended, but for those of service meshes.
#[derive(Debug, Default)]
pub(crate) struct Results(Vec<TestResult>);

impl Results {
    pub(crate) fn add(&mut self, result: TestResult) {
        if !result.name.starts_with(MESH) {
            self.0.push(result);
        }
    }

    fn with(&self, outcome: Outcome) -> impl Iterator<Item = &TestResult> {
        self.0.iter().filter(move |result| result.outcome == outcome)
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |outcome| self.with(outcome).count();
        let mut slowest: Vec<_> = self.0.iter().collect();
        slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let slowest: Vec<_> = slowest
            .iter()
            .take(SLOWEST)
            .map(|result| format!("{} {:.1} s", result.name, result.seconds))
            .collect();
        writeln!(f, "Slowest: {}", slowest.join(", "))?;
        for result in self.with(Outcome::Failed) {
            writeln!(f, "FAILED: {}", result.name)?;
        }
        let skipped: Vec<_> = self.with(Outcome::Skipped).map(|result| result.name.as_str()).collect();
        if !skipped.is_empty() {
            writeln!(f, "Skipped: {}", skipped.join(", "))?;
        }
        let [passed, failed, skipped] = [Outcome::Passed, Outcome::Failed, Outcome::Skipped].map(count);
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, TestResult};

    #[test]
    fn the_end_of_a_test_is_read_and_that_of_its_parts_is_not() {
        let result = TestResult::parse("    --- FAIL: TestConformance/HTTPRouteWeight (3.21s)");
        let expected =
            TestResult { name: "HTTPRouteWeight".to_owned(), outcome: Outcome::Failed, seconds: 3.21 };
        assert_eq!(result, Some(expected));
        for other in [
            "=== RUN   TestConformance/HTTPRouteWeight",
            "        --- PASS: TestConformance/HTTPRouteWeight/Requests (1.00s)",
            "--- FAIL: TestConformance (12.00s)",
            "a --- PASS: TestConformance/X (1.00s)",
        ] {
            assert_eq!(TestResult::parse(other), None, "{other}");
        }
    }
}
