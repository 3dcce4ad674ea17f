//! Without the module, what needs it answers 500 and says why; everything else is served.

use anyhow::Result;
use serde_json::json;

use crate::world::{World, backend, chat, route, secret};

fn objects() -> String {
    let key = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    secret("key", "canary")
        + &backend("plain", &format!("llm: {{openai: {{{key}}}, HOST_A}}"))
        + &route("plain")
        + &backend("model", &format!("llm: {{openai: {{{key}, model: m}}, HOST_A}}"))
        + &route("model")
        + &backend(
            "pool",
            &format!(
                "priorityGroups: [{{providers: [{{openai: {{{key}}}, HOST_A}}]}}, {{providers: [{{openai: {{{key}}}, HOST_B}}]}}]"
            ),
        )
        + &route("pool")
        + "---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: by-model, namespace: default}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches: [{path: {value: /by-model}, headers: [{name: x-gateway-model-name, value: m}]}]
    backendRefs: [{name: plain, group: gateway.kgateway.dev, kind: Backend}]
  - matches: [{path: {value: /by-model/other}}]
    backendRefs: [{name: plain, group: gateway.kgateway.dev, kind: Backend}]
"
}

async fn assert_degraded(world: &World, words: &str) -> Result<()> {
    let answer = world.post("/plain", &[], &chat("hello")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.a.recording().take().pop().unwrap().json(), chat("hello"));
    for name in ["model", "pool"] {
        assert_eq!(world.post(&format!("/{name}"), &[], &chat("hello")).await?.status, 500, "{name}");
        let condition = world.condition(&format!("Backend default/{name}"), "Accepted").await?;
        assert_eq!(
            (&condition["status"], &condition["reason"]),
            (&json!("False"), &json!("AiEngineUnavailable"))
        );
        assert!(condition["message"].as_str().unwrap().contains(words), "{condition}");
    }
    // A rule for a model takes the requests that it may mean, whatever the client says of the model.
    let forged = [("x-gateway-model-name", "m")];
    for headers in [&[][..], &forged] {
        assert_eq!(world.post("/by-model", headers, &chat("hello")).await?.status, 500);
    }
    let status = world.fixture.status("HTTPRoute default/by-model").await?;
    let conditions = status["parents"][0]["conditions"].as_array().unwrap();
    let partial = conditions.iter().find(|condition| condition["type"] == "PartiallyInvalid").unwrap();
    assert_eq!(partial["reason"], "AiEngineUnavailable");
    assert!(partial["message"].as_str().unwrap().contains(words), "{partial}");
    assert_eq!(
        (world.a.recording().take().len(), world.b.recording().take().len()),
        (0, 0),
        "nothing passed"
    );
    assert_eq!(world.post("/by-model/other", &[], &chat("hello")).await?.status, 200);
    world.a.recording().take();
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_no_engine_is_served_without_it() -> Result<()> {
    let world = World::start(&objects(), &["--ai-module", "off"]).await?;
    assert_degraded(&world, "--ai-module off has turned it off").await
}

/// A module that says that it is the right one, and that Envoy cannot load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_module_that_cannot_be_loaded_is_as_good_as_none() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let broken = folder.path().join("broken.so");
    let mut bytes = std::fs::read(e2e::scenario::ai_module()?)?;
    // The magic number of the file, which the loader looks at first.
    bytes[1] = b'X';
    std::fs::write(&broken, bytes)?;
    let world = World::start(&objects(), &["--ai-module", broken.to_str().unwrap()]).await?;
    assert_degraded(&world, "Envoy does not load").await
}
