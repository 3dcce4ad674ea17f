//! The server, and the measurements.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use xds::{AdsServer, ClientEvent, FixedGroup, NodeGroup, Resource, ResourceChange, SnapshotWriter};

use crate::state;

/// Of each kind.
const EDITS: usize = 10;
/// The types that a client asks for: clusters, endpoints, listeners, routes.
const TYPES: usize = 4;
/// Only a bug waits that long.
const LIMIT: Duration = Duration::from_secs(600);
/// The kernel counts processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// What was measured with so many clients.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) clients: usize,
    /// What a client is sent that has nothing, in bytes.
    pub(crate) full_state: usize,
    pub(crate) connect_seconds: f64,
    pub(crate) endpoint_edit: Edit,
    pub(crate) route_edit: Edit,
    pub(crate) memory_kib: f64,
    pub(crate) reconnect_seconds: f64,
    pub(crate) resent_percent: f64,
}

/// What an edit takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Edit {
    /// From the edit to the last acknowledgement, p50.
    pub(crate) milliseconds: f64,
    /// The server's processor time for each client.
    pub(crate) cpu_microseconds: f64,
}

/// What the clients said since it was last reset.
#[derive(Debug, Default)]
struct Heard {
    /// How often a client had all of a type.
    in_sync: usize,
    /// How many accepted the resource that is waited for.
    accepted: usize,
}

/// Counts what the clients say.
#[derive(Debug, Default)]
struct Tally {
    heard: watch::Sender<Heard>,
    edited: Mutex<Option<Arc<Resource>>>,
}

impl Tally {
    fn take(&self, event: &ClientEvent) {
        match event {
            ClientEvent::Ack { .. } => self.heard.send_modify(|heard| heard.in_sync += 1),
            ClientEvent::Accepted { resource_type, resources, .. } => {
                let edited = self.edited.lock().unwrap_or_else(PoisonError::into_inner);
                let is_it = |edited: &Arc<Resource>| {
                    let has = |(name, version): &(String, _)| {
                        **name == **edited.name() && *version == edited.version()
                    };
                    *resource_type == edited.resource_type() && resources.iter().any(has)
                };
                if edited.as_ref().is_some_and(is_it) {
                    self.heard.send_modify(|heard| heard.accepted += 1);
                }
            }
            ClientEvent::Nack { rejection, .. } => eprintln!("bench-fanout: refused: {}", rejection.message),
            ClientEvent::Recovered { .. } | ClientEvent::Disconnected { .. } => {}
        }
    }

    fn reset(&self, edited: Option<Arc<Resource>>) {
        *self.edited.lock().unwrap_or_else(PoisonError::into_inner) = edited;
        self.heard.send_replace(Heard::default());
    }

    async fn wait(&self, is_reached: impl FnMut(&Heard) -> bool) -> Result<()> {
        let mut heard = self.heard.subscribe();
        timeout(LIMIT, heard.wait_for(is_reached)).await.context("some clients do not answer")??;
        Ok(())
    }
}

/// The process with the clients.
struct Clients {
    _process: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Clients {
    async fn tell(&mut self, command: &str) -> Result<()> {
        Ok(self.commands.write_all(format!("{command}\n").as_bytes()).await?)
    }

    /// How much they received so far.
    async fn received(&mut self) -> Result<u64> {
        self.tell("received").await?;
        let line = self.answers.next_line().await?.context("the clients ended")?;
        Ok(line.parse()?)
    }
}

/// Measures everything with that many clients.
pub(crate) async fn measure(clients: usize) -> Result<Figures> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("ads.sock");
    let group = NodeGroup::new("bench");
    let mut writer = SnapshotWriter::new();
    writer.update(&group, state::all().into_iter().map(ResourceChange::Set));
    let tally = Arc::new(Tally::default());
    let events = tally.clone();
    let server = AdsServer::new(writer.cache(), FixedGroup(group.clone()))
        .with_events(move |event| events.take(&event));
    tokio::spawn(xds::serve_unix(server, UnixListener::bind(&socket)?, std::future::pending()));
    let count = clients.to_string();
    let mut process = Command::new(std::env::current_exe()?)
        .args(["clients".as_ref(), socket.as_os_str(), count.as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (commands, answers) = (process.stdin.take(), process.stdout.take());
    let commands = commands.context("its standard input")?;
    let answers = BufReader::new(answers.context("its standard output")?).lines();
    let mut fleet = Clients { _process: process, commands, answers };

    let memory_before = memory_kib()?;
    let started = Instant::now();
    fleet.tell("open").await?;
    tally.wait(|heard| heard.in_sync == TYPES * clients).await?;
    let connect_seconds = started.elapsed().as_secs_f64();
    let full_state = usize::try_from(fleet.received().await?)? / clients;
    let memory_kib = (memory_kib()? - memory_before) / clients as f64;

    let mut measure = Measure { writer, group, tally: &tally, clients };
    let endpoint_edit = measure.edits(|i| state::endpoint(i * 97 % state::ROUTES, i)).await?;
    let route_edit = measure.edits(state::table).await?;

    let before = fleet.received().await?;
    tally.reset(None);
    let started = Instant::now();
    fleet.tell("reopen").await?;
    tally.wait(|heard| heard.in_sync == TYPES * clients).await?;
    let reconnect_seconds = started.elapsed().as_secs_f64();
    let resent = fleet.received().await? - before;
    let resent_percent = 100.0 * resent as f64 / (full_state * clients) as f64;
    ensure!(resent_percent <= 1.0, "{resent_percent} % of the state was sent to clients that have it");
    Ok(Figures {
        clients,
        full_state,
        connect_seconds,
        endpoint_edit,
        route_edit,
        memory_kib,
        reconnect_seconds,
        resent_percent,
    })
}

struct Measure<'a> {
    writer: SnapshotWriter,
    group: NodeGroup,
    tally: &'a Tally,
    clients: usize,
}

impl Measure<'_> {
    /// Publishes what `edited` gives for 1, 2, … one after the other, each when all have the one before.
    async fn edits(&mut self, edited: impl Fn(usize) -> Arc<Resource>) -> Result<Edit> {
        let mut times = Vec::new();
        let cpu_before = cpu()?;
        for i in 1..=EDITS {
            let edited = edited(i);
            self.tally.reset(Some(edited.clone()));
            let started = Instant::now();
            ensure!(
                self.writer.update(&self.group, [ResourceChange::Set(edited)]),
                "the edit changed nothing"
            );
            self.tally.wait(|heard| heard.accepted == self.clients).await?;
            times.push(started.elapsed());
        }
        let cpu = cpu()? - cpu_before;
        times.sort();
        let p50 = times[times.len() / 2];
        let cpu_microseconds = cpu.as_secs_f64() * 1e6 / (EDITS * self.clients) as f64;
        Ok(Edit { milliseconds: p50.as_secs_f64() * 1e3, cpu_microseconds })
    }
}

/// The processor time that this process has used.
fn cpu() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // After the name, which may hold anything: state is field 3, utime field 14, stime field 15.
    let (_, fields) = stat.rsplit_once(')').context("a name")?;
    let ticks: Vec<u32> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * ticks.iter().sum())
}

/// The resident memory of this process.
fn memory_kib() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
