//! What the kernel says about the Envoy process.

use std::time::Duration;

use anyhow::{Context, Result};

/// The Envoy that a Chancery has started.
#[derive(Debug)]
pub(crate) struct EnvoyProcess(u32);

impl EnvoyProcess {
    /// Finds it among the children of this process.
    pub(crate) fn child_of(parent: u32) -> Result<Self> {
        let mut children = String::new();
        for task in std::fs::read_dir(format!("/proc/{parent}/task"))? {
            children += &std::fs::read_to_string(task?.path().join("children"))?;
            children.push(' ');
        }
        let is_envoy = |id: &u32| {
            std::fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|path| path.ends_with("envoy"))
        };
        let id = children.split_whitespace().filter_map(|id| id.parse().ok()).find(is_envoy);
        Ok(Self(id.context("no child of chancery is an Envoy")?))
    }

    /// What its threads have had of the processors so far, as the scheduler counts it in nanoseconds.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let mut nanoseconds = 0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.0))? {
            let path = task?.path().join("schedstat");
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let time = text.split_whitespace().next().context("a time")?;
            nanoseconds += time.parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// What is in memory, in KiB.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that was in memory, in KiB.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context("a size")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}
