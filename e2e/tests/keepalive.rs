//! A peer that is gone without a word is found: Envoy's connections have TCP keepalive, towards clients and
//! towards backends. The kernel says so in `/proc/net/tcp`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use e2e::echo::{DELAY_HEADER, EchoBackend};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, request, send};
use e2e::manifests;
use http::Method;

const ROUTE: &str = "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{group: gateway.kgateway.dev, kind: Backend, name: web}]}]
";

/// How long to look; the request that is looked at takes 20 s.
const WATCH: Duration = Duration::from_secs(15);

/// An established connection, as the process at its `local` end has it.
#[derive(Debug)]
struct Socket {
    local: u16,
    remote: u16,
    /// The kernel's timer of the connection waits for the next keepalive, in so many seconds.
    keepalive: Option<u64>,
}

/// The established IPv4 connections of this network namespace.
fn sockets() -> Result<Vec<Socket>> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let parse = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, "01", _, timer, ..] = cells[..] else { return None };
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
        // The kind of the timer (2 is keepalive), and when it ends, in hundredths of a second.
        let (kind, when) = timer.split_once(':')?;
        let when = u64::from_str_radix(when, 16).ok()? / 100;
        let keepalive = (kind == "02").then_some(when);
        Some(Socket { local: port(local)?, remote: port(remote)?, keepalive })
    };
    Ok(table.lines().skip(1).filter_map(parse).collect())
}

/// Waits until both of Envoy's ends of a request are there and wait for their next keepalive.
async fn both_are_kept_alive(listener: SocketAddr, backend: SocketAddr) -> Result<()> {
    eventually(WATCH, || async {
        let sockets = sockets()?;
        let client = sockets.iter().find(|socket| socket.local == listener.port());
        let upstream = sockets.iter().find(|socket| socket.remote == backend.port());
        for (side, socket) in [("client", client), ("backend", upstream)] {
            let socket = socket.with_context(|| format!("no connection to the {side}"))?;
            let waits =
                socket.keepalive.with_context(|| format!("no keepalive to the {side}: {socket:?}"))?;
            ensure!(waits <= 60, "the {side} is asked only after {waits} s");
        }
        anyhow::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_request_is_watched_on_both_sides() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let text = manifests::gateway("web", "PORT") + &manifests::static_backend("web", echo.address()) + ROUTE;
    let fixture = Fixture::start(&[("a.yaml", &text)]).await?;
    let recording = echo.record();
    let request = request(Method::GET, "x.test", "/", &[(DELAY_HEADER, "20000")], Bytes::new())?;
    let quiet = tokio::spawn(send(fixture.address(), request));
    recording.wait_for(1, DEADLINE).await?;
    both_are_kept_alive(fixture.address(), echo.address()).await?;
    quiet.abort();
    Ok(())
}
