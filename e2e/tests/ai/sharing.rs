//! Requests of the same budgets share what is reserved, with the real Envoy: the service that counts is asked about few of them, and told
//! in the end what all of them have spent.

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually, post_json};
use mock_llm::Knobs;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::books::{StoreServer, team};
use crate::budgets::budget;
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, World, chat, openai};

const ALICE: &str = "sk-canary-alice-000000000000000001";

/// The tokens of the budget: many more than are spent.
const LIMIT: u64 = 100_000_000;

/// A key with a budget in which much is left, once the route is served. Gives the tokens of the request that has found that out.
async fn start() -> Result<(World, u64)> {
    let world = World::start(&objects(), &[]).await?;
    let spent = eventually(DEADLINE, || async { tokens(&ask(&world).await?) }).await?;
    Ok((world, spent))
}

fn objects() -> String {
    let team = json!({"limit": {"tokens": LIMIT}, "per": "Year"});
    openai("canary-provider")
        + &asking("one", &json!({}))
        + &key("alice", ALICE, "a", &json!({}))
        + &budget("team", &team)
}

async fn ask(world: &World) -> Result<Response> {
    world.post("/one", &[("x-api-key", ALICE)], &chat("hello")).await
}

/// The tokens of an answer.
fn tokens(answer: &Response) -> Result<u64> {
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
    Ok(answer.json()?["usage"]["total_tokens"].as_u64().unwrap_or_default())
}

/// Requests, one after the other: the tokens of their answers.
async fn one_after_the_other(world: &World, requests: u64) -> Result<u64> {
    let mut spent = 0;
    for _ in 0..requests {
        spent += tokens(&ask(world).await?)?;
    }
    Ok(spent)
}

/// Waits until so many tokens are spent and nothing is reserved. `requests`: so many are counted.
async fn settled(world: &World, spent: u64, requests: u64) -> Result<()> {
    eventually(DEADLINE, || async {
        let spend = world.fixture.status("Budget default/team").await?["spend"].clone();
        ensure!((&spend["spent"], &spend["reserved"]) == (&json!(spent), &json!(0)), "{spent}: {spend}");
        Ok(())
    })
    .await?;
    let metrics = world.fixture.admin("/metrics").await?.text();
    let line = "chancery_budget_checks_total{budget=\"default/team\",verdict=\"ok\"} ";
    let count = metrics.lines().find_map(|found| found.strip_prefix(line)?.parse::<u64>().ok());
    ensure!(count == Some(requests), "each request is counted: {count:?} of {requests}");
    Ok(())
}

/// The sum of statistics of the proxy.
async fn statistics(world: &World, filter: &str) -> Result<u64> {
    let stats = world.fixture.envoy("gw")?.get(&format!("/stats?filter={filter}")).await?.text();
    let numbers = stats.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
    Ok(numbers.sum())
}

/// How often the proxy has asked the service that counts, and it let a request pass.
async fn questions(world: &World) -> Result<u64> {
    statistics(world, "ratelimit.ok").await
}

/// Requests that run beside others are not asked about one by one, and are counted all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_run_at_the_same_time_share_a_reservation() -> Result<()> {
    let (world, first) = start().await?;
    // So that requests overlap, as those to real models do.
    world.a.set_knobs(Knobs { delay_ms: 20, ..Knobs::default() });
    let before = questions(&world).await?;
    let (clients, requests) = (8, 400);
    let mut all = JoinSet::new();
    for _ in 0..clients {
        let address = world.fixture.address();
        all.spawn(async move {
            let mut spent = 0;
            for _ in 0..requests / clients {
                let headers = [("x-api-key", ALICE)];
                spent += tokens(&post_json(address, "ai.example", "/one", &headers, &chat("hello")).await?)?;
            }
            anyhow::Ok(spent)
        });
    }
    let mut spent = first;
    while let Some(of_client) = all.join_next().await {
        spent += of_client??;
    }
    let asked = questions(&world).await? - before;
    println!("{requests} requests, {asked} questions, {spent} tokens");
    assert!(asked > 0 && asked < requests / 4, "{asked}");
    settled(&world, spent, requests + 1).await
}

/// Those of one client are not asked about one by one either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_one_after_the_other_share_a_reservation() -> Result<()> {
    let (world, first) = start().await?;
    let (before, requests) = (questions(&world).await?, 200);
    let spent = first + one_after_the_other(&world, requests).await?;
    let asked = questions(&world).await? - before;
    println!("{requests} requests, {asked} questions, {spent} tokens");
    assert!(asked > 0 && asked < requests / 4, "{asked}");
    settled(&world, spent, requests + 1).await
}

/// The service hears it as soon as it listens again, and counts it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shared_is_told_again_until_the_service_answers() -> Result<()> {
    let (mut world, first) = start().await?;
    let requests = 40;
    let spent = first + one_after_the_other(&world, requests).await?;
    world.fixture.chancery.process().signal(Signal::STOP)?;
    let is_told_in_vain = eventually(DEADLINE, || async {
        let timeouts = statistics(&world, "xds.*upstream_rq_timeout").await?;
        ensure!(
            timeouts > 1,
            "{timeouts} {}",
            world.fixture.envoy("gw")?.get("/stats?usedonly&filter=ratelimit").await?.text()
        );
        Ok(())
    });
    let is_told_in_vain = is_told_in_vain.await;
    world.fixture.chancery.process().signal(Signal::CONT)?;
    is_told_in_vain?;
    // What was counted twice in the metric is told only once in the account.
    eventually(DEADLINE, || async {
        let spend: Value = world.fixture.status("Budget default/team").await?["spend"].clone();
        ensure!((&spend["spent"], &spend["reserved"]) == (&json!(spent), &json!(0)), "{spent}: {spend}");
        Ok(())
    })
    .await
}

/// An edit of keys is another configuration of the filter, which settles what was shared before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shared_is_settled_while_keys_are_edited() -> Result<()> {
    let (world, first) = start().await?;
    let (mut spent, edits, requests) = (first, 8, 25);
    for edit in 0..edits {
        let more = key(&format!("bob-{edit}"), &format!("sk-canary-bob-{edit:023}"), "b", &json!({}));
        world.fixture.save("more.yaml", &more)?;
        spent += one_after_the_other(&world, requests).await?;
    }
    settled(&world, spent, edits * requests + 1).await
}

/// A proxy that goes has settled everything, in a store that outlives it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_shared_is_settled_before_a_proxy_ends() -> Result<()> {
    let store = StoreServer::start()?;
    let mut world = World::start(&objects(), &["--limit-store", &store.address()]).await?;
    let first = eventually(DEADLINE, || async { tokens(&ask(&world).await?) }).await?;
    let spent = first + one_after_the_other(&world, 20).await?;
    let status = world.fixture.chancery.stop(DEADLINE).await?;
    ensure!(status.success(), "{status}");
    let spending = store.spending(&team(LIMIT)).await?;
    ensure!((spending.spent, spending.reserved) == (spent, 0), "{spent}: {spending:?}");
    Ok(())
}
