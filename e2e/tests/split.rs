//! A rule with several destinations: shares are right, and each provider gets what is its own.

use anyhow::Result;
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get, post_json};
use e2e::manifests::{gateway, static_backend};
use serde_json::json;

const REQUESTS: usize = 1000;

/// Three and a half standard deviations of a share of [`REQUESTS`].
fn tolerance(share: f64) -> f64 {
    3.5 * (share * (1.0 - share) / REQUESTS as f64).sqrt()
}

fn assert_share(name: &str, count: usize, expected: f64) {
    let share = count as f64 / REQUESTS as f64;
    assert!((share - expected).abs() <= tolerance(expected), "{name}: {share}, not {expected}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_provider_of_a_split_gets_its_own_path_host_and_key() -> Result<()> {
    let echo = EchoBackend::start("plain").await?;
    let rest = "apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: gemini}
spec:
  type: AI
  ai: {llm: {gemini: {apiVersion: v1beta, model: gemini-2.0-flash, authToken: {kind: Inline, inline: canary-g}}}}
---
apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {name: openai}
spec:
  type: AI
  ai: {llm: {provider: {openai: {authToken: {kind: Inline, inline: Bearer canary-o}}}}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r}
spec:
  parentRefs: [{name: gw}]
  rules:
  - backendRefs:
    - {group: gateway.kgateway.dev, kind: Backend, name: gemini, weight: 40}
    - {group: gateway.kgateway.dev, kind: Backend, name: openai, weight: 30}
    - {group: gateway.kgateway.dev, kind: Backend, name: plain, weight: 20}
    - {group: gateway.kgateway.dev, kind: Backend, name: missing, weight: 10}
    - {group: gateway.kgateway.dev, kind: Backend, name: plain, weight: 0}
";
    let files = gateway("gw", "PORT") + &static_backend("plain", echo.address()) + rest;
    let fixture = Fixture::start(&[("all.yaml", &files)]).await?;
    let recording = echo.record();
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "contents": [{"parts": [{"text": "hi"}]}]});
    let mut broken = 0;
    for _ in 0..REQUESTS {
        let answer =
            post_json(fixture.address(), "chat.test", "/chat?a=1", &[("authorization", "mine")], &body)
                .await?;
        broken += usize::from(answer.status == 500);
        assert!(matches!(answer.status, 200 | 500), "{} {}", answer.status, answer.text());
    }
    let seen = fixture.provider.requests().all();
    let (gemini, openai): (Vec<_>, Vec<_>) =
        seen.iter().partition(|r| r.host.starts_with("generativelanguage"));
    for request in &gemini {
        assert_eq!(request.path(), "/v1beta/models/gemini-2.0-flash:generateContent");
        assert_eq!(request.header("x-goog-api-key"), Some("canary-g"));
        assert_eq!(request.header("authorization"), None);
    }
    for request in &openai {
        assert_eq!((request.path(), request.host.as_str()), ("/v1/chat/completions", "api.openai.com"));
        assert_eq!(request.sni.as_deref(), Some("api.openai.com"));
        assert_eq!(request.header("authorization"), Some("Bearer canary-o"));
        assert_eq!(request.header("x-goog-api-key"), None);
    }
    for request in recording.all() {
        assert_eq!((request.path_and_query(), request.host.as_str()), ("/chat?a=1", "chat.test"));
        assert_eq!(
            request.header("authorization"),
            Some("mine"),
            "an ordinary backend gets what the client sent"
        );
        assert_eq!(request.occurrences("canary"), 0);
    }
    assert_share("gemini", gemini.len(), 0.4);
    assert_share("openai", openai.len(), 0.3);
    assert_share("plain", recording.count(), 0.2);
    assert_share("broken", broken, 0.1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_in_a_clients_query_do_not_reach_the_provider() -> Result<()> {
    let fixture = Fixture::start_seeds(&[e2e::fixture::Seed::Kgateway], "canary-k", &[]).await?;
    let body = json!({"contents": []});
    let path = "/gemini?key=client-secret&alt=json&access_token=client-secret";
    post_json(fixture.address(), "x", path, &[], &body).await?;
    let request = fixture.provider.requests().last().expect("a request");
    assert_eq!(request.occurrences("client-secret"), 0, "{}", request.path_and_query());
    assert_eq!(request.uri.query(), Some("alt=json"));
    assert_eq!(request.header("x-goog-api-key"), Some("canary-k"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_whose_certificate_is_not_trusted_is_not_spoken_to() -> Result<()> {
    let other = e2e::provider::TestAuthority::generate()?;
    let folder = tempfile::TempDir::new()?;
    let file = folder.path().join("other.pem");
    other.write_certificate(&file)?;
    let file = file.to_str().expect("UTF-8");
    let fixture =
        Fixture::start_seeds(&[e2e::fixture::Seed::Kgateway], "canary-k", &["--upstream-ca", file]).await;
    let fixture = fixture?;
    let answer = fixture.ask_gemini(&[]).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(fixture.provider.requests().count(), 0);
    eventually(DEADLINE, || async {
        let log = fixture.chancery.log();
        let told = log.lines().filter(|line| line.contains("its certificate cannot be verified")).count();
        anyhow::ensure!(told == 1 && log.contains("--upstream-ca FILE"), "told {told} times\n{log}");
        Ok(())
    })
    .await?;
    let host = get(fixture.address(), "x", "/elsewhere").await?;
    assert_eq!(host.status, 404);
    Ok(())
}
