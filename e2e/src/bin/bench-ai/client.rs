//! A closed-loop client: each connection sends the same bytes as soon as the answer to the last ones is whole.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::wire::Wire;

/// What a run has come to.
#[derive(Debug)]
pub(crate) struct Run {
    /// Of each request, sorted.
    pub latencies: Vec<Duration>,
    /// How long it took.
    pub elapsed: Duration,
}

impl Run {
    /// A latency in microseconds.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let index = (share * (self.latencies.len() - 1) as f64).round() as usize;
        self.latencies.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6
    }
}

/// Sends for this long; every request that was begun is finished.
pub(crate) async fn run(
    address: SocketAddr,
    request: &Arc<Vec<u8>>,
    connections: usize,
    time: Duration,
) -> Result<Run> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let request = request.clone();
        tasks.spawn(async move {
            let mut wire = Wire::new(TcpStream::connect(address).await?)?;
            let mut latencies = Vec::new();
            while latencies.is_empty() || start.elapsed() < time {
                let begun = Instant::now();
                once(&mut wire, &request).await?;
                latencies.push(begun.elapsed());
            }
            anyhow::Ok(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(result) = tasks.join_next().await {
        latencies.append(&mut result??);
    }
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    Ok(Run { latencies, elapsed })
}

/// So many requests, over a few connections.
pub(crate) async fn count(
    address: SocketAddr,
    request: &Arc<Vec<u8>>,
    each: usize,
    connections: usize,
) -> Result<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let request = request.clone();
        tasks.spawn(async move {
            let mut wire = Wire::new(TcpStream::connect(address).await?)?;
            for _ in 0..each {
                once(&mut wire, &request).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(result) = tasks.join_next().await {
        result??;
    }
    Ok(())
}

async fn once(wire: &mut Wire, request: &[u8]) -> Result<()> {
    wire.stream.write_all(request).await?;
    let (head, _) = wire.message().await?.context("the connection was closed")?;
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    Ok(())
}

/// Opens a stream and waits for its first bytes.
pub(crate) async fn open(address: SocketAddr, request: &Arc<Vec<u8>>) -> Result<Wire> {
    let mut wire = Wire::new(TcpStream::connect(address).await?)?;
    wire.stream.write_all(request).await?;
    let head = wire.head().await?.context("the connection was closed")?;
    ensure!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    wire.body_begins().await?;
    Ok(wire)
}
