//! The commands of the project's pages, run as they are written.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};

use crate::envoy;
use crate::scenario;

/// A block of commands, and the lines that its output is to have.
#[derive(Debug, Default)]
pub struct Step {
    /// The lines of the block.
    pub commands: String,
    /// The lines of the block of text directly behind it.
    pub expected: Vec<String>,
}

/// The blocks of a page: `sh` begins a step, `text` directly behind it is what it prints.
pub fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut open: Option<&str> = None;
    let mut follows_commands = false;
    for line in page.lines() {
        match (open, line) {
            (None, "```sh") => {
                steps.push(Step::default());
                open = Some("sh");
            }
            (None, "```text") if follows_commands => open = Some("text"),
            (None, fence) if fence.starts_with("```") => open = Some("other"),
            (None, _) => follows_commands = false,
            (Some(kind), "```") => {
                follows_commands = kind == "sh";
                open = None;
            }
            (Some(kind), line) => {
                let Some(step) = steps.last_mut() else { continue };
                match kind {
                    "sh" => step.commands += &format!("{line}\n"),
                    "text" => step.expected.push(line.to_owned()),
                    _ => {}
                }
            }
        }
    }
    steps
}

/// Runs commands in one shell, as a person would, and then ends all that they have started.
///
/// # Errors
/// There is no shell, no Envoy, or one of our programs has not been built.
pub fn run(folder: &Path, commands: &str) -> Result<Output> {
    // Built before the tests: cargo does not build the programs of other packages for this one.
    scenario::ai_module()?;
    let script = format!("set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{commands}");
    let mut command = Command::new("bash");
    // Job control, for `%1`.
    command.args(["-m", "-c", &script]).current_dir(folder).stdin(Stdio::null());
    command.env(envoy::ENVOY_VARIABLE, envoy::binary()?).env_remove("CHANCERY_AI_MODULE");
    command.output().context("bash")
}
