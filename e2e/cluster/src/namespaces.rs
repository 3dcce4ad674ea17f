//! A process, a mount and a network namespace, held by one process that ends when this one does.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::error::{Error, IoContext as _, Result};
use crate::tools::Tools;

/// Runs outside, holds the namespaces, and cleans up when they end.
const KEEPER: &str = include_str!("keeper.sh");

/// How long the namespaces may take to come into being.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// How long the kernel may take to end all processes, and the keeper to clean up.
const END_DEADLINE: Duration = Duration::from_secs(30);

/// Namespaces of their own for processes, mounts and the network.
///
/// They live as long as the write end of a pipe does that only this value holds: when this process
/// ends, in whatever way, the kernel closes the pipe, and the keeper removes everything.
#[derive(Debug)]
pub(crate) struct Namespaces {
    keeper: Mutex<Child>,
    keeper_id: u32,
    lifeline: Mutex<Option<ChildStdin>>,
    entrance: Entrance,
    processes: OwnedFd,
}

/// What it takes to run a command inside the namespaces, from any process.
#[derive(Clone, Debug)]
pub struct Entrance {
    init: u32,
    environment: Vec<(&'static str, OsString)>,
}

impl Entrance {
    /// The way into the cluster whose PID 1 has the process id `init` outside, and whose folder is `folder`.
    #[must_use]
    pub fn new(init: u32, tools: &Tools, folder: &Path) -> Self {
        let environment = vec![
            ("PATH", tools.path_variable()),
            ("KUBECONFIG", folder.join("kubeconfig").into()),
            ("KUBECACHEDIR", folder.join("cache/kubectl").into()),
            ("HELM_CACHE_HOME", folder.join("cache/helm").into()),
            ("HELM_CONFIG_HOME", folder.join("cache/helm").into()),
            ("HELM_DATA_HOME", folder.join("cache/helm").into()),
        ];
        Self { init, environment }
    }

    /// A command that runs inside all namespaces, in the current folder, for anyone to start.
    ///
    /// To enter a process namespace takes a fork: the child is `nsenter`, and the program dies with it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.enter(&["-n", "-m", "-p"], &["setpriv", "--pdeathsig", "KILL", "--"], program.as_ref())
    }

    fn enter(&self, which: &[&str], wrapper: &[&str], program: &OsStr) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("-t").arg(self.init.to_string()).args(which).args(["--", "env"]);
        // Entering a mount namespace changes the working folder to its root.
        if let Ok(here) = std::env::current_dir() {
            command.arg("-C").arg(here);
        }
        command.args(wrapper).arg(program);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

impl Namespaces {
    /// Creates namespaces whose keeper removes `folder` and the control groups called `cgroup` at the end.
    pub(crate) fn start(tools: &Tools, folder: &Path, cgroup: &str) -> Result<Self> {
        let log = folder.join("logs/keeper.log");
        let log = File::create(&log).context(|| format!("create {}", log.display()))?;
        let mut keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .args([folder.as_os_str(), cgroup.as_ref(), tools.program("pause").as_os_str()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .current_dir("/")
            .spawn()
            .context(|| "start /bin/sh".to_owned())?;
        let lifeline = keeper.stdin.take();
        let init = wait_for_init(&mut keeper, folder)?;
        let processes = format!("/proc/{init}/ns/pid");
        let processes = File::open(&processes).context(|| format!("open {processes}"))?.into();
        let entrance = Entrance::new(init, tools, folder);
        let keeper_id = keeper.id();
        Ok(Self {
            keeper: Mutex::new(keeper),
            keeper_id,
            lifeline: Mutex::new(lifeline),
            entrance,
            processes,
        })
    }

    /// The process id, outside, of the namespaces' PID 1.
    pub(crate) fn init(&self) -> u32 {
        self.entrance.init
    }

    /// The process id of the keeper; when it is gone, so is everything.
    pub(crate) fn keeper(&self) -> u32 {
        self.keeper_id
    }

    /// The way in for commands that others start.
    pub(crate) fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// A command for [`Self::spawn`]: inside the network and the mounts, in the current folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.entrance.enter(&["-n", "-m"], &[], program.as_ref())
    }

    /// Starts a [`Self::command`] as a direct child of this process, inside all three namespaces.
    ///
    /// A child is born into the process namespace that its parent's thread has chosen for its children;
    /// hence a thread of its own.
    pub(crate) fn spawn(&self, mut command: Command) -> Result<Child> {
        let spawn = || {
            move_into_link_name_space(self.processes.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
            command.spawn()
        };
        let spawned = thread::scope(|scope| scope.spawn(spawn).join());
        spawned
            .unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")))
            .context(|| "start a process inside the cluster".to_owned())
    }

    /// Moves the calling thread into the network.
    pub(crate) fn enter_network(&self) -> Result<()> {
        let path = format!("/proc/{}/ns/net", self.init());
        let entered = File::open(&path).and_then(|network| {
            Ok(move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?)
        });
        entered.context(|| format!("enter {path}"))
    }

    /// Runs a program inside with `input` on its stdin, and waits for its end.
    pub(crate) fn output(
        &self,
        program: impl AsRef<OsStr>,
        arguments: &[impl AsRef<OsStr>],
        input: &[u8],
    ) -> Result<Output> {
        let mut command = self.command(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(command)?;
        let stdin = child.stdin.take();
        thread::scope(|scope| {
            // A child that ends without reading all of it has said why on stderr.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
            child.wait_with_output()
        })
        .context(|| "wait for a process inside the cluster".to_owned())
    }

    /// [`Self::output`], and an error unless the program succeeds; gives its stdout.
    pub(crate) fn run(
        &self,
        program: impl AsRef<OsStr>,
        arguments: &[impl AsRef<OsStr>],
        input: &[u8],
    ) -> Result<String> {
        let program = program.as_ref();
        let output = self.output(program, arguments, input)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let name = Path::new(program).file_name().unwrap_or(program);
        let words = std::iter::once(name).chain(arguments.iter().map(AsRef::as_ref));
        Err(Error::Command {
            command: words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "),
            status: output.status.to_string(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Asks for the end: closes the pipe. The kernel then kills every process inside.
    pub(crate) fn close(&self) {
        *self.lifeline.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Waits until nothing is left. Children inside must have been waited for, or the kernel waits too.
    pub(crate) fn wait_for_end(&self) -> Result<()> {
        let started = Instant::now();
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        while started.elapsed() < END_DEADLINE {
            if keeper.try_wait().context(|| "wait for the keeper".to_owned())?.is_some() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(Error::Timeout {
            what: "end of the cluster's processes".to_owned(),
            waited: END_DEADLINE,
            last: format!(
                "the keeper {} still runs; is a process of the test inside not ended?",
                self.keeper()
            ),
        })
    }
}

/// Waits until `pause` is PID 1 of a new process namespace; gives its process id outside.
fn wait_for_init(keeper: &mut Child, folder: &Path) -> Result<u32> {
    let started = Instant::now();
    while started.elapsed() < START_DEADLINE {
        let unshare = children(keeper.id()).first().copied();
        let init = unshare.and_then(|unshare| children(unshare).first().copied());
        // Its mounts are in place once it has become `pause`.
        if let Some(init) = init
            && fs::read_to_string(format!("/proc/{init}/comm")).is_ok_and(|name| name.trim() == "pause")
        {
            return Ok(init);
        }
        if let Ok(Some(status)) = keeper.try_wait() {
            return Err(keeper_failed(&status.to_string(), folder));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Err(keeper_failed("no namespaces", folder))
}

fn keeper_failed(status: &str, folder: &Path) -> Error {
    let stderr = fs::read_to_string(folder.join("logs/keeper.log")).unwrap_or_default();
    Error::Command { command: "unshare".to_owned(), status: status.to_owned(), stderr }
}

/// The processes whose parent is `parent`.
fn children(parent: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}
