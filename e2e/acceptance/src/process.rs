//! What a process in a pod uses, as the kernel counts it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// The kernel counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// A process, by its id on this machine.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    id: u32,
}

/// What a process has used up to now, or between two moments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Processor time.
    pub cpu: Duration,
    /// The time in which it was used.
    pub wall: Duration,
    /// Resident memory at the end, MiB.
    pub memory: f64,
    /// The most resident memory that it ever had, MiB.
    pub peak: f64,
}

impl Process {
    /// The process of that program in a pod, given as `kubectl get -o json` gives it.
    ///
    /// # Errors
    /// No such process runs in it.
    pub fn of_pod(pod: &Value, program: &str) -> Result<Self> {
        let uid = pod["metadata"]["uid"].as_str().context("a pod")?;
        let group = format!("/pod{uid}/");
        let entries = fs::read_dir("/proc")?.filter_map(Result::ok);
        let mut ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let is_meant = |id: &u32| {
            let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap_or_default();
            read("cgroup").contains(&group) && read("comm").trim() == program
        };
        let id = ids.find(is_meant).with_context(|| format!("no {program} runs in the pod {uid}"))?;
        Ok(Self { id })
    }

    /// What it has used so far; nothing if it has ended.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", self.id)).unwrap_or_default();
        let stat = read("stat");
        // After the name, which may hold anything: state is field 3, utime field 14, stime field 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3).and_then(|f| f.parse::<u32>().ok()).unwrap_or(0);
        let status = read("status");
        let kilobytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse::<f64>().ok()).unwrap_or_default()
        };
        Usage {
            cpu: TICK * (ticks(14) + ticks(15)),
            wall: since_start(),
            memory: kilobytes("VmRSS:") / 1024.0,
            peak: kilobytes("VmHWM:") / 1024.0,
        }
    }
}

fn since_start() -> Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
