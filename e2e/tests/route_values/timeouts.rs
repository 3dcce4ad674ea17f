//! Limits of time, and silence that is longer than the listener's own limit.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::DELAY_HEADER;
use e2e::http::{request, send_within};
use http::Method;

use e2e::random::setting;

use super::{World, route};

const ROUTES: &str = r#"  - matches: [{path: {value: /none}}]
    timeouts: {request: 0s}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /ten-minutes}}]
    timeouts: {request: 10m}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /backend}}]
    timeouts: {backendRequest: 20m}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /both}}]
    timeouts: {request: 0s, backendRequest: 20m}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /short}}]
    timeouts: {request: 1s}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /default}}]
    backendRefs: [{name: echo, port: 80}]
"#;

const AI: &str = r#"
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: openai}
spec: {type: AI, ai: {llm: {openai: {authToken: {kind: Inline, inline: key}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ai}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /ai-hour}}]
    timeouts: {request: 1h}
    backendRefs: [{name: openai, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /ai-none}}]
    timeouts: {request: 0s}
    backendRefs: [{name: openai, group: gateway.kgateway.dev, kind: Backend}]
"#;

/// Silence that is longer than the listener allows ends well where a route's own limit is longer, or there
/// is none. The listener's limit is shortened here, by the product's own option; with
/// `CHANCERY_TEST_SILENCE=330` it is left at its 300 s, and the silence takes 330 s.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routes_own_limit_is_the_one_that_ends_a_silent_request() -> Result<()> {
    let silence = Duration::from_secs(setting("CHANCERY_TEST_SILENCE", 3));
    let arguments: &[&str] =
        if silence > Duration::from_secs(300) { &[] } else { &["--stream-idle-timeout", "1"] };
    let documents = format!("{}{AI}", route("r", ROUTES));
    let world = World::start_with(&documents, arguments).await?;
    let delay = silence.as_millis().to_string();
    let delay = delay.as_str();
    let started = Instant::now();
    world.fixture.provider.set_delay(silence);
    let address = world.fixture.address();
    let ask = |path: &'static str| async move {
        let request = request(Method::GET, "a.test", path, &[(DELAY_HEADER, delay)], Bytes::new())?;
        anyhow::Ok((path, send_within(silence * 2, address, request).await?))
    };
    let chat = Bytes::from_static(br#"{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}"#);
    let ai = |path: &'static str| {
        let request =
            request(Method::POST, "a.test", path, &[("content-type", "application/json")], chat.clone());
        async move { anyhow::Ok((path, send_within(silence * 2, address, request?).await?)) }
    };
    let (none, ten, backend, both, short, default, hour, ai_none) = tokio::join!(
        ask("/none"),
        ask("/ten-minutes"),
        ask("/backend"),
        ask("/both"),
        ask("/short"),
        ask("/default"),
        ai("/ai-hour"),
        ai("/ai-none"),
    );
    for answer in [none, ten, backend, both, hour, ai_none] {
        let (path, answer) = answer?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
    }
    for answer in [short, default] {
        let (path, answer) = answer?;
        ensure!(answer.status == 504, "{path}: {}", answer.status);
    }
    ensure!(started.elapsed() >= silence, "the silence was real");
    println!("silence of {silence:?}");
    Ok(())
}
