//! Starts Envoys that cannot outlive us.
//!
//! The kernel ends a child with its parent when the child has asked for it, and only between fork
//! and exec could we ask in its place, with `unsafe`. So we start ourselves as `exec-envoy`, which
//! asks and then becomes Envoy. The signal comes when the *thread* that forked ends, not the process;
//! hence a thread for it that lives as long as the launcher.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::{io, process};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::args::ExecEnvoyArgs;

/// A thread that starts processes. A clone is the same thread.
#[derive(Clone, Debug)]
pub struct Launcher {
    requests: mpsc::UnboundedSender<Launch>,
    /// This program.
    program: PathBuf,
}

#[derive(Debug)]
struct Launch {
    command: Command,
    child: oneshot::Sender<io::Result<Child>>,
}

impl Launcher {
    /// Starts the thread. `program` is this program, which understands `exec-envoy`.
    ///
    /// # Errors
    /// The system gives no thread.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(program: PathBuf) -> Result<Self> {
        let (requests, mut launches) = mpsc::unbounded_channel::<Launch>();
        let runtime = tokio::runtime::Handle::current();
        let run = move || {
            let _entered = runtime.enter();
            while let Some(Launch { mut command, child }) = launches.blocking_recv() {
                // Nobody waits any more: the child, if any, is killed when it is dropped.
                let _ = child.send(command.spawn());
            }
        };
        std::thread::Builder::new()
            .name("launcher".to_owned())
            .spawn(run)
            .context("cannot start a thread")?;
        Ok(Self { requests, program })
    }

    /// This program, whatever became of its file since it was started.
    pub fn this_program() -> PathBuf {
        PathBuf::from("/proc/self/exe")
    }

    /// Starts an Envoy with its stderr piped, in a process group of its own: Ctrl-C is for us alone.
    ///
    /// # Errors
    /// The process cannot be started.
    pub async fn launch(&self, envoy: &Path, arguments: Vec<OsString>, stdout: Stdio) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.arg("exec-envoy").arg("--parent").arg(process::id().to_string()).arg("--").arg(envoy);
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let (sender, child) = oneshot::channel();
        if self.requests.send(Launch { command, child: sender }).is_err() {
            bail!("the launcher has ended");
        }
        child
            .await
            .context("the launcher has ended")?
            .with_context(|| format!("cannot start {}", self.program.display()))
    }
}

/// `chancery exec-envoy`: ties this process to its parent, and becomes Envoy.
///
/// # Errors
/// The parent is gone, or the binary does not run. On success it does not return.
pub fn exec_envoy(args: &ExecEnvoyArgs) -> Result<std::convert::Infallible> {
    let ExecEnvoyArgs { parent, command } = args;
    set_parent_process_death_signal(Some(Signal::TERM)).context("cannot tie Envoy to its parent")?;
    // It may have ended before we asked.
    if getppid() != Pid::from_raw(*parent) {
        bail!("the parent process has ended");
    }
    let Some((program, arguments)) = command.split_first() else { bail!("no command") };
    let error = process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", Path::new(program).display()))
}
