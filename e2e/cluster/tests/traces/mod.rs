//! What a cluster could leave behind on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What identifies one cluster's processes, control groups, mounts and files.
pub(crate) struct Traces {
    process_namespace: PathBuf,
    folder: PathBuf,
    mounts_before: BTreeSet<String>,
}

impl Traces {
    /// Of the cluster with this PID 1 (as seen from outside) and this folder.
    pub(crate) fn of(init: u32, folder: &Path, mounts_before: BTreeSet<String>) -> Self {
        let process_namespace = fs::read_link(format!("/proc/{init}/ns/pid")).expect("PID 1 runs");
        Self { process_namespace, folder: folder.to_owned(), mounts_before }
    }

    /// The processes inside: (process id outside, name).
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        // Containers have process namespaces of their own, within; they are known by their control groups.
        let cluster = self.folder.file_name().expect("a name").to_string_lossy();
        let inside = ids.filter(|id| {
            fs::read_link(format!("/proc/{id}/ns/pid"))
                .is_ok_and(|namespace| namespace == self.process_namespace)
                || fs::read_to_string(format!("/proc/{id}/cgroup"))
                    .is_ok_and(|groups| groups.contains(&*cluster))
        });
        let name = |id| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default().trim().to_owned();
        inside.map(|id| (id, name(id))).collect()
    }

    /// The process id outside of a process called `name`.
    pub(crate) fn process(&self, name: &str) -> u32 {
        self.processes().into_iter().find(|(_, found)| found == name).expect("it runs").0
    }

    /// The control groups.
    pub(crate) fn control_groups(&self) -> Vec<PathBuf> {
        let name = self.folder.file_name().expect("a name");
        let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("control groups").filter_map(Result::ok);
        let places = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        places.map(|place| place.join(name)).filter(|group| group.exists()).collect()
    }

    /// Everything that is there now.
    pub(crate) fn found(&self) -> Vec<String> {
        let processes = self.processes().into_iter().map(|(id, name)| format!("process {id} {name}"));
        let groups =
            self.control_groups().into_iter().map(|group| format!("control group {}", group.display()));
        let folder = self.folder.exists().then(|| format!("folder {}", self.folder.display()));
        let mounts = mounts();
        let mounts = mounts.difference(&self.mounts_before).map(|mount| format!("mount {mount}"));
        processes.chain(groups).chain(folder).chain(mounts).collect()
    }
}

/// The mounts of this process' mount namespace.
pub(crate) fn mounts() -> BTreeSet<String> {
    fs::read_to_string("/proc/self/mounts").expect("mounts").lines().map(str::to_owned).collect()
}
