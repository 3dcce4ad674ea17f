//! The listener for probes is open to a whole cluster and its connections are not counted, so none may stay that
//! asks nothing.

#[path = "../../translator/tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::envoy::Envoy;
use e2e::http::get;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use translator::translate;
use translator::xds::to_static_bootstrap;

const NAME: &str = "chancery/readiness";
/// The listener allows 5 s. A connection that had a request is drained first (5 s) and closed with a delay (1 s),
/// by Envoy's defaults. The rest is for a busy machine.
const LIMIT: Duration = Duration::from_secs(5 + 5 + 1 + 9);

/// An Envoy with the readiness listener of a golden translation alone, at a port that the kernel chooses.
async fn start() -> Result<(Envoy, SocketAddr)> {
    let case = support::cases().into_iter().find(|case| case.name == "infra/infrastructure");
    let (resources, settings) = case.context("the golden")?.resources();
    let output = translate(&resources, &settings).gateways.pop_first().context("a Gateway")?.1;
    let bootstrap = proto::message_to_json_unredacted(&to_static_bootstrap(&output.xds()))?;
    let listeners = bootstrap["static_resources"]["listeners"].as_array().context("listeners")?;
    let mut listener = listeners.iter().find(|listener| listener["name"] == NAME).context(NAME)?.clone();
    listener["address"]["socket_address"] = json!({ "address": "127.0.0.1", "port_value": 0 });
    let envoy = Envoy::start(&json!({ "static_resources": { "listeners": [listener] } }).to_string()).await?;
    let address = envoy.admin().listener_address(NAME).await?;
    Ok((envoy, address))
}

/// Sends this much of a request, and succeeds when Envoy then closes the connection in time.
async fn is_closed(address: SocketAddr, sent: &str) -> Result<()> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(sent.as_bytes()).await?;
    let started = Instant::now();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(LIMIT, connection.read_to_end(&mut answer)).await;
    ensure!(end.is_ok(), "still open after {LIMIT:?}: {sent:?}");
    println!("closed after {:?}: {sent:?}", started.elapsed());
    Ok(())
}

/// Takes 11 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_asks_nothing_is_closed() -> Result<()> {
    let (_envoy, address) = start().await?;
    assert_eq!(get(address, "probe", "/ready").await?.status, 200);
    assert_eq!(get(address, "probe", "/other").await?.status, 404);
    tokio::try_join!(
        is_closed(address, ""),
        is_closed(address, "GET /ready HTTP/1.1\r\nHost: x\r\n"),
        is_closed(address, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"),
        is_closed(address, "POST /ready HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1"),
    )?;
    Ok(())
}
