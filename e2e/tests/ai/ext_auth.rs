//! External authorization before AI backends: the service sees what the client has sent, and the provider gets what it is to get.

use anyhow::{Result, ensure};
use e2e::auth_server::{AuthServer, PASS};
use e2e::manifests::loopback_service;
use serde_json::{Value, json};

use crate::world::{World, backend, chat, route, secret};

/// A backend of one provider whose body is changed, a pool, and routes that are chosen by the model, all behind a service
/// that gets the body.
fn objects(service: &AuthServer) -> String {
    let key = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let by_model = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: models, namespace: default}\nspec:\n  \
         parentRefs: [{name: gw}]\n  rules:\n  - matches: [{path: {value: /models}, headers: [{name: x-gateway-model-name, value: client-model}]}]\n    \
         backendRefs: [{name: one, group: gateway.kgateway.dev, kind: Backend}]\n";
    let policies = "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: GatewayExtension\nmetadata: {name: auth, namespace: default}\nspec:\n  \
         extAuth:\n    httpService: {backendRef: {name: auth, port: 80}, authorizationResponse: {headersToBackend: [x-user]}}\n    \
         withRequestBody: {maxRequestBytes: 100000}\n---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {name: auth, \
         namespace: default}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: gw}]\n  extAuth: {extensionRef: {name: \
         auth}}\n---\n";
    secret("key", "canary")
        + &backend("one", &format!("llm: {{provider: {{openai: {{model: model-a, {key}}}}}, HOST_A}}"))
        + &backend(
            "pool",
            &format!(
                "priorityGroups: [{{providers: [{{name: a, openai: {{model: model-a, {key}}}, HOST_A}}]}}, {{providers: [{{name: b, openai: \
                 {{model: model-b, {key}}}, HOST_B}}]}}]"
            ),
        )
        + &route("one")
        + &route("pool")
        + by_model
        + policies
        + &loopback_service("auth", "TCP", service.address().port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_is_asked_before_the_provider_with_the_clients_body() -> Result<()> {
    let service = AuthServer::start().await?;
    let world = World::start(&objects(&service), &[]).await?;
    let body = chat(&"hello there ".repeat(5_000));
    for path in ["/one/v1/chat/completions", "/pool/v1/chat/completions", "/models/v1/chat/completions"] {
        let answer = world.post(path, &[("authorization", PASS)], &body).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        let asked = service.asked().take();
        let [asked] = &asked[..] else { panic!("{path}: {asked:?}") };
        assert_eq!(asked.path(), path);
        assert!(asked.json() == body, "{path}: the service gets the body as it came");
        assert_eq!(asked.occurrences("canary"), 0, "{path}: the provider's key is not for the service");
        let provided = world.a.recording().take();
        let [provided] = &provided[..] else { panic!("{path}: {} requests", provided.len()) };
        let expected: Value = json!({"model": "model-a", "messages": body["messages"]});
        assert!(provided.json() == expected, "{path}: {}", provided.json()["model"]);
        assert_eq!(provided.header("authorization"), Some("Bearer canary"), "{path}");

        let answer = world.post(path, &[("authorization", "wrong")], &body).await?;
        assert_eq!((answer.status, answer.text().as_str()), (401, "who are you?"), "{path}");
        assert!(service.asked().take().len() == 1 && world.a.recording().take().is_empty(), "{path}");
    }
    Ok(())
}
