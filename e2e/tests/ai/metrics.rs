//! The names, labels and values of metrics, as Prometheus reads them.

use anyhow::Result;
use e2e::http::eventually;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{DEADLINE, World, backend, chat, failing, route, secret};

fn objects() -> String {
    let member = |name: &str, provider: &str, host: &str| {
        format!(
            "{{providers: [{{name: {name}, {provider}: {{model: m-{name}, authToken: {{kind: SecretRef, secretRef: {{name: key}}}}}}, {host}}}]}}"
        )
    };
    let pool = [member("a", "openai", "HOST_A"), member("b", "anthropic", "HOST_B")].join(", ");
    secret("key", "canary")
        + &backend("one", "llm: {openai: {authToken: {kind: SecretRef, secretRef: {name: key}}}, HOST_A}")
        + &route("one")
        + &backend("pool", &format!("priorityGroups: [{pool}]"))
        + &route("pool")
}

/// The lines of metrics of the AI engine.
async fn lines(world: &World) -> Result<Vec<String>> {
    let text = world.fixture.envoy("gw")?.get("/stats/prometheus").await?.text();
    let is_ours = |line: &&str| {
        ["ai_", "gen_ai_"].iter().any(|name| line.trim_start_matches("# TYPE ").starts_with(name))
    };
    Ok(text.lines().filter(is_ours).map(str::to_owned).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_the_names_that_users_script_against() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let answer = world.post("/one/v1/chat/completions", &[], &chat("one two three")).await?.json()?;
    let (prompt, completion) = (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]);
    let (prompt, completion) = (prompt.as_u64().unwrap(), completion.as_u64().unwrap());
    world.counter(&["ai_prompt_tokens_total{"], 1).await?;
    world.counter(&["gen_ai_client_token_usage_count{"], 1).await?;
    let lines = lines(&world).await?;
    let has = |line: &str| assert!(lines.iter().any(|it| it == line), "{line} in {lines:#?}");
    let labels = "llm=\"openai\",model=\"client-model\"";
    has("# TYPE ai_prompt_tokens_total counter");
    has(&format!("ai_prompt_tokens_total{{{labels}}} {prompt}"));
    has(&format!("ai_completion_tokens_total{{{labels}}} {completion}"));
    has(&format!("ai_rate_limited_tokens_total{{{labels}}} {}", prompt + completion));
    let gen_ai = "gen_ai_operation_name=\"chat\",gen_ai_provider_name=\"openai\",gen_ai_request_model=\"client-model\",gen_ai_response_model=\"client-model\"";
    has("# TYPE gen_ai_client_token_usage histogram");
    has(&format!("gen_ai_client_token_usage_count{{{gen_ai},gen_ai_token_type=\"input\"}} 1"));
    has(&format!(
        "gen_ai_client_token_usage_bucket{{{gen_ai},gen_ai_token_type=\"output\",le=\"67108864\"}} 1"
    ));
    has("# TYPE gen_ai_server_request_duration_milliseconds histogram");
    let duration =
        lines.iter().filter(|line| line.starts_with("gen_ai_server_request_duration_milliseconds_count"));
    assert!(duration.clone().all(|line| line.contains(gen_ai)), "{lines:#?}");
    assert_eq!(duration.count(), 1);
    let buckets =
        lines.iter().filter(|line| line.starts_with("gen_ai_server_request_duration_milliseconds_bucket"));
    assert_eq!(buckets.count(), 15, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.contains("time_to_first_token")), "the answer was no stream");
    assert!(!lines.iter().any(|line| line.contains("canary")), "{lines:#?}");
    Ok(())
}

/// One request: the attempt that answered counts tokens, and each attempt its time and how it ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_counts_the_tokens_of_the_attempt_that_answered() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    world.a.set_knobs(failing(503));
    let mut body = chat("one two three");
    body["stream"] = json!(true);
    assert_eq!(world.post("/pool/v1/chat/completions", &[], &body).await?.status, 200);
    world.counter(&["ai_prompt_tokens_total{", "llm=\"anthropic\"", "model=\"m-b\""], 1).await?;
    let duration = "gen_ai_server_request_duration_milliseconds_count";
    world.counter(&[duration, "gen_ai_provider_name=\"openai\"", "error_type=\"503\""], 1).await?;
    world
        .counter(&[duration, "gen_ai_provider_name=\"anthropic\"", "gen_ai_request_model=\"m-b\""], 1)
        .await?;
    world.counter(&["gen_ai_server_time_to_first_token_milliseconds_count"], 1).await?;
    let lines = lines(&world).await?;
    let counters: Vec<_> = lines.iter().filter(|line| line.starts_with("ai_prompt_tokens_total{")).collect();
    assert_eq!(counters.len(), 1, "{counters:?}");
    // A model that served nobody takes up no label.
    assert!(!lines.iter().any(|line| line.contains("m-a")), "{lines:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_has_its_request_counted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("access.log");
    let world = World::start(&objects(), &["--access-log", &log.display().to_string()]).await?;
    // Anthropic tells the prompt's tokens first.
    world.a.set_knobs(failing(503));
    world.b.change_knobs(|knobs| knobs.stall_after = Some(6));
    let mut body = chat("one two three");
    body["stream"] = json!(true);
    let body = body.to_string();
    let mut client = TcpStream::connect(world.fixture.address()).await?;
    let head = format!(
        "POST /pool/v1/chat/completions HTTP/1.1\r\nhost: ai.example\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await?;
    let mut seen = String::new();
    let mut piece = [0; 1024];
    while !seen.contains("data:") {
        let length = tokio::time::timeout(DEADLINE, client.read(&mut piece)).await??;
        anyhow::ensure!(length > 0, "closed after {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&piece[..length]));
    }
    drop(client);
    world.counter(&["ai_prompt_tokens_total{", "llm=\"anthropic\"", "model=\"m-b\""], 1).await?;
    let duration = "gen_ai_server_request_duration_milliseconds_count";
    world.counter(&[duration, "gen_ai_provider_name=\"anthropic\"", "error_type=\"cut\""], 1).await?;
    // The line is written before the filter hears that the client has left.
    let line: Value =
        eventually(DEADLINE, || async { anyhow::Ok(serde_json::from_slice(&std::fs::read(&log)?)?) }).await?;
    assert_eq!(line["ai"]["provider"], "anthropic", "{line}");
    assert_eq!(line["ai"]["streaming"], true, "{line}");
    assert!(line["ai"]["prompt_tokens"].as_u64() >= Some(1), "{line}");
    Ok(())
}
