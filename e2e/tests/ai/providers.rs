//! Each provider: its path, host, credential and body, for single answers and streams (acceptance rows A7–A19, A25, A48).

use anyhow::Result;
use mock_llm::sigv4::AwsKey;
use serde_json::{Value, json};

use crate::world::{World, backend, chat, route, secret};

const TOKEN: &str = "authToken: {kind: SecretRef, secretRef: {name: key}}";

/// Every provider as a Backend, reached through a mock.
fn objects() -> String {
    let aws = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: aws, namespace: default}\nstringData: {accessKey: AKIDEXAMPLE, secretKey: canary-aws-secret}\n";
    let providers = [
        ("openai", format!("llm: {{openai: {{{TOKEN}}}, HOST_A}}")),
        ("override", format!("llm: {{openai: {{{TOKEN}, model: backend-model}}, HOST_A}}")),
        (
            "azure",
            format!("llm: {{azureopenai: {{{TOKEN}, endpoint: res.openai.azure.com, deploymentName: dep, apiVersion: 2024-10-21}}, HOST_A}}"),
        ),
        ("anthropic", format!("llm: {{anthropic: {{{TOKEN}, model: claude-x}}, HOST_A}}")),
        ("gemini", format!("llm: {{gemini: {{{TOKEN}, model: gemini-x, apiVersion: v1beta}}, HOST_A}}")),
        (
            "vertex",
            format!("llm: {{vertexai: {{{TOKEN}, model: gemini-x, apiVersion: v1, projectId: p, location: us-east1}}, HOST_A}}"),
        ),
        (
            "bedrock",
            "llm: {bedrock: {auth: {type: Secret, secretRef: {name: aws}}, model: 'amazon.nova-lite-v1:0'}, HOST_A}".to_owned(),
        ),
        ("passthrough", "llm: {anthropic: {authToken: {kind: Passthrough}}, HOST_A}".to_owned()),
        (
            "full-path",
            format!("llm: {{openai: {{{TOKEN}}}, HOST_A, path: {{full: /azure/openai/v1/chat/completions}}, authHeader: {{headerName: x-own, prefix: 'Key '}}}}"),
        ),
    ];
    let mut all = secret("key", "canary-key") + aws;
    for (name, ai) in providers {
        all += &backend(name, &ai);
        all += &route(name);
    }
    all
}

/// What a request must look like at the provider.
struct Row {
    path: &'static str,
    body: Value,
    /// Path at the provider.
    upstream: &'static str,
    credential: Option<(&'static str, &'static str)>,
    /// Members of the body at the provider that differ from what the client sent.
    changed: Value,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_provider_gets_its_own_path_credential_and_body() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let aws = AwsKey {
        access_key_id: "AKIDEXAMPLE".into(),
        secret_access_key: "canary-aws-secret".into(),
        session_token: None,
    };
    world.a.change_knobs(|knobs| knobs.aws_keys = Some(vec![aws]));
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]});
    let claude = json!({"model": "client-model", "max_tokens": 100, "messages": [{"role": "user", "content": "hello there"}]});
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "hello there"}]}]});
    let bearer = Some(("authorization", "Bearer canary-key"));
    let none = json!({});
    let vertex = "/v1/projects/p/locations/us-east1/publishers/google/models/gemini-x";
    let rows = [
        Row {
            path: "/openai",
            body: chat("hello there"),
            upstream: "/v1/chat/completions",
            credential: bearer,
            changed: none.clone(),
        },
        Row {
            path: "/override",
            body: chat("hello there"),
            upstream: "/v1/chat/completions",
            credential: bearer,
            changed: json!({"model": "backend-model"}),
        },
        Row {
            path: "/azure",
            body: chat("hello there"),
            upstream: "/openai/deployments/dep/chat/completions?api-version=2024-10-21",
            credential: Some(("api-key", "canary-key")),
            changed: none.clone(),
        },
        Row {
            path: "/anthropic",
            body: claude.clone(),
            upstream: "/v1/messages",
            credential: Some(("x-api-key", "canary-key")),
            changed: json!({"model": "claude-x"}),
        },
        Row {
            path: "/gemini",
            body: gemini.clone(),
            upstream: "/v1beta/models/gemini-x:generateContent",
            credential: Some(("x-goog-api-key", "canary-key")),
            changed: none.clone(),
        },
        Row {
            path: "/vertex",
            body: gemini.clone(),
            upstream: Box::leak(format!("{vertex}:generateContent").into_boxed_str()),
            credential: bearer,
            changed: none.clone(),
        },
        Row {
            path: "/bedrock",
            body: converse.clone(),
            upstream: "/model/amazon.nova-lite-v1%3A0/converse",
            credential: None,
            changed: none.clone(),
        },
        Row {
            path: "/passthrough",
            body: claude.clone(),
            upstream: "/v1/messages",
            credential: Some(("x-api-key", "client-key")),
            changed: none.clone(),
        },
        Row {
            path: "/full-path",
            body: chat("hello there"),
            upstream: "/azure/openai/v1/chat/completions",
            credential: Some(("x-own", "Key canary-key")),
            changed: none.clone(),
        },
    ];
    for row in rows {
        world.a.change_knobs(|knobs| knobs.lenient = row.path == "/full-path");
        let headers =
            [("authorization", "Bearer client-key"), ("x-goog-api-key", "client-google"), ("cookie", "a=b")];
        let headers = if row.path == "/passthrough" { &headers[..1] } else { &headers[..] };
        let answer = world.post(&format!("{}?key=client-query", row.path), headers, &row.body).await?;
        let requests = world.a.recording().take();
        let [request] = &requests[..] else {
            panic!("{}: {} requests: {}", row.path, requests.len(), answer.text())
        };
        assert_eq!(request.path_and_query(), row.upstream, "{}", row.path);
        if let Some((name, value)) = row.credential {
            assert_eq!(request.header(name), Some(value), "{}", row.path);
        }
        if row.path != "/passthrough" {
            let all = format!("{:?}", request.headers);
            assert!(!all.contains("client-"), "{}: {all}", row.path);
        }
        let mut expected = row.body.clone();
        for (name, value) in row.changed.as_object().unwrap() {
            expected[name] = value.clone();
        }
        assert_eq!(request.json(), expected, "{}", row.path);
        if row.path != "/full-path" {
            assert_eq!(answer.status, 200, "{}: {}", row.path, answer.text());
            assert!(answer.text().contains("hello there"), "{}: {}", row.path, answer.text());
        }
    }
    for (llm, model) in [
        ("openai", "client-model"),
        ("openai", "backend-model"),
        ("azure_openai", "dep"),
        ("anthropic", "claude-x"),
        ("gemini", "gemini-x"),
        ("vertex-ai", "gemini-x"),
        ("bedrock", "amazon.nova-lite-v1:0"),
    ] {
        let labels = [format!("llm=\"{llm}\""), format!("model=\"{model}\"")];
        for counter in
            ["ai_prompt_tokens_total", "ai_completion_tokens_total", "ai_rate_limited_tokens_total"]
        {
            world.counter(&[counter, &labels[0], &labels[1]], 1).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_pass_event_by_event_and_are_counted() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let mut openai = chat("one two three");
    openai["stream"] = json!(true);
    let answer = world.post("/openai", &[], &openai).await?;
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    assert!(content_type.starts_with("text/event-stream"), "{content_type}: {}", answer.text());
    let text = answer.text();
    assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
    // The gateway asked for the usage, and the client did not: it must not see the event.
    assert!(!text.contains("\"choices\":[]"), "{text}");
    let request = world.a.recording().take().pop().unwrap();
    assert_eq!(request.json()["stream_options"], json!({"include_usage": true}));
    world.counter(&["ai_prompt_tokens_total", "llm=\"openai\"", "model=\"client-model\""], 1).await?;

    openai["stream_options"] = json!({"include_usage": true});
    let text = world.post("/openai", &[], &openai).await?.text();
    assert!(text.contains("\"choices\":[]"), "who asks for the usage gets it: {text}");

    let claude = json!({"model": "m", "max_tokens": 100, "stream": true, "messages": [{"role": "user", "content": "one two three"}]});
    let text = world.post("/anthropic", &[], &claude).await?.text();
    assert!(text.contains("event: message_start") && text.contains("event: message_stop"), "{text}");
    world.counter(&["ai_completion_tokens_total", "llm=\"anthropic\"", "model=\"claude-x\""], 1).await?;

    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "one two three"}]}]});
    for path in
        ["/gemini/v1/models/x:streamGenerateContent?alt=sse", "/gemini/v1/models/x:streamGenerateContent"]
    {
        let before = world.counter(&["ai_completion_tokens_total", "llm=\"gemini\""], 0).await?;
        let answer = world.post(path, &[], &gemini).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        world.counter(&["ai_completion_tokens_total", "llm=\"gemini\""], before + 1).await?;
    }
    let converse = json!({"messages": [{"role": "user", "content": [{"text": "one two three"}]}]});
    let answer = world.post("/bedrock/model/x/converse-stream", &[], &converse).await?;
    assert_eq!(
        answer.header("content-type"),
        Some("application/vnd.amazon.eventstream"),
        "{}",
        answer.text()
    );
    world.counter(&["ai_completion_tokens_total", "llm=\"bedrock\""], 1).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_endpoints_pass_with_the_credential_and_an_untouched_body() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    // Spaces, an unknown field and a number that JSON readers round: byte for byte.
    let body =
        "{ \"input\": [\"a b\"],\"model\" :\"text-embedding-3-small\", \"seed\": 12345678901234567890123 }";
    let request = e2e::http::request(
        http::Method::POST,
        "ai.example",
        "/override/v1/embeddings",
        &[("content-type", "application/json")],
        body.into(),
    )?;
    world.a.change_knobs(|knobs| knobs.lenient = true);
    let answer = e2e::http::send(world.fixture.address(), request).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = world.a.recording().take().pop().unwrap();
    assert_eq!((seen.path_and_query(), &seen.body[..]), ("/v1/embeddings", body.as_bytes()));
    assert_eq!(seen.header("authorization"), Some("Bearer canary-key"));
    world.counter(&["ai_prompt_tokens_total", "model=\"backend-model\""], 1).await?;

    let answer = world.get("/openai/v1/models?limit=3").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = world.a.recording().take().pop().unwrap();
    assert_eq!(seen.path_and_query(), "/v1/models?limit=3");

    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "one two"}]}]});
    let answer = world.post("/gemini/v1beta/models/other:countTokens", &[], &gemini).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = world.a.recording().take().pop().unwrap();
    assert_eq!(seen.path_and_query(), "/v1beta/models/gemini-x:countTokens", "the Backend's model");
    Ok(())
}

/// What cannot go on is refused in the provider's own form, and the connection goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_cannot_be_read_are_refused() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let answer = world.post("/override", &[], &json!([1])).await?;
    assert_eq!(
        (answer.status, answer.json()?["error"]["type"].clone()),
        (400, json!("invalid_request_error"))
    );
    let answer = world.post("/anthropic", &[], &json!("x")).await?;
    assert_eq!((answer.status, answer.json()?["type"].clone()), (400, json!("error")));
    assert_eq!(world.a.recording().take().len(), 0, "nothing reached the provider");
    // A refusal of the gateway's credential tells nothing of the provider's words, which may hold a part of it.
    world.a.change_knobs(|knobs| knobs.keys = Some(vec!["another".into()]));
    let answer = world.post("/openai", &[], &chat("hello")).await?;
    assert_eq!(answer.status, 401);
    assert!(!answer.text().contains("canary"), "{}", answer.text());
    assert!(answer.json()?["error"]["message"].as_str().unwrap().contains("credential of the gateway"));
    Ok(())
}
