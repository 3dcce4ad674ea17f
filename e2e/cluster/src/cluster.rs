//! A running cluster, as tests see it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Component;
use crate::error::{Error, IoContext as _, Result};
use crate::load_balancer::LoadBalancers;
use crate::namespaces::{Entrance, Namespaces};
use crate::node::{self, Setup};
use crate::options::Options;
use crate::pod_process::id_inside;
use crate::supervisor::Supervisor;
use crate::tools::Tools;
use crate::{cgroup, dns, images};

/// How a cluster's folder and control groups are called, before a random part.
const NAME_PREFIX: &str = "chancery-cluster-";

/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(100);

/// Which of Gateway API's custom resource definitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayApi {
    /// Stable kinds and fields only.
    Standard,
    /// Everything.
    Experimental,
    /// Those in a folder: of another version.
    Folder(PathBuf),
}

/// A real Kubernetes with one node, in namespaces of its own. Dropping it ends it and removes everything.
///
/// It also ends when the process that holds it does, even by SIGKILL. When the drop happens because a
/// test panics, the logs of all components and pods, and all objects, are kept, and the folder is named.
/// A test that fails otherwise calls [`Self::keep_logs`].
///
/// Its network is its own, too: the addresses of pods and Services answer only to programs that run
/// inside ([`Self::inside`], [`Self::exec_inside`]).
#[derive(Debug)]
pub struct Cluster {
    tools: Tools,
    folder: PathBuf,
    namespaces: Arc<Namespaces>,
    supervisor: Supervisor,
    load_balancers: OnceLock<LoadBalancers>,
}

impl Cluster {
    /// Starts a cluster and waits until it is ready: node, default service account, DNS.
    ///
    /// # Errors
    /// The machine lacks something, or a component does not come up; the error says which, with the end
    /// of its log and the folder of all logs.
    pub fn start(options: &Options) -> Result<Self> {
        let tools = Tools::locate()?;
        let folder = tempfile::Builder::new().prefix(NAME_PREFIX).tempdir_in(env::temp_dir());
        let folder = folder.context(|| "create a temporary folder".to_owned())?;
        ensure_visible_inside(folder.path())?;
        ensure_visible_inside(&tools.program("kubectl"))?;
        let logs = folder.path().join("logs");
        fs::create_dir(&logs).context(|| format!("create {}", logs.display()))?;
        let name = file_name(folder.path());
        let namespaces = Arc::new(Namespaces::start(&tools, folder.path(), &name)?);
        // From here on the keeper removes the folder.
        let folder = folder.keep();
        let supervisor = Supervisor::new(&logs, options.dual_stack);
        let cluster = Self { tools, folder, namespaces, supervisor, load_balancers: OnceLock::new() };
        if options.keep_logs {
            cluster.keep_logs()?;
        }
        match cluster.bring_up(&name, options) {
            Ok(()) => Ok(cluster),
            Err(cause) => {
                cluster.keep_logs()?;
                Err(Error::Start { cause: Box::new(cause), logs })
            }
        }
    }

    fn bring_up(&self, name: &str, options: &Options) -> Result<()> {
        cgroup::create(name)?;
        Setup {
            namespaces: &self.namespaces,
            tools: &self.tools,
            folder: &self.folder,
            cgroup: name,
            state_size: &options.state_size,
            dual_stack: options.dual_stack,
        }
        .run()?;
        for component in [Component::Etcd, Component::Containerd, Component::ApiServer] {
            self.start_component(component)?;
        }
        // Images are imported while the API server starts.
        thread::scope(|scope| {
            let imports = scope.spawn(|| self.load_images(options));
            self.wait_until("ready API server", options.deadline, || {
                self.kubectl(&["get", "--raw=/readyz"])
            })?;
            imports.join().unwrap_or_else(|_| Err(Error::Unexpected("the import panicked".to_owned())))
        })?;
        for component in Component::ALL {
            self.start_component(component)?;
        }
        self.load_balancers.get_or_init(|| LoadBalancers::start(Arc::clone(&self.namespaces)));
        let dns = dns::manifest(&options.dns_aliases);
        self.wait_until("cluster DNS applied", options.deadline, || self.apply(&dns))?;
        self.wait_ready(options.deadline)
    }

    fn load_images(&self, options: &Options) -> Result<()> {
        let own = [images::pause(&self.tools)?, images::coredns(&self.tools)?];
        self.wait_until("containerd", options.deadline, || self.exec_inside("ctr", &["version"]))?;
        own.iter().chain(&options.images).try_for_each(|image| self.load_image(image))
    }

    /// Waits until the API server, the node and the cluster's DNS are ready, as at the start.
    ///
    /// # Errors
    /// A component ends, or `deadline` passes.
    pub fn wait_ready(&self, deadline: Duration) -> Result<()> {
        let node = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let checks: [(&str, &[&str], &str); 4] = [
            ("ready API server", &["get", "--raw=/readyz"], "ok"),
            ("ready node", &["get", "node", "node", "-o", node], "True"),
            (
                "default service account",
                &["get", "serviceaccount", "default", "-o", "name"],
                "serviceaccount/default",
            ),
            (
                "cluster DNS",
                &[
                    "get",
                    "deployment",
                    "coredns",
                    "-n",
                    "kube-system",
                    "-o",
                    "jsonpath={.status.availableReplicas}",
                ],
                "1",
            ),
        ];
        let started = Instant::now();
        for (what, arguments, wanted) in checks {
            self.wait_until(what, deadline.saturating_sub(started.elapsed()), || {
                // Of an API server that is paused, too, there is an answer in time.
                let answer = self.kubectl(&[arguments, &["--request-timeout=5s"]].concat())?;
                if answer.trim() == wanted {
                    Ok(())
                } else {
                    Err(Error::Unexpected(format!("it is {answer:?}")))
                }
            })?;
        }
        Ok(())
    }

    /// Tries `attempt` until it succeeds, and gives its result. For tests that wait for a state.
    ///
    /// # Errors
    /// `deadline` passes (with the last error of `attempt`), or a component ends.
    pub fn wait_until<T, E: std::fmt::Display>(
        &self,
        what: &str,
        deadline: Duration,
        mut attempt: impl FnMut() -> Result<T, E>,
    ) -> Result<T> {
        let started = Instant::now();
        loop {
            self.supervisor.ensure_running()?;
            match attempt() {
                Ok(value) => return Ok(value),
                Err(error) if started.elapsed() > deadline => {
                    return Err(Error::Timeout {
                        what: what.to_owned(),
                        waited: deadline,
                        last: error.to_string(),
                    });
                }
                Err(_) => thread::sleep(POLL),
            }
        }
    }

    /// Runs `kubectl` as the administrator, in the current folder; gives its stdout.
    ///
    /// # Errors
    /// It fails; with its stderr.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.exec_inside("kubectl", arguments)
    }

    /// Runs `kubectl … -o json` and decodes the answer.
    ///
    /// # Errors
    /// It fails, or does not answer JSON.
    pub fn kubectl_json(&self, arguments: &[&str]) -> Result<Value> {
        let answer = self.kubectl(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&answer)
            .map_err(|error| Error::Unexpected(format!("kubectl {arguments:?}: {error}")))
    }

    /// Runs `kubectl apply` on these YAML documents; gives its stdout.
    ///
    /// # Errors
    /// The API server refuses one of them.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.namespaces.run("kubectl", &["apply", "-f", "-"], yaml.as_bytes())
    }

    /// Runs `helm` as the administrator, in the current folder; gives its stdout.
    ///
    /// # Errors
    /// It fails; with its stderr.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        self.exec_inside("helm", arguments)
    }

    /// Runs a program inside the cluster's namespaces, in the current folder; gives its stdout.
    ///
    /// # Errors
    /// It cannot be started, or fails; with its stderr.
    pub fn exec_inside(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Result<String> {
        self.namespaces.run(program, arguments, &[])
    }

    /// A command that runs inside the cluster's namespaces, for clients that run for longer or whose
    /// input and output the caller wants. Can be made a tokio command.
    ///
    /// The files of the machine are the same inside, but for `/run`, `/var/lib`, `/var/log`,
    /// `/etc/resolv.conf` and `/etc/hosts`. The child is `nsenter`; the program dies with it.
    #[must_use]
    pub fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        self.namespaces.entrance().command(program)
    }

    /// A command like [`Self::inside`] that runs in the network of a pod, where it reaches what listens on the
    /// pod's loopback address (such as Envoy's admin port), also of a pod without a shell.
    ///
    /// # Errors
    /// No such pod runs.
    pub fn inside_pod(&self, namespace: &str, pod: &str, program: impl AsRef<OsStr>) -> Result<Command> {
        let uid = self.pod_uid(namespace, pod)?;
        let process = process_of_pod(&uid)
            .ok_or_else(|| Error::Unexpected(format!("no process of the pod {namespace}/{pod} runs")))?;
        let mut command = self.inside("nsenter");
        command.arg("-t").arg(process.to_string()).args(["-n", "--"]).arg(program);
        Ok(command)
    }

    /// Moves the calling thread, and all threads that it starts later, into the cluster's network, for clients
    /// in this process. There is no way back: use a thread of its own. Names are those of the machine, not of
    /// the cluster's DNS.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn enter_network(&self) -> Result<()> {
        self.namespaces.enter_network()
    }

    /// Starts what `configure` makes of the command `program` as a direct child of this process, so that
    /// signals reach the program itself. [`Self::inside`] is for all others. Wait for the child before the
    /// cluster is dropped: its end waits for all processes inside.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn spawn_inside(
        &self,
        program: impl AsRef<OsStr>,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Child> {
        let mut command = self.namespaces.command(program);
        configure(&mut command);
        self.namespaces.spawn(command)
    }

    /// Makes the image of a tarball available to pods.
    ///
    /// # Errors
    /// It is no image.
    pub fn load_image(&self, tarball: &Path) -> Result<()> {
        let path = tarball.canonicalize().context(|| format!("find the image {}", tarball.display()))?;
        let import = ["-n", "k8s.io", "images", "import"].map(OsStr::new);
        self.namespaces.run("ctr", &[import.as_slice(), &[path.as_os_str()]].concat(), &[]).map(drop)
    }

    /// Installs Gateway API's custom resource definitions.
    ///
    /// # Errors
    /// The API server refuses one of them.
    pub fn install_gateway_api(&self, definitions: &GatewayApi) -> Result<()> {
        let folder = match definitions {
            GatewayApi::Standard => self.tools.gateway_api_crds("standard"),
            GatewayApi::Experimental => self.tools.gateway_api_crds("experimental"),
            GatewayApi::Folder(folder) => folder.clone(),
        };
        // Client-side, the annotation with the whole of a definition is too large.
        self.kubectl(&["apply", "--server-side", "-f", &folder.to_string_lossy()])?;
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).map(drop)
    }

    /// Starts a component that was stopped or killed; one that runs is left alone. Does not wait until it
    /// is ready: see [`Self::wait_ready`].
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_component(&self, component: Component) -> Result<()> {
        self.supervisor.start(component, &self.namespaces, &self.tools)
    }

    /// Ends a component, with SIGTERM first.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop_component(&self, component: Component) -> Result<()> {
        self.supervisor.stop(component)
    }

    /// Kills a component without warning.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn kill_component(&self, component: Component) -> Result<()> {
        self.supervisor.kill(component)
    }

    /// Halts a component: it answers nobody, and its connections stay open.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause_component(&self, component: Component) -> Result<()> {
        self.supervisor.set_paused(component, true)
    }

    /// Lets a paused component go on.
    ///
    /// # Errors
    /// It does not run.
    pub fn resume_component(&self, component: Component) -> Result<()> {
        self.supervisor.set_paused(component, false)
    }

    /// The administrator's kubeconfig, the same path inside; its server answers only inside.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The folder of the logs: one file per component, `audit.log` (who wrote what, one JSON object per
    /// line), and `pods/<namespace>_<pod>_<uid>/<container>/`.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// The programs that it is made of.
    #[must_use]
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// How another process of this machine gets in; see [`Entrance`].
    #[must_use]
    pub fn entrance(&self) -> &Entrance {
        self.namespaces.entrance()
    }

    /// The process id of PID 1 inside, as seen from outside.
    #[must_use]
    pub fn init_process(&self) -> u32 {
        self.namespaces.init()
    }

    /// The process that cleans up: when it has ended, nothing of the cluster is left.
    #[must_use]
    pub fn keeper_process(&self) -> u32 {
        self.namespaces.keeper()
    }

    /// The folder of everything on disk; its name is that of the cluster's control groups.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.keep_logs_on_panic());
        if let Some(load_balancers) = self.load_balancers.get() {
            load_balancers.end();
        }
        self.namespaces.close();
        self.supervisor.reap();
        if let Some(load_balancers) = self.load_balancers.get() {
            load_balancers.join();
        }
        if let Err(error) = self.namespaces.wait_for_end() {
            eprintln!("{error}");
        }
    }
}

fn ensure_visible_inside(path: &Path) -> Result<()> {
    match node::OWN_FOLDERS.iter().find(|own| path.starts_with(own)) {
        None => Ok(()),
        Some(own) => Err(Error::Unexpected(format!(
            "{} would be hidden inside a cluster, which has a {own} of its own: use another place (TMPDIR, checkout)",
            path.display()
        ))),
    }
}

/// The process id, inside, of some process of the pod with this uid.
fn process_of_pod(uid: &str) -> Option<u32> {
    let group = format!("/pod{uid}/");
    let entries = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
    let mut ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let outside = ids.find(|id| {
        fs::read_to_string(format!("/proc/{id}/cgroup")).is_ok_and(|groups| groups.contains(&group))
    })?;
    id_inside(&fs::read_to_string(format!("/proc/{outside}/status")).ok()?)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
