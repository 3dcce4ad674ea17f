//! `make bench-start`: how long from process start to the first 200 through Envoy, beside how long Envoy alone
//! takes with the same kind of work and a static configuration.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::echo::EchoBackend;
use e2e::{envoy, http, manifests, scenario};
use serde_json::json;
use tempfile::TempDir;

const ROUNDS: usize = 15;
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<()> {
    closed_pipe::end_quietly();
    let echo = EchoBackend::start("echo").await?;
    let (mut chancery, mut alone) = (Vec::new(), Vec::new());
    // In turn, so that a machine whose speed drifts is fair to both. The first round warms up.
    for round in 0..=ROUNDS {
        let with = with_chancery(echo.address()).await?;
        let without = envoy_alone(echo.address()).await?;
        if round > 0 {
            chancery.push(with);
            alone.push(without);
        }
    }
    let mut ratios: Vec<f64> = chancery
        .iter()
        .zip(&alone)
        .map(|(with, without)| with.as_secs_f64() / without.as_secs_f64())
        .collect();
    ratios.sort_by(f64::total_cmp);
    println!("process start -> first 200 through Envoy, {ROUNDS} rounds in turn");
    show("chancery run, Envoy's start included", chancery);
    show("Envoy alone, static configuration", alone);
    println!(
        "  ratio, round by round: median {:.2}, from {:.2} to {:.2}",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
    Ok(())
}

fn show(name: &str, mut times: Vec<Duration>) {
    times.sort();
    println!(
        "  {name}: median {:?}, from {:?} to {:?}",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1]
    );
}

async fn with_chancery(backend: SocketAddr) -> Result<Duration> {
    let folder = TempDir::new()?;
    let address = free_address()?;
    let route = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw}]
  rules: [{backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: echo}]}]
";
    let objects = manifests::gateway("gw", &address.port().to_string())
        + &manifests::static_backend("echo", backend)
        + route;
    std::fs::write(folder.path().join("all.yaml"), objects)?;
    let mut command = Command::new(scenario::binary()?);
    command.args(["run", "all.yaml", "--admin", "off", "--drain-timeout", "0"]).current_dir(folder.path());
    command.env(envoy::ENVOY_VARIABLE, envoy::binary()?);
    time_to_first_200(command, address).await
}

async fn envoy_alone(backend: SocketAddr) -> Result<Duration> {
    let folder = TempDir::new()?;
    let address = free_address()?;
    let socket = |address: SocketAddr| json!({"socket_address": {"address": address.ip().to_string(), "port_value": address.port()}});
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "echo"}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
        }],
    });
    let endpoint = json!({"endpoint": {"address": socket(backend)}});
    let bootstrap = json!({"static_resources": {
        "listeners": [{
            "name": "http",
            "address": socket(address),
            "filter_chains": [{"filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }]}],
        }],
        "clusters": [{
            "name": "echo",
            "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": [endpoint]}]},
        }],
    }});
    std::fs::write(folder.path().join("envoy.json"), bootstrap.to_string())?;
    let mut command = Command::new(envoy::binary()?);
    command
        .args(["-c", "envoy.json", "--disable-hot-restart", "--concurrency", "2"])
        .current_dir(folder.path());
    time_to_first_200(command, address).await
}

async fn time_to_first_200(mut command: Command, address: SocketAddr) -> Result<Duration> {
    let start = Instant::now();
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut guard = Ending(child);
    loop {
        if let Ok(answer) = http::get(address, "bench.test", "/").await
            && answer.status == 200
        {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < LIMIT, "no 200 within {LIMIT:?}");
        ensure!(guard.0.try_wait()?.is_none(), "the process ended: {:?}", guard.0.wait());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Ends the process when dropped: politely first, since Chancery ends its Envoys.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id() as i32) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("a port")?;
    Ok(listener.local_addr()?)
}
