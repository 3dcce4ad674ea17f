//! The cluster's own control groups: a kubelet deletes pods' groups that it does not know, so that two
//! of them must not look at the same ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{IoContext as _, Result};

/// A mounted hierarchy of control groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    V1,
    V2,
}

/// Creates the group `name` at the top of every mounted hierarchy, with what a kubelet wants of it.
/// The keeper removes it.
pub(crate) fn create(name: &str) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").context(|| "read /proc/self/mounts".to_owned())?;
    for (hierarchy, version) in hierarchies(&mounts) {
        let group = hierarchy.join(name);
        fs::create_dir(&group).context(|| format!("create the control group {}", group.display()))?;
        match version {
            Version::V1 => inherit_cpuset(&hierarchy, &group),
            Version::V2 => enable_controllers(&hierarchy),
        }
        .context(|| format!("set up the control group {}", group.display()))?;
    }
    Ok(())
}

fn hierarchies(mounts: &str) -> Vec<(PathBuf, Version)> {
    let mut found: Vec<(PathBuf, Version)> = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(_), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match kind {
            "cgroup" => Version::V1,
            "cgroup2" => Version::V2,
            _ => continue,
        };
        if !found.iter().any(|(known, _)| known == Path::new(point)) {
            found.push((point.into(), version));
        }
    }
    found
}

/// A v1 cpuset group starts without processors and memory nodes, and takes no process until it has some.
fn inherit_cpuset(parent: &Path, group: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if group.join(file).exists() {
            fs::write(group.join(file), fs::read(parent.join(file))?)?;
        }
    }
    Ok(())
}

/// In v2 a group has the controllers that its parent hands down.
fn enable_controllers(parent: &Path) -> io::Result<()> {
    let available = fs::read_to_string(parent.join("cgroup.controllers"))?;
    for controller in available.split_whitespace() {
        fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Version, hierarchies};

    #[test]
    fn every_hierarchy_is_found_once() {
        let mounts = "proc /proc proc rw 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let expected =
            [("/sys/fs/cgroup/cpu".into(), Version::V1), ("/sys/fs/cgroup/unified".into(), Version::V2)];
        assert_eq!(hierarchies(mounts), expected);
    }
}
