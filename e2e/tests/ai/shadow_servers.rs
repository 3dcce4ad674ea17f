//! Webhooks and moderation in shadow mode through a real Envoy, in both dialects: they are asked, what they would do is counted, and
//! nothing waits for them.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::guard_server::{Conduct, GuardServer};
use serde_json::json;

use crate::guards::guarded;
use crate::hooks::{both, moderated, webhook, world};
use crate::world::{DEADLINE, World, chat, said, secret, streamed};

/// The webhook of a policy that has this name, in shadow mode.
fn shadow(name: &str, port: u16) -> String {
    let webhook = webhook(name, port);
    format!("{}, mode: Shadow}}", webhook.strip_suffix('}').unwrap_or(&webhook))
}

async fn verdicts(world: &World, phase: &str, verdict: &str, expected: u64) -> Result<()> {
    let (phase, verdict) = (format!("phase=\"{phase}\""), format!("verdict=\"{verdict}\""));
    let parts = ["ai_guard_verdicts_total", &phase, &verdict];
    let found = world.counter(&parts, expected).await?;
    ensure!(found == expected, "{parts:?}: {found} instead of {expected}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_in_shadow_mode_is_asked_and_changes_nothing() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let world = world(&both("shadow", |name| {
        let webhook = shadow(name, server.port());
        format!("request: {{{webhook}}}, response: {{{webhook}}}")
    }))
    .await?;
    for path in ["/shadow", "/glooshadow"] {
        for text in ["hello", "my secret", "please block me"] {
            let headers = [("x-team", "blue")];
            let answer = world.post(path, &headers, &chat(text)).await?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(answer.json()?["choices"][0]["message"]["content"], format!("You said: {text}"));
            let answer = world.post(path, &headers, &streamed(text)).await?;
            assert_eq!((answer.status, said(&answer)), (200, format!("You said: {text}")), "{path}");
        }
        let sent: Vec<_> = world.a.recording().take();
        assert_eq!(sent.get(2).map(|sent| sent.json()), Some(chat("my secret")), "{path}");
        server.recording().wait_for(12, DEADLINE).await?;
        let asked = server.recording().take();
        let about = |wanted: &str| asked.iter().filter(|asked| asked.path() == wanted).count();
        assert_eq!((about("/request"), about("/response")), (6, 6), "{path}");
        assert!(asked.iter().all(|asked| asked.header("x-team") == Some("blue")), "{path}");
        let is_meant = |text: &str| asked.iter().any(|asked| asked.json().to_string().contains(text));
        assert!(is_meant("\"my secret\"") && is_meant("You said: please block me"), "{asked:?}");
    }
    for phase in ["request_shadow", "response_shadow"] {
        for verdict in ["passed", "masked", "rejected"] {
            verdicts(&world, phase, verdict, 4).await?;
        }
    }
    // Nobody waits for it: not if it fails, and not if it says nothing.
    server.behave(Conduct::Fails(500));
    assert_eq!(world.post("/shadow", &[], &chat("hello")).await?.status, 200);
    verdicts(&world, "request_shadow", "unavailable", 1).await?;
    verdicts(&world, "response_shadow", "unavailable", 1).await?;
    server.behave(Conduct::Stalls);
    let begun = Instant::now();
    assert_eq!(world.post("/shadow", &[], &chat("hello")).await?.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let metrics = world.fixture.envoy("gw")?.get("/stats/prometheus").await?.text();
    assert!(!metrics.contains("phase=\"request\"") && !metrics.contains("phase=\"response\""), "{metrics}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moderation_in_shadow_mode_flags_and_changes_nothing() -> Result<()> {
    let moderation = |name: &str| {
        let service = if name.starts_with("gloo") { "openai" } else { "openAIModeration" };
        let token = "authToken: {kind: SecretRef, secretRef: {name: judge}}";
        format!(
            "request: {{regex: {{builtins: [EMAIL]}}, moderation: {{mode: Shadow, {service}: {{{token}}}}}}}"
        )
    };
    let (server, world, _files) = moderated(&both("judged", moderation)).await?;
    for path in ["/judged", "/gloojudged"] {
        for text in ["I hate jane@example.com", "I like you"] {
            let answer = world.post(path, &[], &chat(text)).await?;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
        server.recording().wait_for(2, DEADLINE).await?;
        let asked = server.recording().take();
        assert!(asked.iter().all(|asked| asked.header("authorization") == Some("Bearer canary-judge")));
        // What a guard that acts has masked is not told.
        let inputs: Vec<_> = asked.iter().map(|asked| asked.json()["input"][0].clone()).collect();
        assert!(inputs.contains(&json!("I hate <EMAIL_ADDRESS>")), "{inputs:?}");
    }
    verdicts(&world, "request_shadow", "rejected", 2).await?;
    verdicts(&world, "request_shadow", "passed", 2).await?;
    verdicts(&world, "request", "masked", 2).await
}

/// Edits while servers are asked do no harm, and what nobody hears any more counts as a question without an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_may_outlive_its_backend() -> Result<()> {
    let server = GuardServer::start(None).await?;
    server.behave(Conduct::Stalls);
    let guard = |name: &str| guarded(name, &format!("request: {{{}}}", shadow(name, server.port())));
    let world = world(&(guard("gone") + &guard("stays"))).await?;
    let ask = async || {
        for _ in 0..10 {
            assert_eq!(world.post("/gone", &[], &chat("hello")).await?.status, 200);
        }
        server.recording().wait_for(10, DEADLINE).await?;
        let _ = server.recording().take();
        anyhow::Ok(())
    };
    ask().await?;
    // The backends are others from now on, and the server is the same one.
    let others = (guard("gone") + &guard("stays")).replace("openai: {", "openai: {model: other, ");
    world.fixture.save("objects.yaml", &world.placed(&(secret("key", "canary-key") + &others)))?;
    let begun = Instant::now();
    verdicts(&world, "request_shadow", "unavailable", 10).await?;
    assert!(begun.elapsed() < Duration::from_secs(9), "not since its patience has ended");
    ask().await?;
    // The server is gone as well.
    let rest = guarded("stays", "request: {regex: {builtins: [EMAIL]}}");
    world.fixture.save("objects.yaml", &world.placed(&(secret("key", "canary-key") + &rest)))?;
    verdicts(&world, "request_shadow", "unavailable", 20).await?;
    assert_eq!(world.post("/stays", &[], &chat("jane@example.com")).await?.status, 200);
    Ok(())
}
