//! Processes of pods, for tests that kill one without its pod being told.

use std::fs;

use crate::Cluster;
use crate::error::{Error, Result};

impl Cluster {
    /// Kills the processes called `program` (as in `/proc/*/comm`) of these pods at one moment, by SIGKILL: nobody
    /// asks them to end, and the kubelet finds them dead.
    ///
    /// # Errors
    /// One of the pods has no such process.
    pub fn kill_in_pods(&self, namespace: &str, pods: &[&str], program: &str) -> Result<()> {
        let mut processes = Vec::new();
        for pod in pods {
            let uid = self.pod_uid(namespace, pod)?;
            let found = processes_of_pod(&uid, program);
            if found.is_empty() {
                return Err(Error::Unexpected(format!("no {program} runs in the pod {namespace}/{pod}")));
            }
            processes.extend(found);
        }
        let ids: Vec<String> = processes.iter().map(u32::to_string).collect();
        self.exec_inside("sh", &["-c", &format!("kill -KILL {}", ids.join(" "))]).map(drop)
    }

    /// The identity of a pod, by which its volumes and control groups are called.
    pub(crate) fn pod_uid(&self, namespace: &str, pod: &str) -> Result<String> {
        self.kubectl(&["get", "pod", pod, "-n", namespace, "-o", "jsonpath={.metadata.uid}"])
    }
}

/// The process ids, inside, of the processes with this name in the pod with this uid.
fn processes_of_pod(uid: &str, program: &str) -> Vec<u32> {
    let group = format!("/pod{uid}/");
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(std::result::Result::ok);
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(|id| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
        let is_it = read("comm").trim() == program && read("cgroup").contains(&group);
        is_it.then(|| id_inside(&read("status"))).flatten()
    })
    .collect()
}

/// One id per process namespace, outermost first: the machine, the cluster, the container.
pub(crate) fn id_inside(status: &str) -> Option<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    ids.split_whitespace().nth(1)?.parse().ok()
}
