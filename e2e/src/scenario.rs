//! The `chancery` binary as a child process.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::envoy;
use crate::process::Process;

/// Finds the `chancery` binary that was built with the running test.
///
/// Cargo tells tests the paths of their own package's binaries alone, so it is looked for beside the test.
///
/// # Errors
/// It has not been built; the error says how.
pub fn binary() -> Result<PathBuf> {
    built_with(&std::env::current_exe()?)
}

fn built_with(test: &Path) -> Result<PathBuf> {
    let name = format!("chancery{}", std::env::consts::EXE_SUFFIX);
    // target/<profile>/deps/<test>: the profile's folder is the second one up.
    let mut candidates = test.ancestors().skip(1).take(2).map(|folder| folder.join(&name));
    candidates.find(|path| path.is_file()).with_context(|| {
        format!("no `chancery` beside {}: run `cargo build -p controlplane`", test.display())
    })
}

/// The module of the AI engine, which stands beside the program.
///
/// # Errors
/// It was not built.
pub fn ai_module() -> Result<PathBuf> {
    let module = binary()?.with_file_name("libchancery_ai.so");
    ensure!(module.is_file(), "no {}: run `cargo build -p module`", module.display());
    Ok(module)
}

/// A running `chancery run`. Dropping it asks it to end, so that it ends its Envoys, and then makes it.
#[derive(Debug)]
pub struct Chancery {
    process: Process,
    // Not the working folder: `chancery` may be watching that. Deleted after the process has ended.
    _logs: TempDir,
}

impl Chancery {
    /// Starts `chancery run ARGUMENTS` in `folder`, with the Envoy that [`envoy::binary`] finds.
    ///
    /// # Errors
    /// No binary (of `chancery` or of Envoy), or it cannot be started.
    pub fn run<A: AsRef<OsStr>>(arguments: &[A], folder: &Path) -> Result<Self> {
        let logs = TempDir::new()?;
        let mut command = command("run", arguments, folder)?;
        command.env(envoy::ENVOY_VARIABLE, envoy::binary()?);
        Ok(Self { process: Process::spawn("chancery", command, logs.path())?, _logs: logs })
    }

    /// Runs another subcommand (`translate`, `check`) in `folder` to its end.
    ///
    /// # Errors
    /// No binary, or it cannot be started. An exit code other than 0 is no error here.
    pub fn output<A: AsRef<OsStr>>(subcommand: &str, arguments: &[A], folder: &Path) -> Result<Output> {
        Ok(command(subcommand, arguments, folder)?.output()?)
    }

    /// Everything it has printed so far: stdout, then stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it prints a line that contains `needle`, and returns the line.
    ///
    /// # Errors
    /// It ends first, or `deadline` passes; both with the end of the log.
    pub async fn wait_for_line(&mut self, needle: &str, deadline: Duration) -> Result<String> {
        self.process.wait_for_line(needle, deadline).await
    }

    /// Asks it to end (SIGTERM) and waits for it.
    ///
    /// # Errors
    /// It still runs after `deadline`.
    pub async fn stop(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.process.terminate(deadline).await
    }

    /// The process itself.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn command<A: AsRef<OsStr>>(subcommand: &str, arguments: &[A], folder: &Path) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.arg(subcommand).args(arguments).current_dir(folder);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_of_the_same_build() {
        let profile = tempfile::tempdir().unwrap();
        let test = profile.path().join("deps/some_test-0123");
        let missing = built_with(&test).unwrap_err().to_string();
        assert!(missing.contains("cargo build -p controlplane"), "{missing}");
        let built = profile.path().join("chancery");
        std::fs::write(&built, "").unwrap();
        assert_eq!(built_with(&test).unwrap(), built);
    }
}
