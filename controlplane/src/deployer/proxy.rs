//! One Envoy process: started, watched, started again, drained, ended.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Result;
use ir::GatewayName;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use super::certificates;
use super::drain::drain;
use super::proxy_log;
use crate::envoy_admin::EnvoyAdmin;
use crate::launcher::Launcher;
use crate::telemetry::{GatewayLabel, Metrics};

/// How long Envoy may take to end once it was told to (it does not wait for anything then).
const TERMINATION: Duration = Duration::from_secs(2);

/// What a proxy shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Serve.
    Serve,
    /// Finish what is begun, then end.
    Drain,
    /// End at once.
    Stop,
}

/// What is needed to run one proxy.
#[derive(Clone, Debug)]
pub(super) struct ProxySpec {
    pub(super) gateway: GatewayName,
    pub(super) envoy: PathBuf,
    pub(super) bootstrap: PathBuf,
    pub(super) admin_socket: PathBuf,
    pub(super) log: PathBuf,
    pub(super) concurrency: u32,
    pub(super) drain_timeout: Duration,
}

/// Runs the proxy until the phase says otherwise.
pub(super) async fn supervise(
    spec: ProxySpec,
    launcher: Launcher,
    metrics: Metrics,
    mut phase: watch::Receiver<Phase>,
) {
    let gateway = &spec.gateway;
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        match start(&spec, &launcher).await {
            Err(error) => tracing::error!(%gateway, "{error:#}"),
            Ok(mut proxy) => tokio::select! {
                status = proxy.child.wait() => {
                    let tail = proxy.log.await.unwrap_or_default();
                    tell_end(&spec, status.ok(), &tail);
                }
                () = certificates::watch(EnvoyAdmin::new(&spec.admin_socket), gateway) => {}
                () = left(&mut phase, Phase::Serve) => return stop(&spec, proxy, phase).await,
            },
        }
        let label = GatewayLabel { gateway: gateway.to_string() };
        metrics.proxy_restarts.get_or_create(&label).inc();
        tokio::select! {
            () = sleep(backoff.after(started.elapsed())) => {}
            () = left(&mut phase, Phase::Serve) => return,
        }
    }
}

struct RunningProxy {
    child: Child,
    /// Ends with Envoy and gives its last words.
    log: JoinHandle<Vec<String>>,
}

async fn start(spec: &ProxySpec, launcher: &Launcher) -> Result<RunningProxy> {
    // Left over if the process before was killed; Envoy would refuse to bind it.
    let _ = std::fs::remove_file(&spec.admin_socket);
    // Access logs may name our standard output; Envoy writes nothing else there.
    let mut child = launcher.launch(&spec.envoy, arguments(spec), Stdio::inherit()).await?;
    let (file, gateway) = (spec.log.clone(), spec.gateway.clone());
    let stderr = child.stderr.take();
    let log = tokio::spawn(async move {
        match stderr {
            Some(stderr) => proxy_log::follow(stderr, &file, &gateway).await,
            None => Vec::new(),
        }
    });
    tracing::debug!(gateway = %spec.gateway, pid = child.id(), "started Envoy");
    Ok(RunningProxy { child, log })
}

/// Never a more verbose level than info: below, Envoy logs headers, and so keys.
fn arguments(spec: &ProxySpec) -> Vec<OsString> {
    let path = |path: &Path| path.as_os_str().to_owned();
    let mut arguments = vec!["-c".into(), path(&spec.bootstrap)];
    let concurrency = spec.concurrency.to_string();
    let rest = [
        "--disable-hot-restart",
        "--concurrency",
        concurrency.as_str(),
        "--drain-time-s",
        "5",
        "--drain-strategy",
        "immediate",
        "-l",
        "info",
        "--log-format",
        proxy_log::LOG_FORMAT,
        "--log-format-escaped",
    ];
    arguments.extend(rest.map(OsString::from));
    arguments
}

/// Ends an Envoy: drained if there is time, then told to end, then killed.
async fn stop(spec: &ProxySpec, mut proxy: RunningProxy, mut phase: watch::Receiver<Phase>) {
    let gateway = &spec.gateway;
    if *phase.borrow() == Phase::Drain {
        let admin = EnvoyAdmin::new(&spec.admin_socket);
        tokio::select! {
            drained = timeout(spec.drain_timeout, drain(&admin)) => match drained {
                Ok(()) => tracing::debug!(%gateway, "drained"),
                Err(_) => tracing::warn!(%gateway, "requests are still open after --drain-timeout; ended them"),
            },
            _ = proxy.child.wait() => {}
            () = left(&mut phase, Phase::Drain) => {}
        }
    }
    terminate(&mut proxy.child).await;
    // Reads what Envoy said last.
    let _ = timeout(TERMINATION, proxy.log).await;
}

async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(TERMINATION, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn tell_end(spec: &ProxySpec, status: Option<ExitStatus>, tail: &[String]) {
    let gateway = &spec.gateway;
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    let log = spec.log.display();
    tracing::error!(%gateway, %status, %log, "Envoy ended unexpectedly; its last words:\n{}", tail.join("\n"));
}

/// Returns when the phase is a later one than `current`, or nobody is left to say.
pub(super) async fn left(phase: &mut watch::Receiver<Phase>, current: Phase) {
    let _ = phase.wait_for(|phase| *phase > current).await;
}

/// How long to wait before the next start: twice as long each time, until an Envoy has lasted.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(5);
    const LASTED: Duration = Duration::from_secs(10);

    fn after(&mut self, lifetime: Duration) -> Duration {
        self.failures = if lifetime >= Self::LASTED { 0 } else { self.failures };
        let wait = Self::FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(Self::LONGEST);
        self.failures = self.failures.saturating_add(1);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_slow_down_until_an_envoy_lasts() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..8).map(|_| backoff.after(Duration::from_secs(1)).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff.after(Duration::from_secs(60)).as_millis(), 200);
    }

    #[test]
    fn envoy_never_logs_headers() {
        let spec = ProxySpec {
            gateway: GatewayName { namespace: "default".to_owned(), name: "web".to_owned() },
            envoy: "envoy".into(),
            bootstrap: "bootstrap.json".into(),
            admin_socket: "admin.sock".into(),
            log: "envoy.log".into(),
            concurrency: 2,
            drain_timeout: Duration::from_secs(1),
        };
        let arguments = arguments(&spec);
        let level = arguments.iter().position(|argument| argument == "-l").unwrap() + 1;
        assert_eq!(arguments[level], "info");
        assert!(!arguments.iter().any(|argument| argument == "--component-log-level"));
    }
}
