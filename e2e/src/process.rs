//! Child processes whose output goes to files, and which never outlive the test that started them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::http::eventually;

/// How many lines of a log an error or a failed test shows.
const TAIL_LINES: usize = 40;

/// How long a dropped process may take to end by itself before it is killed.
///
/// Chancery stops the Envoys it started when it is asked to end, and cannot when it is killed.
const DROP_GRACE: Duration = Duration::from_secs(2);

/// A running child process. Dropping it ends it: politely first, then by force.
///
/// When the drop happens because a test failed, the end of its log is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with stdout and stderr in files of `log_dir` that are called after `name`.
    ///
    /// # Errors
    /// The log files cannot be created or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log_dir: &Path) -> Result<Self> {
        let stdout = log_dir.join(format!("{name}.stdout"));
        let stderr = log_dir.join(format!("{name}.stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, stdout, stderr })
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process has written to stdout so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        read_lossy(&self.stdout)
    }

    /// What the process has written to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        read_lossy(&self.stderr)
    }

    /// Both outputs: stdout, then stderr.
    #[must_use]
    pub fn log(&self) -> String {
        self.stdout() + &self.stderr()
    }

    /// The last lines of both outputs, with a heading.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        };
        format!(
            "--- {} stdout (end)\n{}\n--- {} stderr (end)\n{}\n---",
            self.name,
            tail(self.stdout()),
            self.name,
            tail(self.stderr())
        )
    }

    /// The exit status, or `None` while the process runs.
    ///
    /// # Errors
    /// The operating system refuses to say.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Fails with the end of the log when the process has ended.
    ///
    /// # Errors
    /// The process has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => bail!("{} ended early: {status}\n{}", self.name, self.log_tail()),
        }
    }

    /// Waits until a line of either output contains `needle`, and returns that line.
    ///
    /// # Errors
    /// The process ends first, or `deadline` passes; both with the end of the log.
    pub async fn wait_for_line(&mut self, needle: &str, deadline: Duration) -> Result<String> {
        let started = Instant::now();
        loop {
            // Asked before reading, so that the last words of a process that ends are still seen.
            let ended = self.ensure_running();
            if let Some(line) = self.log().lines().find(|line| line.contains(needle)) {
                return Ok(line.to_owned());
            }
            ended?;
            if started.elapsed() > deadline {
                bail!("{} did not print {needle:?} within {deadline:?}\n{}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends `signal`. Does nothing when the process has ended.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.exit_status()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("no such process id")?;
        Ok(kill_process(pid, signal)?)
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// # Errors
    /// The process still runs after `deadline` (it is then killed when dropped).
    pub async fn terminate(&mut self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        let name = self.name.clone();
        let child = std::sync::Mutex::new(&mut self.child);
        eventually(deadline, || async {
            let mut child = child.lock().map_err(|_| anyhow!("poisoned"))?;
            child.try_wait()?.with_context(|| format!("{name} still runs after SIGTERM"))
        })
        .await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        if self.signal(Signal::TERM).is_ok() {
            let started = Instant::now();
            while started.elapsed() < DROP_GRACE {
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        // It may have ended in between; there is nobody left to tell about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
