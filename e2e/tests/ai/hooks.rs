//! Servers that judge prompts and answers, through a real Envoy, in both dialects (acceptance rows A35 and A36).

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::guard_server::{Conduct, GuardServer};
use e2e::http::eventually;
use e2e::provider::TestAuthority;
use mock_llm::Knobs;
use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::guards::guarded;
use crate::world::{DEADLINE, World, chat, said, secret, streamed};

/// A webhook in the dialect of the policy that has this name, which gets the headers `x-team: blue`.
pub(crate) fn webhook(name: &str, port: u16) -> String {
    match name.starts_with("gloo") {
        true => format!(
            "webhook: {{host: 127.0.0.1, port: {port}, forwardHeaders: [{{key: x-team, matchType: EXACT}}]}}"
        ),
        false => format!(
            "webhook: {{host: {{host: 127.0.0.1, port: {port}}}, forwardHeaderMatches: [{{type: Exact, name: x-team, value: blue}}]}}"
        ),
    }
}

/// A guarded route in each dialect, at `/NAME` and `/glooNAME`; `guard` makes the guard of a name.
pub(crate) fn both(name: &str, guard: impl Fn(&str) -> String) -> String {
    let gloo = format!("gloo{name}");
    guarded(name, &guard(name)) + &guarded(&gloo, &guard(&gloo))
}

pub(crate) async fn world(objects: &str) -> Result<World> {
    World::start(&(secret("key", "canary-key") + objects), &[]).await
}

/// A world in which OpenAI's moderation is a server of ours, with the key of the Secret `judge`; the
/// folder has its certificate.
pub(crate) async fn moderated(objects: &str) -> Result<(GuardServer, World, TempDir)> {
    let authority = TestAuthority::generate()?;
    let server = GuardServer::start(Some(authority.server_config(&["api.openai.com"])?)).await?;
    let files = TempDir::new()?;
    let trust = files.path().join("ca.pem");
    authority.write_certificate(&trust)?;
    let objects = secret("key", "canary-key") + &secret("judge", "canary-judge") + objects;
    let connect_to = format!("api.openai.com:443:{}:{}", Ipv4Addr::LOCALHOST, server.port());
    let trust = trust.display().to_string();
    let world = World::start(&objects, &["--upstream-ca", &trust, "--connect-to", &connect_to]).await?;
    Ok((server, world, files))
}

/// Row A36, requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_requests_pass_are_masked_or_rejected_by_a_webhook() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let world = world(&both("in", |name| format!("request: {{{}}}", webhook(name, server.port())))).await?;
    for path in ["/in", "/glooin"] {
        let headers = [("x-team", "blue"), ("x-other", "1")];
        let answer = world.post(path, &headers, &chat("hello")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let asked = server.recording().take().pop().unwrap();
        let messages = json!({"body": {"messages": [{"role": "user", "content": "hello"}]}});
        assert_eq!((asked.method.as_str(), asked.path(), asked.json()), ("POST", "/request", messages));
        assert_eq!((asked.header("x-team"), asked.header("x-other")), (Some("blue"), None));
        assert_eq!(asked.occurrences("canary-key"), 0, "a credential is nobody else's");
        assert_eq!(world.a.recording().take().len(), 1);
        let answer = world.post(path, &[], &chat("please block me")).await?;
        assert_eq!((answer.status, answer.text().as_str()), (403, "blocked by the webhook"));
        assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
        let answer = world.post(path, &[], &chat("my secret plan")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = world.a.recording().take().pop().unwrap().json();
        assert_eq!(sent, chat("my **** plan"));
    }
    // More than the buffers of a connection hold.
    let long = "words and words ".repeat(200_000) + "secret";
    let answer = world.post("/in", &[], &chat(&long)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text().len());
    let sent = world.a.recording().take().pop().unwrap().json();
    assert_eq!(sent["messages"][0]["content"], long.replace("secret", "****"));
    world.counter(&["ai_guard_verdicts_total", "phase=\"request\"", "verdict=\"rejected\""], 2).await?;
    world.counter(&["ai_guard_verdicts_total", "phase=\"request\"", "verdict=\"masked\""], 3).await?;
    Ok(())
}

/// Row A36, answers: as wholes and as streams, together with expressions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_answers_pass_are_masked_or_rejected_by_a_webhook() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let guard =
        |name: &str| format!("response: {{regex: {{builtins: [EMAIL]}}, {}}}", webhook(name, server.port()));
    let world = world(&both("out", guard)).await?;
    for path in ["/out", "/glooout"] {
        let answer = world.post(path, &[("x-team", "blue")], &chat("the secret of jane@example.com")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json()?;
        assert_eq!(body["choices"][0]["message"]["content"], "You said: the **** of <EMAIL_ADDRESS>");
        assert!(body["usage"]["total_tokens"].as_u64() > Some(0), "{body}");
        let asked = server.recording().take().pop().unwrap();
        assert_eq!((asked.path(), asked.header("x-team")), ("/response", Some("blue")));
        let message = json!({"role": "assistant", "content": "You said: the secret of jane@example.com"});
        assert_eq!(asked.json(), json!({"body": {"choices": [{"message": message}]}}));
        let answer = world.post(path, &[], &chat("block this")).await?;
        assert_eq!((answer.status, answer.text().as_str()), (403, "blocked by the webhook"));
        for piece_bytes in [None, Some(7)] {
            world.a.set_knobs(Knobs { piece_bytes, ..Knobs::default() });
            let answer = world.post(path, &[], &streamed("a secret of jane@example.com here")).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(said(&answer), "You said: a **** of <EMAIL_ADDRESS> here");
            assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
            let long = "words and words ".repeat(200);
            let answer = world.post(path, &[], &streamed(&format!("{long}secret {long}"))).await?;
            assert_eq!(said(&answer), format!("You said: {long}**** {long}"));
        }
        // The first segment has gone on when another one is rejected.
        world.a.set_knobs(Knobs { piece_delay_ms: 2, ..Knobs::default() });
        let question = streamed(&("words ".repeat(200) + "block it"));
        eventually(DEADLINE, || async {
            let answer = world.post(path, &[], &question).await?;
            let text = answer.text();
            assert!(text.contains("blocked by the webhook") && !said(&answer).contains("block"), "{text}");
            // On a machine that does much else, all of it may come at once.
            ensure!(said(&answer).starts_with("You said: words"), "{text}");
            Ok(())
        })
        .await?;
        world.a.set_knobs(Knobs::default());
        let _ = server.recording().take();
    }
    // More than the buffers of a connection hold.
    let long = "words and words ".repeat(200_000);
    let answer = world.post("/out", &[], &chat(&format!("{long}secret"))).await?.json()?;
    assert_eq!(answer["choices"][0]["message"]["content"], format!("You said: {long}****"));
    // The webhook is asked about what the client gets, not about what the provider says.
    let question =
        json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "a secret"}]});
    let answer = world.post("/out/v1/messages", &[("anthropic-version", "2023-06-01")], &question).await?;
    assert_eq!(answer.json()?["content"][0]["text"], "You said: a ****", "{}", answer.text());
    world.counter(&["ai_guard_verdicts_total", "phase=\"response\"", "verdict=\"masked\""], 8).await?;
    world.counter(&["ai_prompt_tokens_total"], 10).await?;
    Ok(())
}

/// A webhook that is away, fails, says nothing that can be read, or says nothing at all lets nothing pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_while_a_webhook_is_at_fault() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let port = server.port();
    let objects = both("in", |name| format!("request: {{{}}}", webhook(name, port)))
        + &guarded("out", &format!("response: {{{}}}", webhook("out", port)));
    let world = world(&objects).await?;
    assert_eq!(world.post("/in", &[], &chat("hello")).await?.status, 200);
    world.a.recording().take();
    let (whole, stream) = (chat("hello"), streamed("hello"));
    for conduct in [Conduct::Fails(500), Conduct::Fails(404), Conduct::Babbles, Conduct::Stalls] {
        server.behave(conduct);
        let (requests, streams, wholes) = tokio::join!(
            world.post("/in", &[], &whole),
            world.post("/out", &[], &stream),
            world.post("/out", &[], &whole),
        );
        let (requests, streams, wholes) = (requests?, streams?, wholes?);
        assert_eq!(requests.status, 503, "{conduct:?}: {}", requests.text());
        assert!(requests.json()?["error"]["message"].as_str().unwrap().contains("webhook"), "{conduct:?}");
        assert_eq!(wholes.status, 503, "{conduct:?}: {}", wholes.text());
        assert!(!wholes.text().contains("You said"), "{}", wholes.text());
        assert_eq!(said(&streams), "", "{conduct:?}");
        assert!(streams.text().contains("webhook of this route"), "{conduct:?}: {}", streams.text());
        let sent = world.a.recording().take();
        assert!(sent.len() == 2, "{conduct:?}: the request that was not judged was not sent");
    }
    drop(server);
    for path in ["/in", "/glooin", "/out"] {
        let answer = world.post(path, &[], &chat("hello")).await?;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
    }
    world.counter(&["ai_guard_verdicts_total", "phase=\"request\"", "verdict=\"unavailable\""], 6).await?;
    world.counter(&["ai_guard_verdicts_total", "phase=\"response\"", "verdict=\"unavailable\""], 9).await?;
    Ok(())
}

/// Clients that leave while a webhook is asked do no harm, and those that come then are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_may_leave_while_a_webhook_is_asked() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let port = server.port();
    let objects = guarded("in", &format!("request: {{{}}}", webhook("in", port)))
        + &guarded("out", &format!("response: {{{}}}", webhook("out", port)));
    let world = world(&objects).await?;
    server.behave(Conduct::Stalls);
    let body = chat("hello").to_string();
    for path in ["/in", "/out"] {
        let mut clients = Vec::new();
        for _ in 0..20 {
            let mut client = TcpStream::connect(world.fixture.address()).await?;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: ai.example\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(head.as_bytes()).await?;
            clients.push(client);
        }
        server.recording().wait_for(20, DEADLINE).await?;
        drop(clients);
        let _ = server.recording().take();
    }
    let envoy = world.fixture.envoy("gw")?;
    eventually(DEADLINE, || async {
        let stats = envoy.get("/stats?filter=downstream_rq_active&format=text").await?.text();
        let active: u64 = stats.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum();
        // This one.
        ensure!(active <= 1, "{stats}");
        Ok(())
    })
    .await?;
    server.behave(Conduct::Judges);
    for path in ["/in", "/out"] {
        let answer = world.post(path, &[], &chat("my secret")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    Ok(())
}

/// Row A35.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a35_moderation_rejects_what_it_flags() -> Result<()> {
    let moderation = |name: &str| {
        let service = if name.starts_with("gloo") { "openai" } else { "openAIModeration" };
        let token = "authToken: {kind: SecretRef, secretRef: {name: judge}}, model: omni-moderation-latest";
        format!(
            "request: {{customResponse: {{message: not here, statusCode: 403}}, moderation: {{{service}: {{{token}}}}}}}"
        )
    };
    let plain = guarded(
        "plain",
        "request: {regex: {builtins: [EMAIL]}, moderation: {openAIModeration: {authToken: {kind: Inline, inline: canary-inline}}}}",
    );
    let lost = guarded(
        "lost",
        "request: {moderation: {openAIModeration: {authToken: {kind: SecretRef, secretRef: {name: nowhere}}}}}",
    );
    let (server, world, _files) = moderated(&(both("judged", moderation) + &plain + &lost)).await?;
    for path in ["/judged", "/gloojudged"] {
        let answer = world.post(path, &[], &chat("I hate you")).await?;
        assert_eq!((answer.status, answer.text().as_str()), (403, "not here"));
        let asked = server.recording().take().pop().unwrap();
        assert_eq!((asked.path(), asked.host.as_str()), ("/v1/moderations", "api.openai.com"));
        assert_eq!(asked.sni.as_deref(), Some("api.openai.com"));
        assert_eq!(asked.header("authorization"), Some("Bearer canary-judge"));
        assert_eq!(asked.json(), json!({"model": "omni-moderation-latest", "input": ["I hate you"]}));
        assert_eq!(world.a.recording().take().len(), 0);
        let answer = world.post(path, &[], &chat("I like you")).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(world.a.recording().take().len(), 1);
    }
    // Expressions come first: what they mask is not told to the service.
    let _ = server.recording().take();
    let answer = world.post("/plain", &[], &chat("I hate jane@example.com")).await?;
    assert_eq!((answer.status, answer.text().as_str()), (403, "Rejected by guardrails moderation"));
    let asked = server.recording().take().pop().unwrap();
    assert_eq!(asked.json()["input"], json!(["I hate <EMAIL_ADDRESS>"]));
    assert_eq!(asked.header("authorization"), Some("Bearer canary-inline"));
    // Without its Secret, nothing passes, and the status says why.
    assert_eq!(world.post("/lost", &[], &chat("hello")).await?.status, 500);
    let told = world.told("TrafficPolicy default/lost", "Accepted", "Invalid").await?;
    assert!(told.contains("moderation") && told.contains("nowhere"), "{told}");
    server.behave(Conduct::Fails(429));
    let began = Instant::now();
    let answer = world.post("/judged", &[], &chat("hello")).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(began.elapsed() < Duration::from_secs(9), "no patience is needed for an answer");
    // No credential is where somebody can read it.
    let dump = world.fixture.envoy("gw")?.get("/config_dump?include_eds").await?.text();
    for canary in ["canary-judge", "canary-inline"] {
        assert!(!dump.contains(canary), "{canary}");
    }
    Ok(())
}
