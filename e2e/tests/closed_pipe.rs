//! Commands whose reader goes away before they have said everything.

use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use e2e::scenario::binary;

/// Runs a command whose standard output is a pipe that nobody reads any more; gives its status and what it
/// says on standard error.
fn unread(arguments: &[&str], program: &str) -> Result<(ExitStatus, String)> {
    let program = binary()?.with_file_name(program);
    let mut command = Command::new(&program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{}: is it built?", program.display()))?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    Ok((output.status, String::from_utf8_lossy(&output.stderr).into_owned()))
}

#[test]
fn a_command_whose_reader_goes_away_ends_quietly() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let broken = "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: a}\nspec: 1\n";
    // More than a pipe's buffer, so that it is noticed at all.
    let many: String = (0..3000).map(|number| format!("{broken}---\n# {number}\n")).collect();
    std::fs::write(folder.path().join("a.yaml"), many)?;
    let path = folder.path().to_str().context("a path")?;
    for (program, arguments) in [
        ("chancery", vec!["check", path]),
        ("chancery", vec!["translate", path]),
        ("chancery", vec!["--help"]),
        ("chancery", vec!["run", "--help"]),
        ("crd-yaml", vec![]),
    ] {
        let (status, errors) = unread(&arguments, program)?;
        assert!(!errors.contains("panicked"), "{program} {arguments:?}: {errors}");
        assert_ne!(status.code(), Some(101), "{program} {arguments:?}: {errors}");
        assert!(
            errors.lines().all(|line| !line.contains("Broken pipe")),
            "{program} {arguments:?}: {errors}"
        );
    }
    Ok(())
}
