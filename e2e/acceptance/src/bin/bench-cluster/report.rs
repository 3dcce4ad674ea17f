//! The table.

use std::time::Duration;

use super::probe::Latency;
use acceptance::Usage;

/// The latencies of all edits of one kind.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latencies {
    written: Vec<Duration>,
    served: Vec<Duration>,
}

/// What was measured at one size. Usages are those of leader, follower and Envoy.
pub(crate) struct SizeReport {
    pub(crate) routes: usize,
    pub(crate) created: Duration,
    pub(crate) settled: Duration,
    pub(crate) rest: [Usage; 3],
    pub(crate) route: Latencies,
    pub(crate) route_use: [Usage; 3],
    pub(crate) endpoints: Latencies,
    pub(crate) endpoint_use: [Usage; 3],
    /// Seconds per translation.
    pub(crate) translation: f64,
    /// Translations per edit.
    pub(crate) translations: f64,
    /// How many threads of this machine wanted to run, on average of the last minute.
    pub(crate) load: String,
}

impl Latencies {
    pub(crate) fn add(&mut self, latency: Latency) {
        self.written.push(latency.written);
        self.served.push(latency.served);
    }

    /// `p50 / p99 / max` in milliseconds, and the median of the write alone.
    fn show(&self) -> [String; 2] {
        let (served, written) = (sorted(&self.served), sorted(&self.written));
        let parts = [0.5, 0.99, 1.0].map(|share| format!("{:.1}", milliseconds(at(&served, share))));
        [parts.join(" / "), format!("{:.1}", milliseconds(at(&written, 0.5)))]
    }
}

fn sorted(durations: &[Duration]) -> Vec<Duration> {
    let mut sorted = durations.to_vec();
    sorted.sort();
    sorted
}

/// The smallest value that this share of all is not above.
fn at(sorted: &[Duration], share: f64) -> Duration {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

pub(crate) fn print(reports: &[SizeReport]) {
    let samples = reports.first().map_or(0, |report| report.route.served.len());
    println!();
    println!(
        "API write -> Envoy serves; everything (API server, etcd, kubelet, Envoy, client) on this machine:"
    );
    println!("{}; {samples} edits each", machine());
    let row = |name: &str, value: &dyn Fn(&SizeReport) -> String| {
        let values: Vec<String> = reports.iter().map(|report| format!("{:>24}", value(report))).collect();
        println!("| {name:<46} |{} |", values.join(" |"));
    };
    let of_three = |usages: &[Usage; 3], value: &dyn Fn(&Usage) -> String| {
        usages.iter().map(value).collect::<Vec<_>>().join(" / ")
    };
    row("routes", &|report| report.routes.to_string());
    row("a route changed: p50 / p99 / max, ms", &|report| report.route.show()[0].clone());
    row("  of which the API server's answer: p50, ms", &|report| report.route.show()[1].clone());
    row("endpoints changed: p50 / p99 / max, ms", &|report| report.endpoints.show()[0].clone());
    row("  of which the API server's answer: p50, ms", &|report| report.endpoints.show()[1].clone());
    row("a translation, mean, ms", &|report| format!("{:.2}", report.translation * 1000.0));
    row("translations per edit", &|report| format!("{:.2}", report.translations));
    let per_edit = |usage: &Usage| format!("{:.1}", milliseconds(usage.cpu) / samples as f64);
    row("CPU per route edit, ms: leader / follower / Envoy", &|report| {
        of_three(&report.route_use, &per_edit)
    });
    row("CPU per endpoint edit, ms: same", &|report| of_three(&report.endpoint_use, &per_edit));
    let seconds = |usage: &Usage| format!("{:.2}", usage.cpu.as_secs_f64());
    row("CPU of all route edits, s: same", &|report| of_three(&report.route_use, &seconds));
    let share = |usage: &Usage| format!("{:.1}", 100.0 * usage.cpu.as_secs_f64() / usage.wall.as_secs_f64());
    row("CPU at rest, % of a core: same", &|report| of_three(&report.rest, &share));
    row("memory, MiB: same", &|report| {
        of_three(&report.endpoint_use, &|usage| format!("{:.0}", usage.memory))
    });
    row("peak memory, MiB: same", &|report| {
        of_three(&report.endpoint_use, &|usage| format!("{:.0}", usage.peak))
    });
    row("load average of the machine", &|report| report.load.clone());
    row("creation of the routes, s", &|report| format!("{:.1}", report.created.as_secs_f64()));
    row("  then until all have a status, s", &|report| format!("{:.1}", report.settled.as_secs_f64()));
}

/// The load average of the last minute. Much more than the benchmark's own says that figures are not to be trusted.
pub(crate) fn load() -> String {
    let loads = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    loads.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Its processors and memory.
fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let information = read("/proc/cpuinfo");
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let gibibytes = memory.and_then(|text| text.parse::<f64>().ok()).unwrap_or_default() / 1024.0 / 1024.0;
    let model = model.map_or("unknown processor", |(_, model)| model);
    format!("{processors} cores ({model}), {gibibytes:.0} GiB")
}
