//! The programs that a cluster is made of: where they are, and what to do when they are not there.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The go.mod that pins Kubernetes; its version names the folder of the programs.
const GO_MOD: &str = include_str!("../tools/go.mod");

/// Names another folder with the programs than `.tools/cluster-<version>` of the workspace.
const TOOLS_VARIABLE: &str = "CHANCERY_CLUSTER_TOOLS";

/// What `make cluster-tools` builds.
const BUILT: [&str; 11] = [
    "coredns",
    "echo-basic",
    "etcd",
    "helm",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
    "pause",
];

/// What comes from the system's packages.
const SYSTEM: [&str; 11] =
    ["containerd", "ctr", "env", "ip", "mount", "nft", "nsenter", "openssl", "runc", "setpriv", "unshare"];

/// Where packages put the CNI plugins: Debian's, then everybody else's.
const CNI_FOLDERS: [&str; 2] = ["/usr/lib/cni", "/opt/cni/bin"];

/// Where administrators' programs are, which not every user's PATH names.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The programs that a cluster is made of.
#[derive(Clone, Debug)]
pub struct Tools {
    folder: PathBuf,
    cni: PathBuf,
}

impl Tools {
    /// Finds all programs.
    ///
    /// # Errors
    /// [`Error::Missing`]: this process is not root, or programs are missing; with the command that helps.
    pub fn locate() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(missing("root (namespaces, mounts)", "run the same command with sudo"));
        }
        let folder = env::var_os(TOOLS_VARIABLE).map_or_else(default_folder, PathBuf::from);
        let absent = |names: &[&str], present: &dyn Fn(&str) -> bool| {
            names.iter().filter(|name| !present(name)).copied().collect::<Vec<_>>().join(", ")
        };
        let programs = absent(&SYSTEM, &|name| find_program(name).is_some());
        if !programs.is_empty() {
            return Err(missing(&programs, "run `make cluster-system-packages`"));
        }
        let built = absent(&BUILT, &|name| folder.join("bin").join(name).is_file());
        if !built.is_empty() {
            return Err(missing(&built, "run `make cluster-tools`"));
        }
        let cni = CNI_FOLDERS.iter().map(Path::new).find(|folder| folder.join("ptp").is_file());
        let cni = cni.ok_or_else(|| missing("CNI plugins", "run `make cluster-system-packages`"))?.to_owned();
        Ok(Self { folder, cni })
    }

    /// A program that `make cluster-tools` built.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// The folder of the CNI plugins.
    pub(crate) fn cni(&self) -> &Path {
        &self.cni
    }

    /// Gateway API's CRDs of one release channel.
    pub(crate) fn gateway_api_crds(&self, channel: &str) -> PathBuf {
        self.folder.join("crds").join(channel)
    }

    /// Where images are kept that are made from these programs.
    pub(crate) fn images(&self) -> PathBuf {
        self.folder.join("images")
    }

    /// The `PATH` of everything that runs inside a cluster: our programs first.
    pub(crate) fn path_variable(&self) -> OsString {
        let mut path = self.folder.join("bin").into_os_string();
        path.push(":");
        path.push(SYSTEM_PATH);
        path
    }
}

/// The folder of the workspace's `Cargo.toml`: two above this crate's.
pub(crate) fn workspace_root() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).unwrap_or(crate_folder)
}

/// The version of Kubernetes, as `v1.2.3`.
#[must_use]
pub fn kubernetes_version() -> &'static str {
    let required = GO_MOD.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "));
    required.and_then(|version| version.split_whitespace().next()).unwrap_or("unknown")
}

fn default_folder() -> PathBuf {
    workspace_root().join(".tools").join(format!("cluster-{}", kubernetes_version()))
}

fn find_program(name: &str) -> Option<PathBuf> {
    env::split_paths(SYSTEM_PATH).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn missing(what: &str, remedy: &'static str) -> Error {
    Error::Missing { what: what.to_owned(), remedy }
}
