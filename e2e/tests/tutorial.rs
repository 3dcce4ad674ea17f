//! docs/tutorial.md is run as it is written: its commands one after the other in one shell, at ports of the test's
//! own, and each block of text that follows is in their output. Commands that build are left out: the tests have done so.

use anyhow::{Result, ensure};
use e2e::fixture::own_place;
use e2e::page::{self, Step};
use e2e::workspace::workspace_root;

/// All commands, with marks in the output where each step ends.
fn script(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("{}echo '==== end of step'\n", step.commands)).collect()
}

/// What is not the test's to decide: columns of a table are as wide as their content.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_tutorial_does_what_it_says() -> Result<()> {
    let text = std::fs::read_to_string(workspace_root().join("docs/tutorial.md"))?;
    let steps = page::steps(&text);
    assert!(steps.len() >= 8, "{} steps", steps.len());
    let ((_, port, admin), (_, provider, _)) = (own_place()?, own_place()?);
    let folder = tempfile::TempDir::new()?;
    let here = |text: &str| {
        let ports = [("8080", port), ("15000", admin), ("8443", provider)];
        ports.iter().fold(text.to_owned(), |text, (written, ours)| text.replace(written, &ours.to_string()))
    };
    std::os::unix::fs::symlink(workspace_root().join("target"), folder.path().join("target"))?;
    let output = page::run(folder.path(), &here(&script(&steps)))?;
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
