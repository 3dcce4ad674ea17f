//! Passwords and API keys before AI backends whose route is chosen by the model.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::world::{World, backend, secret};

/// A route for a model.
fn route(model: &str) -> String {
    format!(
        "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: {model}, namespace: default}}\nspec:\n  \
         parentRefs: [{{name: gw}}]\n  rules:\n  - matches: [{{path: {{value: /models}}, headers: [{{name: x-gateway-model-name, value: \
         {model}}}]}}]\n    backendRefs: [{{name: one, group: gateway.kgateway.dev, kind: Backend}}]\n"
    )
}

fn policy(model: &str, members: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {model}, namespace: default}}\nspec:\n  \
         targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {model}}}]\n  {members}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_model_asks_for_its_own_credentials_and_the_provider_gets_none_of_them() -> Result<()> {
    let objects = secret("key", "canary")
        + &backend(
            "one",
            "llm: {provider: {openai: {model: model-a, authToken: {kind: SecretRef, secretRef: {name: key}}}}, HOST_A}",
        )
        + &route("open")
        + &route("keyed")
        + &route("named")
        + &policy("keyed", "apiKeyAuth: {secretRef: {name: clients}, keySources: [{header: authorization}]}")
        // alice-pass
        + &policy("named", "basicAuth: {users: ['alice:{SHA}4yvU2nDIjg+qQ04AgGsx1Egh63I=']}")
        + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: clients, namespace: default}\nstringData: {bob: key-of-bob}\n---\n";
    let world = World::start(&objects, &[]).await?;
    let (alice, bob) = ("Basic YWxpY2U6YWxpY2UtcGFzcw==", "Bearer key-of-bob");
    for (model, shown, status) in [
        ("open", "", 200),
        ("open", "Basic bm9ib2R5Om5vYm9keQ==", 200),
        ("open", "Bearer nothing", 200),
        ("keyed", "", 401),
        ("keyed", alice, 401),
        ("keyed", "Bearer nothing", 401),
        ("keyed", bob, 200),
        ("named", "", 401),
        ("named", bob, 401),
        ("named", alice, 200),
    ] {
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        let headers: &[(&str, &str)] = if shown.is_empty() { &[] } else { &[("authorization", shown)] };
        let answer = world.post("/models/v1/chat/completions", headers, &body).await?;
        ensure!(answer.status == status, "{model} {shown}: {} {}", answer.status, answer.text());
        let provided = world.a.recording().take();
        match &provided[..] {
            [] => ensure!(status != 200, "{model} {shown}: the provider was not asked"),
            [provided] => {
                ensure!(status == 200, "{model} {shown}: the provider was asked");
                assert_eq!(provided.header("authorization"), Some("Bearer canary"), "{model} {shown}");
            }
            more => panic!("{model} {shown}: {} requests", more.len()),
        }
    }
    Ok(())
}
