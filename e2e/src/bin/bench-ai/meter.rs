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

    /// User and system time so far, in steps of 10 ms.
    pub(crate) fn processor_time(&self) -> Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // Behind the name, which may hold anything: the state is the first field, and the times are the 12th and 13th.
        let (_, fields) = stat.rsplit_once(')').context("a name")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || fields.next().and_then(|field| field.parse::<u64>().ok()).context("a time");
        Ok(Duration::from_millis(10) * u32::try_from(ticks()? + ticks()?)?)
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
