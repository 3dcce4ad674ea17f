//! What requests cost, with the real Envoy: of every provider, whole and streamed, with tokens from the cache and in other tiers of
//! service; prices of users' own, which change without a change of a listener or a cluster; what has no price costs no known amount.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use e2e::http::{Response, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{DEADLINE, OpenAiExample, World, backend, chat, openai, route, secret, streamed};

const TOKEN: &str = "authToken: {kind: SecretRef, secretRef: {name: key}}";

/// A world whose access log is read.
struct Priced {
    world: World,
    log: PathBuf,
    _folder: TempDir,
}

impl Priced {
    async fn start(objects: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let log = folder.path().join("access.log");
        let world = World::start(objects, &["--access-log", &log.display().to_string()]).await?;
        Ok(Self { world, log, _folder: folder })
    }

    /// Asks as a client of OpenAI's.
    async fn ask(&self, path: &str, body: &Value) -> Result<Response> {
        let answer = self.world.post(&format!("{path}/v1/chat/completions"), &[], body).await?;
        ensure!(answer.status == 200, "{path} {body}: {} {}", answer.status, answer.text());
        Ok(answer)
    }

    /// What the access log tells of each request, once there are as many. Envoy writes it every ten seconds.
    async fn told(&self, count: usize) -> Result<Vec<Value>> {
        eventually(DEADLINE, || async {
            let text = std::fs::read_to_string(&self.log)?;
            ensure!(text.lines().count() == count && text.ends_with('\n'), "{count} lines: {text}");
            let lines = text.lines().map(|line| Ok(serde_json::from_str::<Value>(line)?["ai"].clone()));
            lines.collect::<Result<Vec<_>>>()
        })
        .await
    }
}

/// An amount of dollars in 10^-12 of them.
fn picos(dollars: &Value) -> u128 {
    let text = dollars.as_str().unwrap_or_else(|| panic!("{dollars} is no amount"));
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{rest:0<12}").parse().unwrap()
}

/// What the counts of a line cost at these prices for input, output and input from the cache, in millionths of a dollar for a
/// million tokens.
fn expected(line: &Value, [input, output, cache_read]: [u64; 3]) -> u128 {
    let count = |name: &str| line[name].as_u64().unwrap_or_default();
    let (prompt, cached) = (count("prompt_tokens"), count("cached_tokens"));
    u128::from((prompt - cached) * input + cached * cache_read + count("completion_tokens") * output)
}

fn of_every_provider() -> String {
    let providers = [
        ("openai", format!("llm: {{openai: {{{TOKEN}}}, HOST_A}}")),
        (
            "azure",
            format!("llm: {{azureopenai: {{{TOKEN}, endpoint: res.openai.azure.com, deploymentName: dep, apiVersion: 2024-10-21}}, HOST_A}}"),
        ),
        ("anthropic", format!("llm: {{anthropic: {{{TOKEN}, model: claude-sonnet-4-5}}, HOST_A}}")),
        ("gemini", format!("llm: {{gemini: {{{TOKEN}, model: gemini-2.5-pro, apiVersion: v1beta}}, HOST_A}}")),
        (
            "vertex",
            format!("llm: {{vertexai: {{{TOKEN}, model: gemini-2.5-flash, apiVersion: v1, projectId: p, location: us-east1}}, HOST_A}}"),
        ),
        (
            "bedrock",
            "llm: {bedrock: {auth: {type: Secret, secretRef: {name: aws}}, model: 'amazon.nova-pro-v1:0'}, HOST_A}".to_owned(),
        ),
    ];
    let aws = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: aws, namespace: default}\nstringData: {accessKey: AKIDEXAMPLE, secretKey: canary-aws-secret}\n";
    let mut all = secret("key", "canary-key") + aws;
    for (name, ai) in providers {
        all += &backend(name, &ai);
        all += &route(name);
    }
    all + &list("azure", &json!({"backends": ["azure"], "models": [model("dep", "7", "11")]}))
}

/// A PriceList with this spec.
pub(crate) fn list(name: &str, spec: &Value) -> String {
    let list = json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "PriceList",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    format!("---\n{list}\n")
}

/// The price of a model in dollars for a million tokens.
pub(crate) fn model(name: &str, input: &str, output: &str) -> Value {
    json!({"model": name, "prices": [{"input": input, "output": output}]})
}

/// A chat of a client of OpenAI's, for every provider.
fn question(text: &str, stream: bool) -> Value {
    let mut body = if stream { streamed(text) } else { chat(text) };
    body["model"] = json!("gpt-4o-mini-2024-07-18");
    body["max_tokens"] = json!(200);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_is_priced_whole_and_streamed_with_cached_tokens_and_in_other_tiers() -> Result<()> {
    let priced = Priced::start(&of_every_provider()).await?;
    // Of each: the path, the price, and that in the other tier that the mock tells.
    let rows = [
        ("/openai", [150_000, 600_000, 75_000], None),
        ("/azure", [7_000_000, 11_000_000, 7_000_000], Some([7_000_000, 11_000_000, 7_000_000])),
        ("/anthropic", [3_000_000, 15_000_000, 300_000], None),
        ("/gemini", [1_250_000, 10_000_000, 125_000], Some([1_250_000, 10_000_000, 125_000])),
        ("/vertex", [300_000, 2_500_000, 30_000], Some([150_000, 1_250_000, 30_000])),
        ("/bedrock", [800_000, 3_200_000, 200_000], Some([400_000, 1_600_000, 100_000])),
    ];
    let mut cases = Vec::new();
    for (path, usual, other) in rows {
        for stream in [false, true] {
            for (text, price) in [
                ("how are you today", Some(usual)),
                ("say what is cached", Some(usual)),
                ("in another tier", other),
            ] {
                let case = format!("{path} {text} {stream}");
                priced.ask(path, &question(text, stream)).await.context(case.clone())?;
                cases.push((case, price));
            }
        }
    }
    let told = priced.told(cases.len()).await?;
    for ((case, price), line) in cases.into_iter().zip(told) {
        assert_eq!(line["unpriced"], price.is_none(), "{case}: {line}");
        let Some(price) = price else {
            assert_eq!((&line["cost"], &line["price"]), (&Value::Null, &Value::Null), "{case}: {line}");
            continue;
        };
        assert_eq!(picos(&line["cost"]), expected(&line, price), "{case}: {line}");
        assert!(expected(&line, price) > 0, "{case}: {line}");
        assert_eq!(line["cost_estimated"], false, "{case}: {line}");
        let source = if case.starts_with("/azure") { "PriceList default/azure" } else { "public 20" };
        assert!(line["price"].as_str().is_some_and(|price| price.starts_with(source)), "{case}: {line}");
        if case.contains("cached") {
            assert!(line["cached_tokens"].as_u64() > Some(0), "{case}: {line}");
        }
    }
    Ok(())
}

fn own(price: &str) -> String {
    let own = json!({"provider": "openai", "models": [model("client-model", price, "3")]});
    openai("canary-provider") + &list("own", &own) + &telling(&["one"])
}

/// A policy that has the answers of routes tell what they cost.
fn telling(routes: &[&str]) -> String {
    let target =
        |name: &&str| json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": name});
    let targets: Vec<_> = routes.iter().map(target).collect();
    let policy = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy",
        "metadata": {"name": "told", "namespace": "default"},
        "spec": {"targetRefs": targets, "ai": {"costHeader": true}}});
    format!("---\n{policy}\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_of_users_change_without_a_change_of_a_listener_or_a_cluster() -> Result<()> {
    let priced = Priced::start(&own("2")).await?;
    let changes = async |world: &World| {
        let filter = "listener_manager.listener_(modified|added|removed)|cluster_manager.cluster_(modified|added|removed)";
        anyhow::Ok(world.fixture.envoy("gw")?.get(&format!("/stats?filter={filter}")).await?.text())
    };
    let costs = async |input: u64| {
        let answer = priced.ask("/one", &chat("hello")).await?;
        let cost = json!(answer.header("x-chancery-ai-cost").context("the header")?);
        let usage = &answer.json()?["usage"];
        ensure!(picos(&cost) == expected(usage, [input, 3_000_000, input]), "{input}: {cost} for {usage}");
        anyhow::Ok(())
    };
    costs(2_000_000).await?;
    let before = changes(&priced.world).await?;
    for (price, input) in [("0.000001", 1), ("4", 4_000_000)] {
        priced.world.fixture.save("objects.yaml", &priced.world.placed(&own(price)))?;
        eventually(DEADLINE, || costs(input)).await?;
    }
    assert_eq!(changes(&priced.world).await?, before, "a price changes neither");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_without_a_price_costs_no_known_amount_and_counters_tell_both() -> Result<()> {
    let objects =
        openai("canary-provider") + &list("own", &json!({"models": [model("priced-*", "0.333333", "0.7")]}));
    let priced = Priced::start(&objects).await?;
    priced.ask("/one", &chat("hello")).await?;
    let mut body = chat("hello");
    body["model"] = json!("priced-model");
    for _ in 0..5 {
        priced.ask("/one", &body).await?;
    }
    let told = priced.told(6).await?;
    assert_eq!((&told[0]["unpriced"], &told[0]["cost"]), (&json!(true), &Value::Null), "{}", told[0]);
    let sum: u128 = told[1..].iter().map(|line| picos(&line["cost"])).sum();
    assert!(!sum.is_multiple_of(1_000_000), "{sum} shows no rounding");
    let world = &priced.world;
    let micros = u64::try_from(sum / 1_000_000)?;
    let labels = ["ai_cost_micro_usd_total{", "llm=\"openai\"", "model=\"priced-model\""];
    assert_eq!(world.counter(&labels, micros).await?, micros, "what makes no whole millionth is kept");
    let labels = ["ai_unpriced_requests_total{", "llm=\"openai\"", "model=\"client-model\""];
    assert_eq!(world.counter(&labels, 1).await?, 1);
    let text = world.fixture.envoy("gw")?.get("/stats/prometheus").await?.text();
    let costs = text.lines().filter(|line| line.contains("ai_cost_micro_usd_total{"));
    assert_eq!(costs.count(), 1, "what has no price is not counted as nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whole_answers_tell_what_they_cost_where_a_policy_asks_for_it() -> Result<()> {
    let priced = Priced::start(&(of_every_provider() + &telling(&["openai", "anthropic"]))).await?;
    let told = |answer: &Response| answer.header("x-chancery-ai-cost").map(str::to_owned);
    let mut costs = Vec::new();
    for path in ["/openai", "/anthropic"] {
        let answer = priced.ask(path, &question("how are you today", false)).await?;
        let said = answer.json()?;
        let text = said["choices"][0]["message"]["content"].as_str();
        assert!(text.is_some_and(|text| text.contains("how are you")), "{said}");
        costs.push(Some(told(&answer).context("the header")?));
        let answer = priced.ask(path, &question("how are you today", true)).await?;
        assert!(answer.text().trim_end().ends_with("[DONE]"), "{path}: {}", answer.text());
        assert_eq!(told(&answer), None, "{path}: the head of a stream goes before its cost is known");
        costs.push(None);
    }
    // Without a policy, and without a price.
    assert_eq!(told(&priced.ask("/gemini", &question("how are you today", false)).await?), None);
    assert_eq!(told(&priced.ask("/openai", &chat("hello")).await?), None);
    let lines = priced.told(6).await?;
    for (line, cost) in lines.iter().zip(costs) {
        assert!(line["cost"].is_string(), "{line}");
        assert!(cost.is_none_or(|cost| line["cost"] == cost), "{line}");
    }
    assert_eq!(lines[5]["unpriced"], true, "{}", lines[5]);
    Ok(())
}

/// `examples/costs`, as it stands there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_does_what_it_shows() -> Result<()> {
    let example = OpenAiExample::start("costs").await?;
    let address = (example.fixture.ip, 8097).into();
    let question = json!({"messages": [{"role": "user", "content": "hello"}]});
    let answer = e2e::http::post_json(address, "localhost", "/v1/chat/completions", &[], &question).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json()?;
    let count = |name: &str| said["usage"][name].as_u64().unwrap_or_default();
    let expected = u128::from(count("prompt_tokens") * 2_000_000 + count("completion_tokens") * 8_000_000);
    let cost = answer.header("x-chancery-ai-cost").context("the header")?;
    assert_eq!(picos(&json!(cost)), expected, "{cost}: {said}");
    Ok(())
}
