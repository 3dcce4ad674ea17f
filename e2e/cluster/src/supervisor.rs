//! The running components: start, stop, pause, and notice when one ends that should not.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Component;
use crate::error::{Error, IoContext as _, Result};
use crate::namespaces::Namespaces;
use crate::tools::Tools;

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 25;

/// How long a component may take to end by itself.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// The running components. All methods take `&self`: tests stop and start them from several threads.
#[derive(Debug)]
pub(crate) struct Supervisor {
    logs: PathBuf,
    dual_stack: bool,
    running: Mutex<BTreeMap<Component, Child>>,
}

impl Supervisor {
    /// Nothing runs yet. Logs will go to `logs`.
    pub(crate) fn new(logs: &Path, dual_stack: bool) -> Self {
        Self { logs: logs.to_owned(), dual_stack, running: Mutex::default() }
    }

    /// Starts a component; one that runs already is left alone. Its log is continued.
    pub(crate) fn start(&self, component: Component, namespaces: &Namespaces, tools: &Tools) -> Result<()> {
        let mut running = self.running();
        if running.contains_key(&component) {
            return Ok(());
        }
        let path = self.log(component);
        let log = File::options().create(true).append(true).open(&path);
        let log = log.context(|| format!("open {}", path.display()))?;
        let second = log.try_clone().context(|| format!("open {}", path.display()))?;
        let program = match component {
            Component::Containerd => component.name().into(),
            _ => tools.program(component.name()),
        };
        let mut command = namespaces.command(program);
        command.args(component.arguments(self.dual_stack));
        if component == Component::ApiServer {
            command.arg(format!("--audit-log-path={}", self.logs.join("audit.log").display()));
        }
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        running.insert(component, namespaces.spawn(command)?);
        Ok(())
    }

    /// Ends a component, politely first. One that does not run is fine.
    pub(crate) fn stop(&self, component: Component) -> Result<()> {
        let Some(mut child) = self.running().remove(&component) else { return Ok(()) };
        let started = Instant::now();
        signal(&child, Signal::TERM)?;
        // One that is paused takes no other signal.
        signal(&child, Signal::CONT)?;
        while child.try_wait().context(|| format!("wait for {component}"))?.is_none() {
            if started.elapsed() > STOP_GRACE {
                child.kill().context(|| format!("kill {component}"))?;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Kills a component without warning, as the kernel does when memory runs out.
    pub(crate) fn kill(&self, component: Component) -> Result<()> {
        let Some(mut child) = self.running().remove(&component) else { return Ok(()) };
        child.kill().and_then(|()| child.wait()).context(|| format!("kill {component}")).map(drop)
    }

    /// Stops or continues a component's execution; its connections stay open.
    pub(crate) fn set_paused(&self, component: Component, paused: bool) -> Result<()> {
        match self.running().get(&component) {
            Some(child) => signal(child, if paused { Signal::STOP } else { Signal::CONT }),
            None => Err(Error::Unexpected(format!("{component} does not run"))),
        }
    }

    /// Fails when a component has ended that was not stopped.
    pub(crate) fn ensure_running(&self) -> Result<()> {
        for (&component, child) in self.running().iter_mut() {
            if let Some(status) = child.try_wait().context(|| format!("wait for {component}"))? {
                let status = match status.signal() {
                    Some(signal) => format!("signal {signal}"),
                    None => status.to_string(),
                };
                return Err(Error::ComponentEnded { component, status, log: self.log_tail(component) });
            }
        }
        Ok(())
    }

    /// The end of a component's log.
    pub(crate) fn log_tail(&self, component: Component) -> String {
        let text = fs::read(self.log(component)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        // A Go program that panics says why before it lists its goroutines.
        let panic = lines.iter().rposition(|line| line.starts_with("panic: "));
        let listing = panic.and_then(|at| lines[at..].iter().position(|line| line.starts_with("goroutine ")));
        let end = panic.zip(listing).map_or(lines.len(), |(panic, listing)| panic + listing);
        lines[end.saturating_sub(TAIL_LINES)..end].join("\n")
    }

    /// Waits for all of them, which the kernel is killing.
    pub(crate) fn reap(&self) {
        for child in self.running().values_mut() {
            // It is gone in any case; there is nobody to tell.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn log(&self, component: Component) -> PathBuf {
        self.logs.join(format!("{component}.log"))
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Component, Child>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| Error::Unexpected(format!("{} is no process id", child.id())))?;
    kill_process(pid, signal).map_err(Into::into).context(|| format!("signal process {pid:?}"))
}
