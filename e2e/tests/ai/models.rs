//! Routes that are chosen by the model of the request, and the lists of models.

use anyhow::Result;
use bytes::Bytes;
use e2e::echo::{Echo, EchoBackend};
use e2e::http::{Response, request, send};
use e2e::manifests::static_backend;
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, backend, chat, secret};

/// The Backend of each rule has its own model, so that the provider's request tells the rule.
const RULES: &str = "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: models, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /ai}, headers: [{name: X-Gateway-Model-Name, value: fast}]}]
    backendRefs: [{name: fast, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /ai}, headers: [{type: RegularExpression, name: x-gateway-model-name, value: 'gpt-4.*'}]}]
    backendRefs: [{name: four, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /ai}, headers: [{name: x-gateway-model-name, value: old}]}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 302}}]
  - matches: [{path: {value: /ai}, headers: [{name: x-gateway-model-name, value: self-hosted}]}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: '/own?a=b'}}}]
    backendRefs: [{name: echo, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /ai}}]
    backendRefs: [{name: rest, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {type: Exact, value: /ai/always}}]
    backendRefs: [{name: echo, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /plain}}]
    backendRefs: [{name: echo, group: gateway.kgateway.dev, kind: Backend}]
";

async fn start() -> Result<(World, EchoBackend)> {
    let echo = EchoBackend::start("echo").await?;
    let ai = |model: &str| {
        format!(
            "llm: {{openai: {{authToken: {{kind: SecretRef, secretRef: {{name: key}}}}, model: {model}}}, HOST_A}}"
        )
    };
    let objects = secret("key", "canary")
        + &["fast", "four", "rest"].map(|name| backend(name, &ai(&format!("at-{name}")))).concat()
        + "---\n"
        + &static_backend("echo", echo.address()).replace("{name: echo}", "{name: echo, namespace: default}")
        + RULES;
    let world = World::start(&objects, &[]).await?;
    Ok((world, echo))
}

/// The model at the provider.
fn chosen(world: &World) -> Value {
    let seen = world.a.recording().take();
    assert_eq!(seen.len(), 1, "one request reached the provider");
    assert_eq!(seen[0].header("x-gateway-model-name"), None, "the header is the gateway's business");
    seen[0].json()["model"].clone()
}

async fn post(world: &World, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Response> {
    send(world.fixture.address(), request(Method::POST, "ai.example", path, headers, body)?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_chooses_the_rule_whatever_the_client_speaks() -> Result<()> {
    let (world, _echo) = start().await?;
    let messages = json!([{"role": "user", "content": "hello there"}]);
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello there"}]}]});
    for (model, expected) in
        [("fast", "at-fast"), ("gpt-4o", "at-four"), ("gpt-3", "at-rest"), ("fast2", "at-rest")]
    {
        for stream in [false, true] {
            let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            for (path, body) in [
                (
                    "/ai/v1/chat/completions".to_owned(),
                    json!({"messages": messages, "stream": stream, "model": model}),
                ),
                ("/ai".to_owned(), json!({"messages": messages, "stream": stream, "model": model})),
                (
                    "/ai/v1/responses".to_owned(),
                    json!({"model": model, "input": "hello there", "stream": stream}),
                ),
                (
                    "/ai/v1/messages".to_owned(),
                    json!({"model": model, "max_tokens": 9, "messages": messages, "stream": stream}),
                ),
                (format!("/ai/v1beta/models/{model}:{method}"), gemini.clone()),
            ] {
                let answer = world.post(&path, &[("x-gateway-model-name", "fast")], &body).await?;
                assert_eq!(answer.status, 200, "{path} {model}: {}", answer.text());
                assert_eq!(chosen(&world), expected, "{path} {model}");
                let is_stream =
                    answer.header("content-type").unwrap_or_default().starts_with("text/event-stream");
                assert_eq!(is_stream, stream, "{path} {model}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_without_a_model_goes_to_the_rule_without_one() -> Result<()> {
    let (world, _echo) = start().await?;
    world.a.change_knobs(|knobs| knobs.lenient = true);
    let forged = [("x-gateway-model-name", "fast"), ("content-type", "application/json")];
    for body in [r#"{"messages": []}"#, r#"{"model": 4, "messages": []}"#] {
        post(&world, "/ai", &forged, body.into()).await?;
        assert_eq!(chosen(&world), "at-rest", "{body}");
    }
    // Not even an answer to a body that nobody can read comes from the rule that the client would like.
    for body in ["", "{\"model\": \"fast\"", "[\"fast\"]"] {
        let answer = post(&world, "/ai/v1/chat/completions", &forged, body.into()).await?;
        assert!(answer.status >= 400, "{body}: {}", answer.status);
    }
    world.a.recording().take();
    let files = request(Method::GET, "ai.example", "/ai/v1/files", &forged, Bytes::new())?;
    send(world.fixture.address(), files).await?;
    let seen = world.a.recording().take().pop().unwrap();
    assert_eq!(seen.path_and_query(), "/v1/files");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_by_which_no_route_can_be_chosen_are_refused() -> Result<()> {
    let (world, echo) = start().await?;
    let json = ("content-type", "application/json");
    let twice = r#"{"model": "gpt-3", "messages": [], "model": "fast"}"#;
    let answer = post(&world, "/ai/v1/chat/completions", &[json], twice.into()).await?;
    assert_eq!((answer.status, answer.json()?["error"]["param"].clone()), (400, json!("model")));
    let answer = post(&world, "/ai/v1/messages", &[json], r#"{"model": "a\nb"}"#.into()).await?;
    assert_eq!((answer.status, answer.json()?["type"].clone()), (400, json!("error")));
    let answer = post(&world, "/ai", &[json, ("content-encoding", "gzip")], "x".into()).await?;
    assert_eq!(answer.status, 415, "{}", answer.text());
    assert_eq!(world.a.recording().take().len(), 0);
    // As much as the gateway reads passes, to backends of any kind; one byte more does not.
    let largest = 32 * 1024 * 1024;
    let padded = |length: usize| {
        let (head, tail) = ("{\"model\": \"self-hosted\", \"pad\": \"", "\"}");
        Bytes::from(format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len())))
    };
    let recording = echo.record();
    let answer = post(&world, "/ai", &[json], padded(largest)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text().len());
    drop(recording);
    // Envoy answers before it has read all, so that the client may not get to read the answer.
    if let Ok(answer) = post(&world, "/ai", &[json], padded(largest + 1)).await {
        assert_eq!(answer.status, 413);
    }
    assert_eq!(world.a.recording().take().len(), 0);
    Ok(())
}

/// Rules do all that rules can do: redirects and rewrites by filters of the listener, backends that are no AI.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_for_models_do_what_other_rules_do() -> Result<()> {
    let (world, _echo) = start().await?;
    let body = |model: &str| json!({"model": model, "n": 1});
    let answer = world.post("/ai/x", &[], &body("old")).await?;
    assert_eq!((answer.status, answer.header("location")), (302, Some("https://ai.example/ai/x")));
    let answer = world.post("/ai/x?c=d", &[], &body("self-hosted")).await?;
    let seen: Echo = serde_json::from_slice(&answer.body)?;
    assert_eq!((seen.path.as_str(), seen.body), ("/own?a=b&c=d", body("self-hosted").to_string()));
    assert_eq!(
        seen.headers["x-gateway-model-name"],
        ["self-hosted"],
        "a backend of one's own may want to know"
    );
    // A more specific path has precedence whatever the model.
    let answer = world.post("/ai/always", &[("x-gateway-model-name", "mine")], &body("fast")).await?;
    let seen: Echo = serde_json::from_slice(&answer.body)?;
    assert_eq!(seen.path, "/ai/always");
    assert_eq!(seen.headers["x-gateway-model-name"], ["mine"], "nothing of the request was looked at");
    assert_eq!(world.post("/plain", &[], &body("fast")).await?.status, 200);
    assert_eq!(world.a.recording().take().len(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_the_models_of_the_rules() -> Result<()> {
    let (world, _echo) = start().await?;
    let ids = |list: &Value, entries: &str, id: &str| {
        list[entries].as_array().unwrap().iter().map(|entry| entry[id].clone()).collect::<Vec<_>>()
    };
    // A rule that redirects serves no model, and an expression names none.
    let answer = world.get("/ai/v1/models?limit=10").await?;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(ids(&answer.json()?, "data", "id"), ["fast", "self-hosted"]);
    let answer = world.get("/ai/v1beta/models").await?;
    assert_eq!(ids(&answer.json()?, "models", "name"), ["models/fast", "models/self-hosted"]);
    world.post("/ai/v1/models", &[], &chat("hello")).await?;
    assert_eq!(world.a.recording().take().len(), 1, "only GET asks for the list");
    Ok(())
}

/// A listener that changes drains its connections: a route for models must not change it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_does_not_change_when_routes_for_models_come() -> Result<()> {
    let (world, _echo) = start().await?;
    let admin = world.fixture.envoy("gw")?;
    let text = admin.get("/stats?filter=listener_manager").await?.text();
    world.fixture.save(
        "objects.yaml",
        &world.fixture.read("objects.yaml")?.replace("value: fast}", "value: quick}"),
    )?;
    let body = json!({"model": "quick", "messages": [{"role": "user", "content": "hello"}]});
    e2e::http::eventually(crate::world::DEADLINE, || async {
        world.post("/ai", &[], &body).await?;
        let seen = world.a.recording().take().pop();
        anyhow::ensure!(seen.is_some_and(|seen| seen.json()["model"] == "at-fast"), "not served yet");
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(admin.get("/stats?filter=listener_manager").await?.text(), text);
    let discovery = admin.get("/stats?filter=extension_config_discovery").await?.text();
    assert!(discovery.contains("chancery.ai.config_reload: 1"), "{discovery}");
    assert!(discovery.contains("chancery.ai.update_rejected: 0"), "{discovery}");
    Ok(())
}

/// A proxy that refuses the filter of its listeners answers 500 where a route needs it; it serves all others, and the
/// status has its words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_refuses_the_engine_serves_what_does_not_need_it() -> Result<()> {
    let (world, _echo) = start().await?;
    // The module was good when it was looked at, and breaks before the proxy starts anew.
    std::fs::write(world.fixture.state().join("libchancery_ai.so"), "no module")?;
    world.fixture.envoy("gw")?.post("/quitquitquit").await?;
    let body = json!({"model": "self-hosted", "n": 1});
    e2e::http::eventually(crate::world::DEADLINE, || async {
        let answer = world.post("/plain", &[], &body).await?;
        anyhow::ensure!(answer.status == 200, "/plain answers {}", answer.status);
        anyhow::Ok(())
    })
    .await?;
    let forged = [("x-gateway-model-name", "self-hosted")];
    for (path, expected) in [("/ai/x", 500), ("/ai/always", 200), ("/plain", 200)] {
        assert_eq!(world.post(path, &forged, &body).await?.status, expected, "{path}");
    }
    assert_eq!(world.get("/ai/v1/models").await?.status, 500);
    e2e::http::eventually(crate::world::DEADLINE, || async {
        let status = world.fixture.status("Gateway default/gw").await?.to_string();
        anyhow::ensure!(status.contains("extension chancery.ai"), "{status}");
        anyhow::Ok(())
    })
    .await
}
