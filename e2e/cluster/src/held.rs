//! Clusters that are held for a person: a note of each, so that other commands find it.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use cluster::{Cluster, Entrance, Tools};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long the end of a cluster may take.
const END_DEADLINE: Duration = Duration::from_secs(60);

/// A cluster that another process holds.
#[derive(Debug)]
pub(crate) struct Held {
    note: PathBuf,
    holder: u32,
    keeper: u32,
    init: u32,
    folder: PathBuf,
}

impl Held {
    /// The cluster with this name; `None` if there is none or its holder has ended.
    pub(crate) fn find(name: &str) -> Result<Option<Self>> {
        let note = notes()?.join(format!("{name}.json"));
        let Ok(text) = fs::read_to_string(&note) else { return Ok(None) };
        let value: Value = serde_json::from_str(&text).with_context(|| format!("read {}", note.display()))?;
        let number = |field: &str| value[field].as_u64().and_then(|number| u32::try_from(number).ok());
        let (Some(holder), Some(keeper), Some(init), Some(folder)) =
            (number("holder"), number("keeper"), number("init"), value["folder"].as_str())
        else {
            bail!("{} is not a note of this version", note.display());
        };
        let held = Self { holder, keeper, init, folder: folder.into(), note };
        if held.is_alive() {
            return Ok(Some(held));
        }
        fs::remove_file(&held.note)?;
        Ok(None)
    }

    /// Notes that this process holds `cluster`.
    pub(crate) fn record(name: &str, cluster: &Cluster) -> Result<()> {
        let note = notes()?.join(format!("{name}.json"));
        let value = json!({
            "holder": std::process::id(),
            "keeper": cluster.keeper_process(),
            "init": cluster.init_process(),
            "folder": cluster.folder(),
        });
        let draft = note.with_extension("draft");
        fs::write(&draft, value.to_string())?;
        Ok(fs::rename(draft, note)?)
    }

    /// The file with the output of a cluster's holder.
    pub(crate) fn log(name: &str) -> Result<PathBuf> {
        Ok(notes()?.join(format!("{name}.log")))
    }

    /// Ends the holder, and waits until nothing is left of its cluster.
    pub(crate) fn end(self) -> Result<()> {
        let holder = i32::try_from(self.holder).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(holder, Signal::TERM)?;
        let started = Instant::now();
        while Path::new("/proc").join(self.keeper.to_string()).exists() {
            if started.elapsed() > END_DEADLINE {
                bail!("the cluster still runs: process {}", self.keeper);
            }
            thread::sleep(Duration::from_millis(20));
        }
        fs::remove_file(self.note.with_extension("log"))?;
        Ok(fs::remove_file(self.note)?)
    }

    /// The way in.
    pub(crate) fn entrance(&self, tools: &Tools) -> Entrance {
        Entrance::new(self.init, tools, &self.folder)
    }

    /// The folder of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Process ids are used again; a folder's name is not.
    fn is_alive(&self) -> bool {
        let command_line = fs::read(format!("/proc/{}/cmdline", self.keeper)).unwrap_or_default();
        String::from_utf8_lossy(&command_line).contains(&*self.folder.to_string_lossy())
    }
}

/// Where the notes are: a folder that only root writes to, and that does not outlive the machine.
fn notes() -> Result<PathBuf> {
    let folder = PathBuf::from("/run/chancery-clusters");
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}
