//! How busy the machine's processors are, as the kernel counts it.

use std::fs;

use anyhow::{Context as _, Result};

/// What all processors have done since the machine started, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticks {
    all: u64,
    idle: u64,
}

impl Ticks {
    /// What they have done until now.
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        Self::parse(&text).context("/proc/stat has no line of all processors")
    }

    /// Reads the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal; what follows is
    /// counted in these already.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { all: ticks.iter().sum(), idle: ticks.get(3)? + ticks.get(4)? })
    }

    /// The share of the time since `earlier` in which processors had nothing to do, from 0 to 1.
    pub(crate) fn idle_since(self, earlier: Self) -> f64 {
        let all = self.all.saturating_sub(earlier.all).max(1);
        self.idle.saturating_sub(earlier.idle) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Ticks;

    #[test]
    fn idle_is_a_share_of_what_passed_between_two_looks() {
        let before = Ticks::parse("cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1 2 3\n").expect("ticks");
        let after = Ticks::parse("cpu  30 0 20 120 30 0 0 0 9 0\n").expect("ticks");
        assert!((after.idle_since(before) - 0.7).abs() < 1e-9, "70 of 100 ticks");
    }
}
