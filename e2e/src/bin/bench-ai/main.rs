//! `make bench-ai`: what the AI engine adds to a plain route of the same Envoy: processor time, latency, throughput
//! and memory, side by side in one run.
//!
//! Rows are measured in turn, in many short rounds, so that whatever else the machine does hits all of them alike; figures
//! are medians of the rounds, and ratios are taken inside of a round. The client and the upstream are as cheap as they can
//! be made ([`client`], [`upstream`]); what counts is the processor time of the Envoy process.

mod bodies;
mod client;
mod figures;
mod memory;
mod meter;
mod rows;
mod upstream;
mod wire;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;

use self::bodies::Size;
use self::figures::Cell;
use self::meter::EnvoyProcess;
use self::rows::Row;

/// Connections of the client while processor time and throughput are measured.
const CONNECTIONS: usize = 4;

/// What the AI engine costs.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rounds that count; one more goes before them.
    #[arg(long, default_value_t = 40)]
    rounds: usize,
    /// Seconds for each row and size in each round.
    #[arg(long, default_value_t = 0.25)]
    seconds: f64,
    /// Open, silent streams.
    #[arg(long, default_value_t = 1000)]
    streams: usize,
    /// Only rows whose name holds this, and those that they are compared with.
    #[arg(long, default_value = "")]
    only: String,
    /// Only sizes whose name holds this.
    #[arg(long, default_value = "")]
    size: String,
    /// Leaves the memory out.
    #[arg(long)]
    no_memory: bool,
}

fn main() -> Result<()> {
    closed_pipe::end_quietly();
    raise_file_limit();
    let arguments = Arguments::parse();
    let rows = rows::named(&arguments.only);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        speed(&rows, &arguments).await?;
        if !arguments.no_memory {
            memory::measure(&rows, arguments.streams).await?;
        }
        let load = std::fs::read_to_string("/proc/loadavg")?;
        println!("load average (the benchmark's own included): {load}");
        Ok(())
    })
}

/// As many open files as are allowed: each stream is a connection at both ends.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("bench-ai: the limit of open files stays as it is: {error}");
    }
}

/// Processor time, throughput and latency.
async fn speed(rows: &[&'static Row], arguments: &Arguments) -> Result<()> {
    let world = rows::World::start().await?;
    for size in Size::ALL.into_iter().filter(|size| size.name().contains(&arguments.size)) {
        let mut rounds: Vec<Vec<Cell>> = Vec::new();
        for round in 0..=arguments.rounds {
            let mut cells = vec![None; rows.len()];
            // Each row has each place once in a while.
            for step in 0..rows.len() {
                let index = (step + round) % rows.len();
                let row = rows.get(index).context("a row")?;
                let cell = measure(&world, row, size, arguments.seconds).await;
                let cell = cell.with_context(|| format!("{}, {}", row.name, size.name()))?;
                cells.splice(index..=index, [Some(cell)]);
            }
            // The first round warms up.
            if round > 0 {
                rounds.push(cells.into_iter().flatten().collect());
            }
        }
        println!("{}", figures::speed(size, rows, &rounds));
    }
    Ok(())
}

/// One row in one round: first with several connections, for the processor time, then with one, for the latency.
async fn measure(world: &rows::World, row: &Row, size: Size, seconds: f64) -> Result<Cell> {
    let request = world.request(row, size);
    let envoy: &EnvoyProcess = &world.envoy;
    let before = envoy.processor_time()?;
    let time = Duration::from_secs_f64(seconds);
    let busy = client::run(world.address(), &request, CONNECTIONS, time).await?;
    let processor = envoy.processor_time()? - before;
    let alone = client::run(world.address(), &request, 1, time / 3).await?;
    Ok(Cell {
        rate: busy.latencies.len() as f64 / busy.elapsed.as_secs_f64(),
        processor: processor.as_secs_f64() * 1e6 / busy.latencies.len() as f64,
        p50: alone.percentile(0.5),
        p99: alone.percentile(0.99),
    })
}
