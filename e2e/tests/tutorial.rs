//! docs/tutorial.md is run as it is written: its commands one after the other in one shell, at ports of the test's
//! own, and each block of text that follows is in their output. Commands that build are left out: the tests have done so.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use e2e::envoy;
use e2e::fixture::own_place;
use e2e::workspace::workspace_root;

/// A block of commands, and the lines that its output is to have.
#[derive(Debug, Default)]
struct Step {
    commands: String,
    expected: Vec<String>,
}

/// The blocks of a page: `sh` begins a step, `text` directly behind it is what it prints.
fn steps(page: &str) -> Vec<Step> {
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

/// A script that marks the end of each step in its output, and ends all that it has started.
fn script(steps: &[Step]) -> String {
    let mut script = "set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n".to_owned();
    for step in steps {
        script += &format!("{}echo '==== end of step'\n", step.commands);
    }
    script
}

/// What is not the test's to decide: columns of a table are as wide as their content.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn run(folder: &Path, script: &str) -> Result<std::process::Output> {
    std::os::unix::fs::symlink(workspace_root().join("target"), folder.join("target"))?;
    let mut command = Command::new("bash");
    // Job control, for `%1`.
    command.args(["-m", "-c", script]).current_dir(folder).stdin(Stdio::null());
    command.env(envoy::ENVOY_VARIABLE, envoy::binary()?).env_remove("CHANCERY_AI_MODULE");
    command.output().context("bash")
}

#[test]
fn the_tutorial_does_what_it_says() -> Result<()> {
    // Built before the tests: cargo does not build the programs of other packages for this one.
    e2e::scenario::binary()?;
    e2e::scenario::ai_module()?;
    let page = std::fs::read_to_string(workspace_root().join("docs/tutorial.md"))?;
    let steps = steps(&page);
    assert!(steps.len() >= 8, "{} steps", steps.len());
    let ((_, port, admin), (_, provider, _)) = (own_place()?, own_place()?);
    let folder = tempfile::TempDir::new()?;
    let here = |text: &str| {
        let ports = [("8080", port), ("15000", admin), ("8443", provider)];
        ports.iter().fold(text.to_owned(), |text, (written, ours)| text.replace(written, &ours.to_string()))
    };
    let output = run(folder.path(), &here(&script(&steps)))?;
    let (text, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let error_log = std::fs::read_to_string(folder.path().join("run.err")).unwrap_or_default();
    ensure!(output.status.success(), "{}\n{text}\n{log}\n{error_log}", output.status);
    for (step, said) in steps.iter().zip(text.split("==== end of step\n")) {
        let said: Vec<String> = said.lines().map(squeezed).collect();
        for line in &step.expected {
            let line = squeezed(&here(line));
            let is_said = said.iter().any(|said| said.contains(&line));
            ensure!(is_said, "{:?} is not in what\n{}prints:\n{}", line, step.commands, said.join("\n"));
        }
    }
    Ok(())
}
