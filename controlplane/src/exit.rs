//! What the process says to its caller when it ends.

use std::process::ExitCode;

/// How a command ended. Wrong usage is 2, and clap's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was asked to.
    Success,
    /// It ran, and found problems (`check`).
    ProblemsFound,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::SUCCESS,
            Outcome::ProblemsFound => Self::from(1),
        }
    }
}
