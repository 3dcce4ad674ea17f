//! What a change costs the control plane itself, by the number of routes: `make bench-scale`. No cluster, no root.
//!
//! Each shape and size runs in a process of its own. An edit is measured from the decoded document to the published
//! snapshot and the rendered status: what every replica does, but for the watch before it and the streams behind it.
//! Where valgrind is installed, instructions are counted, which repeats exactly; times do not.

mod edit;
mod envoy;
mod memory;
mod world;

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use edit::{Bench, EDITS, Figures};
use world::Shape;

/// As in the control plane itself.
#[global_allocator]
static ALLOCATOR: controlplane::Allocator = controlplane::Allocator;

/// The sizes that are measured unless others are named.
const SIZES: [usize; 4] = [10, 1_000, 10_000, 50_000];

/// What one process found.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    /// From no objects to all published, in milliseconds.
    cold_start_ms: f64,
    /// Resident memory, in KiB.
    memory_kib: f64,
    edits: BTreeMap<String, Figures>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["one", shape, size] => {
            let found = measure(Shape::parse(shape)?, size.parse()?)?;
            println!("{}", serde_json::to_string(&found)?);
            Ok(())
        }
        // Under valgrind: the objects are there before it counts.
        ["count", shape, size, edit] => Bench::new(Shape::parse(shape)?, size.parse()?).run_once(edit),
        ["memory", size] => memory::measure(size.parse()?),
        ["served", size] => envoy::measure(size.parse()?),
        _ => report(&words),
    }
}

fn measure(shape: Shape, size: usize) -> Result<Found> {
    let started = std::time::Instant::now();
    let mut bench = Bench::new(shape, size);
    let cold_start_ms = started.elapsed().as_secs_f64() * 1e3;
    let memory_kib = resident_kib()?;
    let edits = EDITS.iter().map(|edit| Ok(((*edit).to_owned(), bench.measure(edit)?)));
    Ok(Found { cold_start_ms, memory_kib, edits: edits.collect::<Result<_>>()? })
}

fn resident_kib() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

fn report(sizes: &[&str]) -> Result<()> {
    let sizes: Vec<usize> = match sizes {
        [] => SIZES.to_vec(),
        named => {
            named.iter().map(|size| size.parse().context("a size is a number")).collect::<Result<_>>()?
        }
    };
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("load average before: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    for shape in Shape::ALL {
        println!("\n{}", shape.describe());
        println!(
            "{:>7} {:<22} {:>9} {:>13} {:>9} {:>8} {:>7}",
            "routes", "edit", "ms (p50)", "instructions", "bytes", "units", "ratio"
        );
        let mut first: BTreeMap<&str, u64> = BTreeMap::new();
        let mut smallest = None;
        for &size in &sizes {
            let found = run_one(shape, size)?;
            for edit in EDITS {
                let Figures { milliseconds, bytes, units } = found.edits[*edit];
                let instructions = match counts && size <= 10_000 {
                    true => Some(count(shape, size, edit)?),
                    false => None,
                };
                let base = instructions.map(|count| *first.entry(edit).or_insert(count));
                let ratio = instructions.zip(base).map(|(count, base)| count as f64 / base as f64);
                let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
                println!(
                    "{size:>7} {edit:<22} {milliseconds:>9.3} {:>13} {bytes:>9} {units:>8} {:>7}",
                    shown(instructions.map(|count| count.to_string())),
                    shown(ratio.map(|ratio| format!("{ratio:.2}"))),
                );
            }
            let (least, memory) = *smallest.get_or_insert((size, found.memory_kib));
            let per_route = match size > least {
                true => format!(
                    "; each route beyond {least}: {:.2} KiB",
                    (found.memory_kib - memory) / (size - least) as f64
                ),
                false => String::new(),
            };
            println!(
                "{size:>7} all at once: {:.0} ms; memory: {:.0} MiB{per_route}",
                found.cold_start_ms,
                found.memory_kib / 1024.0
            );
        }
    }
    println!("\nmemory after a long life:");
    for &size in sizes.iter().filter(|size| (1_000..=10_000).contains(*size)) {
        run(Command::new(std::env::current_exe()?).args(["memory", &size.to_string()]))?;
    }
    if std::env::var_os("CHANCERY_ENVOY").is_some() {
        println!("\nserved by the real Envoy, beside the same bytes replayed:");
        for &size in sizes.iter().filter(|size| **size <= 10_000) {
            run(Command::new(std::env::current_exe()?).args(["served", &size.to_string()]))?;
        }
    }
    Ok(())
}

fn run_one(shape: Shape, size: usize) -> Result<Found> {
    let output =
        Command::new(std::env::current_exe()?).args(["one", shape.name(), &size.to_string()]).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Instructions of one edit, once everything is warm.
fn count(shape: Shape, size: usize, edit: &str) -> Result<u64> {
    let output = Command::new("valgrind")
        // Of `rep movsb`, by which the C library copies large pieces, every byte would count as an instruction.
        .env("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1000000000")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_edit*"])
        .arg(std::env::current_exe()?)
        .args(["count", shape.name(), &size.to_string(), edit])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let line = log.lines().find_map(|line| line.split_once("Collected : ").map(|(_, count)| count));
    let count = line.with_context(|| format!("callgrind says nothing of instructions: {log}"))?;
    count.trim().parse().with_context(|| log.to_string())
}

fn run(command: &mut Command) -> Result<()> {
    if !command.status()?.success() {
        bail!("{command:?} has failed");
    }
    Ok(())
}
