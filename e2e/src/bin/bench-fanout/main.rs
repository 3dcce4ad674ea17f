//! `make bench-fanout`: what one edit costs when thousands of Envoys are connected to one control plane, and what
//! they are sent when all of them come back at once.
//!
//! The clients run in a process of their own, so that the server's processor time and memory are its own. They
//! speak the delta protocol, acknowledge everything and keep nothing, so that they are in the way as little as
//! possible; each has its own connection.

mod clients;
mod message;
mod server;
mod state;

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use self::server::Figures;

/// How many clients, if the command line does not say.
const SIZES: [usize; 2] = [1000, 5000];

fn main() -> Result<()> {
    closed_pipe::end_quietly();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &*arguments {
        ["server", clients] => {
            raise_file_limit();
            let figures = runtime()?.block_on(server::measure(clients.parse()?))?;
            println!("{}", serde_json::to_string(&figures)?);
            Ok(())
        }
        ["clients", socket, count] => {
            raise_file_limit();
            runtime()?.block_on(clients::run(socket.into(), count.parse()?))
        }
        sizes => {
            let sizes: Vec<usize> = sizes.iter().map(|size| size.parse()).collect::<Result<_, _>>()?;
            compare(if sizes.is_empty() { &SIZES } else { &sizes })
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// As many open files as are allowed: each client is a connection.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        eprintln!("bench-fanout: the limit of open files stays as it is: {error}");
    }
}

/// Measures each size in a process of its own, so that none starts with another's memory.
fn compare(sizes: &[usize]) -> Result<()> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut all = Vec::new();
    for size in sizes {
        let mut command = Command::new(&program);
        let output = command.args(["server", &size.to_string()]).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "with {size} clients it failed");
        all.push(serde_json::from_slice::<Figures>(&output.stdout).context("the figures")?);
    }
    let Some(Figures { full_state, .. }) = all.first() else { bail!("no sizes") };
    println!("{}", state::describe(*full_state));
    print!("{}", table(&all));
    let load = std::fs::read_to_string("/proc/loadavg")?;
    println!("load average (the benchmark's own included): {load}");
    Ok(())
}

/// What a row is called, and how its figure is shown.
type Row = (&'static str, fn(&Figures) -> String);

const ROWS: [Row; 9] = [
    ("clients", |f| f.clients.to_string()),
    ("all connect and hold everything, s", |f| format!("{:.1}", f.connect_seconds)),
    ("endpoints of one cluster edited -> last ACK, p50, ms", |f| {
        format!("{:.1}", f.endpoint_edit.milliseconds)
    }),
    ("  CPU per client, us", |f| format!("{:.1}", f.endpoint_edit.cpu_microseconds)),
    ("the route table edited -> last ACK, p50, ms", |f| format!("{:.1}", f.route_edit.milliseconds)),
    ("  CPU per client, us", |f| format!("{:.1}", f.route_edit.cpu_microseconds)),
    ("memory per client, KiB", |f| format!("{:.1}", f.memory_kib)),
    ("all reconnect at once -> all in sync, s", |f| format!("{:.1}", f.reconnect_seconds)),
    ("  resent, share of the full state, %", |f| format!("{:.4}", f.resent_percent)),
];

fn table(all: &[Figures]) -> String {
    let lines = ROWS.iter().map(|(name, figure)| {
        let cells: String = all.iter().map(|figures| format!(" {:>10} |", figure(figures))).collect();
        format!("| {name:<52} |{cells}\n")
    });
    lines.collect()
}
