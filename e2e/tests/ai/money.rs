//! Budgets in money with the real Envoy: what a request may cost is reserved at the dearest price that it may have, and what it has cost
//! takes its place, to the millionth of a dollar.

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually};
use mock_llm::Knobs;
use serde_json::{Value, json};

use crate::budgets::budget;
use crate::cost::{list, model};
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, World, backend, chat, failing, openai, route, streamed};

const ALICE: &str = "sk-canary-alice-000000000000000001";
const BOB: &str = "sk-canary-bob-00000000000000000002";

/// What a million tokens cost in dollars, and so a token in millionths: of a prompt, and of an answer.
const CHEAP: [u64; 2] = [1000, 2000];
const DEAR: [u64; 2] = [3000, 5000];

/// A route to one provider and one to a pool whose second provider is the dearer one.
fn objects(more: &str) -> String {
    let token = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let pool = format!(
        "priorityGroups: [{{providers: [{{name: a, openai: {{{token}, model: cheap}}, HOST_A}}]}}, {{providers: [{{name: b, openai: {{{token}, model: dear}}, HOST_B}}]}}]"
    );
    let price = |name: &str, [input, output]: [u64; 2]| model(name, &input.to_string(), &output.to_string());
    let models = [price("client-model", CHEAP), price("cheap", CHEAP), price("dear", DEAR)];
    openai("canary-provider")
        + &backend("pool", &pool)
        + &route("pool")
        + &["one", "pool"].map(|name| asking(name, &json!({}))).concat()
        + &list("own", &json!({"models": models}))
        + &key("alice", ALICE, "a", &json!({}))
        + &key("bob", BOB, "b", &json!({}))
        + more
}

/// A Budget of so many dollars for a team.
fn dollars(name: &str, team: &str, usd: &str, more: &Value) -> String {
    let mut spec = json!({"keys": {"matchLabels": {"team": team}}, "limit": {"usd": usd}, "per": "Year"});
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    budget(name, &spec)
}

/// A question whose answer may have so many tokens.
fn limited(mut body: Value, tokens: u64) -> Value {
    body["max_tokens"] = json!(tokens);
    if body["stream"] == true {
        body["stream_options"] = json!({"include_usage": true});
    }
    body
}

async fn ask(world: &World, path: &str, key: &str, body: &Value) -> Result<Response> {
    world.post(path, &[("x-api-key", key)], body).await
}

/// What the book of the provider says, at these prices, in millionths of a dollar.
fn booked(answer: &Response, [input, output]: [u64; 2]) -> Result<u64> {
    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
    let text = answer.text();
    let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let parts = events.chain([text.as_str()]).filter_map(|part| serde_json::from_str::<Value>(part).ok());
    let usage = parts.map(|part| part["usage"].clone()).rfind(Value::is_object).unwrap_or_default();
    let count = |name: &str| usage[name].as_u64().unwrap_or_default();
    ensure!(count("completion_tokens") > 0, "no usage in {text}");
    Ok(count("prompt_tokens") * input + count("completion_tokens") * output)
}

/// What a request reserves at these prices.
fn reserved(body: &Value, [input, output]: [u64; 2]) -> u64 {
    let text = u64::try_from(body.to_string().len()).unwrap().div_ceil(4);
    text * input + body["max_tokens"].as_u64().unwrap() * output
}

/// An amount of millionths as dollars are written.
fn written(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The status of a Budget tells that so much is spent, and that nothing is reserved.
async fn told(world: &World, name: &str, limit: u64, spent: u64) -> Result<()> {
    let left = limit.saturating_sub(spent);
    let usd = json!({"limit": written(limit), "spent": written(spent), "reserved": "0", "remaining": written(left)});
    let expected = json!({"limit": limit, "spent": spent, "reserved": 0, "remaining": left, "usd": usd});
    eventually(DEADLINE, || async {
        let mut spend = world.fixture.status(&format!("Budget default/{name}")).await?["spend"].clone();
        drop(spend.as_object_mut().and_then(|spend| spend.remove("period")));
        ensure!(spend == expected, "{spend} is not {expected}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_spent_is_what_answers_and_streams_cost_until_nothing_more_fits() -> Result<()> {
    const LIMIT: u64 = 400_000;
    let world = World::start(&objects(&dollars("team", "a", "0.40", &json!({}))), &[]).await?;
    let refused = ask(&world, "/one", ALICE, &limited(chat("hello"), 200)).await?;
    assert_eq!(refused.status, 429, "the answer might cost more than what is left");
    assert_eq!(refused.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
    let mut spent = 0;
    for round in 0.. {
        let question = limited(if round % 2 == 0 { chat("hello") } else { streamed("hello") }, 100);
        if spent + reserved(&question, CHEAP) > LIMIT {
            assert_eq!(ask(&world, "/one", ALICE, &question).await?.status, 429, "{spent} of {LIMIT}");
            break;
        }
        // What the last one has reserved may still be in the way.
        spent +=
            eventually(DEADLINE, || async { booked(&ask(&world, "/one", ALICE, &question).await?, CHEAP) })
                .await?;
    }
    assert!(spent > 0 && spent <= LIMIT, "{spent}");
    told(&world, "team", LIMIT, spent).await?;
    assert_eq!(ask(&world, "/one", BOB, &limited(chat("hello"), 200)).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_costs_what_the_other_provider_asks_and_its_price_is_reserved() -> Result<()> {
    const LIMIT: u64 = 1_000_000;
    let world = World::start(&objects(&dollars("team", "a", "1", &json!({}))), &[]).await?;
    let question = limited(chat("hello"), 100);
    let answer = ask(&world, "/pool", ALICE, &question).await?;
    let mut spent = booked(&answer, CHEAP)?;
    told(&world, "team", LIMIT, spent).await?;
    world.a.set_knobs(failing(503));
    spent += booked(&ask(&world, "/pool", ALICE, &question).await?, DEAR)?;
    told(&world, "team", LIMIT, spent).await?;
    world.b.set_knobs(failing(503));
    assert_eq!(ask(&world, "/pool", ALICE, &question).await?.status, 503);
    told(&world, "team", LIMIT, spent).await?;
    world.a.set_knobs(Knobs::default());
    let dear = limited(chat("hello"), 250);
    assert!(spent + reserved(&dear, CHEAP) < LIMIT && reserved(&dear, DEAR) > LIMIT);
    assert_eq!(ask(&world, "/pool", ALICE, &dear).await?.status, 429, "the dearer one might be asked");
    assert_eq!(ask(&world, "/one", ALICE, &dear).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_a_price_is_refused_or_counts_nothing_and_is_told() -> Result<()> {
    const LIMIT: u64 = 1_000_000;
    let budgets =
        dollars("team", "a", "1", &json!({})) + &dollars("generous", "b", "1", &json!({"unpriced": "Allow"}));
    let world = World::start(&objects(&budgets), &[]).await?;
    let mut question = limited(chat("hello"), 100);
    question["model"] = json!("unknown");
    let refused = ask(&world, "/one", ALICE, &question).await?;
    assert_eq!((refused.status, refused.json()?["error"]["param"].clone()), (403, json!("model")));
    assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
    assert_eq!(ask(&world, "/one", BOB, &question).await?.status, 200);
    let spent = booked(&ask(&world, "/one", BOB, &limited(chat("hello"), 100)).await?, CHEAP)?;
    told(&world, "generous", LIMIT, spent).await?;
    let labels = ["ai_unpriced_requests_total{", "llm=\"openai\"", "model=\"unknown\""];
    assert_eq!(world.counter(&labels, 1).await?, 1);
    // An answer in a tier of service without a price: nobody knows what it costs.
    let question = limited(chat("in another tier"), 100);
    assert_eq!(ask(&world, "/one", ALICE, &question).await?.status, 200);
    told(&world, "team", LIMIT, reserved(&question, CHEAP)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_budget_in_money_a_key_gets_a_cheaper_model_at_its_price() -> Result<()> {
    let fallback = json!({"action": "Fallback", "fallback": {"models": [{"from": "dear", "to": "cheap"}]}});
    let world = World::start(&objects(&dollars("team", "a", "0", &fallback)), &[]).await?;
    let mut question = limited(chat("hello"), 100);
    question["model"] = json!("dear");
    let spent = booked(&ask(&world, "/one", ALICE, &question).await?, CHEAP)?;
    told(&world, "team", 0, spent).await
}
