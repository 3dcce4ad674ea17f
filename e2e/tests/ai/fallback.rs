//! Cheaper models for virtual keys whose budget is spent, with the real Envoy.

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually};
use mock_llm::Knobs;
use serde_json::{Value, json};

use crate::budgets::budget;
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, World, backend, chat, failing, openai, route, said, streamed};

const ALICE: &str = "sk-canary-alice-000000000000000001";

/// A route to one provider, one to a pool, and one to a backend that is none of a model.
fn objects(more: &str) -> String {
    let token = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let pool = |model: &str| {
        format!(
            "priorityGroups: [{{providers: [{{name: a, openai: {{{token}, model: {model}}}, HOST_A}}]}}, {{providers: [{{name: b, openai: {{{token}, model: dear-b}}, HOST_B}}]}}]"
        )
    };
    let plain = "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {name: plain, namespace: default}\nspec: {type: Static, static: {hosts: [{host: 127.0.0.1, port: A_PORT}]}}\n";
    openai("canary-provider")
        + &backend("pool", &pool("dear-a"))
        + &backend("half", &pool("unknown"))
        + plain
        + &route("pool")
        + &route("half")
        + &route("plain")
        + &["one", "pool", "half", "plain"].map(|name| asking(name, &json!({}))).concat()
        + &key("alice", ALICE, "a", &json!({}))
        + more
}

/// A budget over which cheaper models are asked.
fn cheaper(limit: &Value) -> String {
    let models = json!([{"from": "client-*", "to": "cheap"}, {"from": "dear-a", "to": "cheap-a"}, {"from": "dear-b", "to": "cheap-b"}]);
    let spec = json!({"limit": limit, "per": "Year", "action": "Fallback", "fallback": {"models": models}});
    budget("cheaper", &spec)
}

async fn ask(world: &World, path: &str, body: &Value) -> Result<Response> {
    world.post(path, &[("x-api-key", ALICE)], body).await
}

/// The models that the providers were asked for since the last time.
fn asked(world: &World) -> Vec<String> {
    let all = [&world.a, &world.b].map(|provider| provider.recording().take()).concat();
    let model = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        body["model"].as_str().unwrap_or_default().to_owned()
    };
    all.iter().map(|request| model(&request.body)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_its_budget_a_key_gets_a_cheaper_model_in_answers_streams_and_failovers() -> Result<()> {
    let world = World::start(&objects(&cheaper(&json!({"requests": 1}))), &[]).await?;
    assert_eq!(ask(&world, "/one", &chat("hello")).await?.status, 200);
    assert_eq!(asked(&world), ["client-model"]);
    for round in 0..2 {
        let answer = ask(&world, "/one", &chat("hello")).await?;
        assert_eq!((answer.status, asked(&world)), (200, vec!["cheap".to_owned()]), "{round}");
        let answer = ask(&world, "/one", &streamed("hello")).await?;
        assert!(!said(&answer).is_empty(), "{}", answer.text());
        assert_eq!(asked(&world), ["cheap"], "{round}");
    }
    world.a.set_knobs(failing(503));
    assert_eq!(ask(&world, "/pool", &chat("hello")).await?.status, 200);
    assert_eq!(asked(&world), ["cheap-a", "cheap-b"], "each provider has its own");
    world.a.set_knobs(Knobs::default());
    // What has no cheaper model is refused before a provider is asked.
    let mut other = chat("hello");
    other["model"] = json!("unknown");
    let refused = ask(&world, "/one", &other).await?;
    assert_eq!((refused.status, refused.json()?["error"]["type"].clone()), (429, json!("rate_limit_error")));
    for (path, body) in [
        ("/one/v1/embeddings", json!({"model": "client-model", "input": "x"})),
        ("/plain", chat("hello")),
        ("/half", chat("hello")),
    ] {
        assert_eq!(ask(&world, path, &body).await?.status, 429, "{path}");
    }
    assert_eq!(asked(&world), [""; 0]);
    Ok(())
}

/// What the cheaper model comes to counts in all budgets of the key, and another budget may refuse it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cheaper_model_comes_to_is_spent_in_all_budgets() -> Result<()> {
    let both =
        cheaper(&json!({"tokens": 1})) + &budget("all", &json!({"limit": {"tokens": 500}, "per": "Year"}));
    let world = World::start(&objects(&both), &[]).await?;
    let mut question = chat("hello");
    question["max_tokens"] = json!(300);
    let answer = ask(&world, "/one", &question).await?;
    assert_eq!((answer.status, asked(&world)), (200, vec!["cheap".to_owned()]), "{}", answer.text());
    let spent = answer.json()?["usage"]["total_tokens"].as_u64().unwrap_or_default();
    for (name, remaining) in [("cheaper", 0), ("all", 500 - spent)] {
        eventually(DEADLINE, || async {
            let status = world.fixture.status(&format!("Budget default/{name}")).await?;
            let found = (status["spend"]["spent"].as_u64(), status["spend"]["remaining"].as_u64());
            ensure!(found == (Some(spent), Some(remaining)), "{name}: {status}");
            Ok(())
        })
        .await?;
    }
    question["max_tokens"] = json!(600);
    assert_eq!(ask(&world, "/one", &question).await?.status, 429, "the other budget holds");
    Ok(())
}
