//! Limits that are counted for all proxies together (acceptance rows A39, A40), with the real Envoy: tokens of AI backends and
//! requests of others, by user, in both kinds of rules; what is over is refused with what clients need to know; a limit that
//! cannot be carried out lets nothing pass; and a store that is away lets nothing pass either.

use anyhow::{Result, ensure};
use e2e::http::{closed_port, eventually};
use serde_json::{Value, json};

use crate::world::{DEADLINE, World, chat, openai, route_to, streamed};

/// A RateLimitConfig.
fn limits(name: &str, raw: &Value) -> String {
    let config = json!({"apiVersion": "ratelimit.solo.io/v1alpha1", "kind": "RateLimitConfig",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"raw": raw}});
    format!("---\n{config}\n")
}

/// A RouteOption that applies RateLimitConfigs to a route.
fn option(route: &str, configs: &[&str]) -> String {
    let refs: Vec<_> = configs.iter().map(|name| json!({"name": name, "namespace": "default"})).collect();
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route});
    let option = json!({"apiVersion": "gateway.solo.io/v1", "kind": "RouteOption",
        "metadata": {"name": route, "namespace": "default"},
        "spec": {"targetRefs": [target], "options": {"rateLimitConfigs": {"refs": refs}}}});
    format!("---\n{option}\n")
}

/// So many for each user in an hour; the user stands in a header.
fn per_user(count: u32) -> Value {
    json!({
        "descriptors": [{"key": "user", "rateLimit": {"unit": "HOUR", "requestsPerUnit": count}}],
        "rateLimits": [{"actions": [{"requestHeaders": {"headerName": "x-user", "descriptorKey": "user"}}]}],
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_tokens_of_a_user_are_limited_and_others_are_not() -> Result<()> {
    let documents = openai("canary-key") + &limits("tokens", &per_user(70)) + &option("one", &["tokens"]);
    let world = World::start(&documents, &[]).await?;
    let ask = async |user: &str, body: &Value| world.post("/one", &[("x-user", user)], body).await;
    let first = ask("alice", &chat("hello")).await?;
    assert_eq!(first.status, 200, "{}", first.text());
    let tokens = first.json()?["usage"]["total_tokens"].as_u64().unwrap_or_default();
    assert!(tokens > 0, "{}", first.text());
    let stream = streamed("hello");
    let refused = eventually(DEADLINE, || async {
        let answer = ask("alice", &stream).await?;
        ensure!(answer.status == 429, "{}", answer.status);
        anyhow::Ok(answer)
    })
    .await?;
    assert_eq!(refused.header("x-envoy-ratelimited"), Some("true"));
    let wait: u64 = refused.header("retry-after").unwrap_or_default().parse()?;
    assert!((1..=3600).contains(&wait), "{wait}");
    // What was spent is charged when an answer has ended, so that the next request may be a moment too early.
    let calls = world.a.recording().take().len() as u64;
    let enough = 70_u64.div_ceil(tokens);
    assert!((enough..=enough + 2).contains(&calls), "{calls} calls for 70 tokens, {tokens} each");
    assert_eq!(ask("bob", &chat("hello")).await?.status, 200);
    // Without an entry there is no limit.
    for _ in 0..4 {
        assert_eq!(world.post("/one", &[], &chat("hello")).await?.status, 200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_where_the_object_says_so_and_what_is_refused_does_not_count() -> Result<()> {
    let mut requests = per_user(3);
    requests["rateLimits"][0]["type"] = json!("REQUEST");
    let sets = json!({
        "setDescriptors": [
            {"simpleDescriptors": [{"key": "user", "value": "guest"}], "rateLimit": {"unit": "DAY", "requestsPerUnit": 1}}],
        "rateLimits": [{"type": "REQUEST", "setActions": [
            {"requestHeaders": {"headerName": "x-user", "descriptorKey": "user"}}, {"remoteAddress": {}}]}],
    });
    let documents = openai("canary-key")
        + &limits("requests", &requests)
        + &limits("guests", &sets)
        + &option("one", &["requests", "guests"]);
    let world = World::start(&documents, &[]).await?;
    for (user, expected) in [("alice", 3), ("guest", 1), ("bob", 3)] {
        let mut passed = 0;
        for _ in 0..6 {
            let answer = world.post("/one", &[("x-user", user)], &chat("hello")).await?;
            ensure!([200, 429].contains(&answer.status), "{}", answer.status);
            passed += i32::from(answer.status == 200);
        }
        assert_eq!(passed, expected, "{user}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_cannot_be_carried_out_lets_nothing_pass() -> Result<()> {
    let mut wrong = per_user(3);
    wrong["descriptors"][0]["rateLimit"]["unit"] = json!("FORTNIGHT");
    let documents = openai("canary-key")
        + &route_to("other", "one")
        + &limits("wrong", &wrong)
        + &option("one", &["wrong"])
        + &option("other", &["missing"]);
    let documents = documents + &route_to("third", "one");
    let world = World::start(&documents, &[]).await?;
    for (path, expected) in [("/one", 500), ("/other", 500), ("/third", 200)] {
        assert_eq!(world.post(path, &[], &chat("hello")).await?.status, expected, "{path}");
    }
    let told =
        world.fixture.told("RateLimitConfig default/wrong", "/conditions", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.raw.descriptors[0].rateLimit.unit"), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_lets_nothing_pass_that_is_limited() -> Result<()> {
    let documents = openai("canary-key")
        + &route_to("other", "one")
        + &limits("tokens", &per_user(70))
        + &option("one", &["tokens"]);
    let store = format!("redis://127.0.0.1:{}", closed_port()?);
    let world = World::start(&documents, &["--limit-store", &store]).await?;
    let ask = async |path: &str, headers| world.post(path, headers, &chat("hello")).await;
    assert_eq!(ask("/one", &[("x-user", "alice")]).await?.status, 503);
    assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
    assert_eq!(ask("/other", &[("x-user", "alice")]).await?.status, 200, "it has no limit");
    let metrics = world.fixture.admin("/metrics").await?.text();
    let counted = "chancery_limit_checks_total{limit=\"default/tokens\",verdict=\"failed\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
    Ok(())
}
