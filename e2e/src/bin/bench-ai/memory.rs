//! Memory: each row in an Envoy of its own, since what one row has needed stays with the allocator for the next one.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::bodies::Size;
use crate::rows::{Row, World};
use crate::{CONNECTIONS, client, figures};

/// How often the idle streams are measured.
const ROUNDS: usize = 3;

/// Requests of each connection for a peak.
const EACH: usize = 100;

/// Streams that are opened at the same time.
const BATCH: usize = 50;

/// Measures and prints both.
pub(crate) async fn measure(rows: &[&'static Row], streams: usize) -> Result<()> {
    let mut idle = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for (row, figures) in rows.iter().zip(&mut idle) {
            figures.push(per_idle_stream(row, streams).await.with_context(|| row.name)?);
        }
    }
    let mut peaks = Vec::new();
    for row in rows {
        peaks.push(peak(row).await.with_context(|| row.name)?);
    }
    println!("{}", figures::memory(rows, streams, idle, &peaks));
    Ok(())
}

/// KiB for each open, silent stream.
async fn per_idle_stream(row: &Row, streams: usize) -> Result<f64> {
    let world = World::start().await?;
    let request = world.request(row, Size::Idle);
    // What is made once for all is not a stream's.
    drop(client::open(world.address(), &request).await?);
    let before = settled(&world).await?;
    let mut open = Vec::with_capacity(streams);
    while open.len() < streams {
        let mut tasks = JoinSet::new();
        for _ in 0..BATCH.min(streams - open.len()) {
            let (address, request) = (world.address(), request.clone());
            tasks.spawn(async move { client::open(address, &request).await });
        }
        while let Some(stream) = tasks.join_next().await {
            open.push(stream??);
        }
    }
    let after = settled(&world).await?;
    Ok((after as f64 - before as f64) / streams as f64)
}

async fn settled(world: &World) -> Result<u64> {
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.envoy.resident()
}

/// MiB above what a few small requests have needed, after each size, the smaller ones included.
async fn peak(row: &Row) -> Result<Vec<f64>> {
    let world = World::start().await?;
    client::count(world.address(), &world.request(row, Size::Small), 5, 1).await?;
    let before = world.envoy.resident()?;
    let mut peaks = Vec::new();
    for size in Size::ALL {
        client::count(world.address(), &world.request(row, size), EACH, CONNECTIONS).await?;
        peaks.push((world.envoy.peak()? as f64 - before as f64) / 1024.0);
    }
    Ok(peaks)
}
