//! TrafficPolicy and RouteOption through a real Envoy: enrichment, defaults, streaming by the route, merging and
//! attachment (acceptance rows A19, A27, A28, A49, A50).

use anyhow::Result;
use serde_json::{Value, json};

use crate::world::{World, backend, chat, route, secret};

const TOKEN: &str = "authToken: {kind: SecretRef, secretRef: {name: key}}";

/// A TrafficPolicy with this spec.
fn policy(name: &str, targets: &str, ai: &str) -> String {
    format!(
        "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec: {{targetRefs: [{targets}], ai: {{{ai}}}}}\n"
    )
}

/// A target that is a route.
fn to_route(name: &str) -> String {
    format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}")
}

const TO_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: gw}";

/// A Backend of each protocol, with a route.
fn backends() -> String {
    let aws = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: aws, namespace: default}\nstringData: {accessKey: AKIDEXAMPLE, secretKey: canary-aws-secret}\n";
    let bedrock = "llm: {bedrock: {auth: {type: Secret, secretRef: {name: aws}}, model: 'm'}, HOST_A}";
    let all = [
        ("openai", format!("llm: {{openai: {{{TOKEN}}}, HOST_A}}")),
        ("anthropic", format!("llm: {{anthropic: {{{TOKEN}}}, HOST_A}}")),
        ("gemini", format!("llm: {{gemini: {{{TOKEN}, model: g, apiVersion: v1beta}}, HOST_A}}")),
        ("bedrock", bedrock.to_owned()),
    ];
    let all = all.iter().map(|(name, ai)| backend(name, ai) + &route(name));
    secret("key", "canary-key") + aws + &all.collect::<String>()
}

impl World {
    /// The body that the provider gets of a request that is answered well.
    async fn body_of(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.post(path, &[], body).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        Ok(self.a.recording().take().pop().unwrap().json())
    }

    /// Waits until a policy's condition at the Gateway has this reason, and gives its message.
    pub(crate) async fn told(&self, object: &str, kind: &str, reason: &str) -> Result<String> {
        self.fixture.told(object, "/ancestors/0/conditions", kind, reason).await
    }
}

/// Claude's form of a chat.
fn claude(text: &str) -> Value {
    json!({"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

/// Gemini's form of a chat.
fn gemini(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

/// Converse's form of a chat.
fn converse(text: &str) -> Value {
    json!({"messages": [{"role": "user", "content": [{"text": text}]}]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_are_enriched_in_the_form_of_each_protocol() -> Result<()> {
    let enrichment = r#"promptEnrichment: {prepend: [{role: SYSTEM, content: "say \"yes\"\nonly"}], append: [{role: user, content: now}]}"#;
    let world = World::start(&(backends() + &policy("p", TO_GATEWAY, enrichment)), &[]).await?;
    let rule = "say \"yes\"\nonly";
    let body = world.body_of("/openai", &chat("hello")).await?;
    assert_eq!(
        body["messages"],
        json!([{"role": "system", "content": rule}, {"role": "user", "content": "hello"}, {"role": "user", "content": "now"}])
    );
    // A system prompt of the client's own stays beside it.
    let own = json!({"model": "m", "messages": [{"role": "system", "content": "json"}, {"role": "user", "content": "x"}]});
    let messages = world.body_of("/openai", &own).await?["messages"].clone();
    assert_eq!(
        (messages[0]["content"].clone(), messages[1]["content"].clone()),
        (json!(rule), json!("json"))
    );
    let body = world.body_of("/anthropic", &claude("hello")).await?;
    assert!(body["system"].to_string().contains("say "), "{body}");
    assert_eq!(body["messages"].as_array().unwrap().last().unwrap()["content"], "now", "{body}");
    let body = world.body_of("/gemini", &gemini("hello")).await?;
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], rule, "{body}");
    assert_eq!(body["contents"][1]["parts"][0]["text"], "now", "{body}");
    let body = world.body_of("/bedrock", &converse("hello")).await?;
    assert_eq!(body["system"][0]["text"], rule, "{body}");
    // Converse refuses two messages of the same role in a row.
    assert_eq!(body["messages"][0]["content"], json!([{"text": "hello"}, {"text": "now"}]), "{body}");
    Ok(())
}

/// What is absent is filled, what is there stays unless it is overridden, and types are kept. The same from both dialects.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_keep_their_types_and_yield_to_the_request() -> Result<()> {
    let option = "---\napiVersion: gateway.solo.io/v1\nkind: RouteOption\nmetadata: {name: o, namespace: default}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: option}]\n  options: {ai: {defaults: [{field: temperature, value: 0.5}, {field: stop, value: [a]}, {field: user, value: u, override: true}, {field: stream, value: false}]}}\n";
    let defaults = r#"defaults: [{field: temperature, value: "0.5"}, {field: stop, value: '["a"]'}, {field: user, value: u, override: true}, {field: stream, value: "false"}]"#;
    let objects = secret("key", "canary-key")
        + &backend("policy", &format!("llm: {{openai: {{{TOKEN}}}, HOST_A}}"))
        + &backend("option", &format!("llm: {{openai: {{{TOKEN}}}, HOST_A}}"))
        + &route("policy")
        + &route("option")
        + option
        + &policy("p", &to_route("policy"), defaults);
    let world = World::start(&objects, &[]).await?;
    for path in ["/policy", "/option"] {
        let body = world.body_of(path, &chat("hello")).await?;
        let found = json!([body["temperature"], body["stop"], body["user"], body["stream"]]);
        assert_eq!(found, json!([0.5, ["a"], "u", false]), "{path}");
        let mut own = chat("hello");
        // Values that count as nothing elsewhere are the client's word, too.
        own["temperature"] = json!(0);
        own["stop"] = json!(null);
        own["user"] = json!("client");
        let body = world.body_of(path, &own).await?;
        assert_eq!(json!([body["temperature"], body["stop"], body["user"]]), json!([0, null, "u"]), "{path}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_asks_for_streams_at_every_provider() -> Result<()> {
    let world =
        World::start(&(backends() + &policy("p", TO_GATEWAY, "routeType: CHAT_STREAMING")), &[]).await?;
    let rows = [
        ("/openai", chat("one two three"), "/v1/chat/completions"),
        ("/anthropic", claude("one two three"), "/v1/messages"),
        ("/gemini", gemini("one two three"), "/v1beta/models/g:streamGenerateContent?alt=sse"),
    ];
    for (path, body, upstream) in rows {
        let answer = world.post(path, &[], &body).await?;
        let content_type = answer.header("content-type").unwrap_or_default().to_owned();
        assert!(content_type.starts_with("text/event-stream"), "{path}: {content_type}: {}", answer.text());
        assert!(path != "/gemini" || answer.text().contains("\"STOP\""), "{}", answer.text());
        let request = world.a.recording().take().pop().unwrap();
        assert_eq!(request.path_and_query(), upstream);
        assert_eq!(
            request.json()["stream"],
            if path == "/gemini" { Value::Null } else { json!(true) },
            "{path}"
        );
    }
    Ok(())
}

/// A gateway's setting is not hidden by a route's that says something else, and each status tells who has won.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_merged_field_by_field() -> Result<()> {
    let gateway = r#"promptEnrichment: {prepend: [{role: system, content: company}]}, defaults: [{field: temperature, value: "1"}]"#;
    let own = r#"defaults: [{field: temperature, value: "0"}]"#;
    let objects =
        backends() + &policy("company", TO_GATEWAY, gateway) + &policy("own", &to_route("openai"), own);
    let world = World::start(&objects, &[]).await?;
    let body = world.body_of("/openai", &chat("hello")).await?;
    assert_eq!((&body["messages"][0]["content"], &body["temperature"]), (&json!("company"), &json!(0)));
    let body = world.body_of("/anthropic", &claude("hello")).await?;
    assert_eq!(body["temperature"], json!(1), "{body}");
    let told = world.told("TrafficPolicy default/company", "Attached", "Merged").await?;
    assert!(told.contains("ai.defaults[temperature] is overridden by TrafficPolicy default/own"), "{told}");
    world.told("TrafficPolicy default/own", "Attached", "Merged").await?;
    Ok(())
}

/// Of two destinations with the same Backend, one has a filter: its share alone is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_of_one_destination_changes_its_share_alone() -> Result<()> {
    let split = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: split, namespace: default}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n  - matches: [{path: {value: /split}}]\n    backendRefs:\n    - {name: openai, group: gateway.kgateway.dev, kind: Backend}\n    - name: openai\n      group: gateway.kgateway.dev\n      kind: Backend\n      filters: [{type: ExtensionRef, extensionRef: {group: gateway.kgateway.dev, kind: TrafficPolicy, name: p}}]\n";
    let objects = backends() + split;
    let with = |value: &str| policy("p", "", &format!("defaults: [{{field: user, value: {value}}}]"));
    let world = World::start(&(objects + &with("one")), &[]).await?;
    let mut marked = 0;
    for index in 0..60 {
        let body = world.body_of("/split", &chat(&format!("{index}"))).await?;
        marked += usize::from(body["user"] == "one");
        assert!(body["user"] == "one" || body["user"].is_null(), "{body}");
    }
    // 60 throws of a coin lie between 12 and 48 but for one time in 10^6.
    assert!((12..=48).contains(&marked), "{marked} of 60");
    Ok(())
}

/// What cannot be carried out answers 500 and says so; its neighbours are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_wants_and_cannot_have_is_refused() -> Result<()> {
    let guard = "promptGuard: {request: {moderation: {openAIModeration: {authToken: {kind: Passthrough}}}}}";
    let guarded = policy("guard", &to_route("openai"), guard);
    let broken = policy("broken", &to_route("anthropic"), "defaults: [{field: a, value: '{'}]");
    let missing = "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: missing, namespace: default}\nspec:\n  parentRefs: [{name: gw}]\n  rules:\n  - matches: [{path: {value: /missing}}]\n    filters: [{type: ExtensionRef, extensionRef: {group: gateway.kgateway.dev, kind: TrafficPolicy, name: absent}}]\n    backendRefs: [{name: gemini, group: gateway.kgateway.dev, kind: Backend}]\n";
    let world = World::start(&(backends() + &guarded + &broken + missing), &[]).await?;
    for (path, body) in [("/openai", chat("x")), ("/anthropic", claude("x")), ("/missing", gemini("x"))] {
        assert_eq!(world.post(path, &[], &body).await?.status, 500, "{path}");
    }
    assert_eq!(world.a.recording().take().len(), 0, "nothing passed");
    world.body_of("/gemini", &gemini("x")).await?;
    let told = world.told("TrafficPolicy default/guard", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.ai.promptGuard.request.moderation.openAIModeration.authToken"), "{told}");
    let told = world.told("TrafficPolicy default/broken", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.ai.defaults[0].value"), "{told}");
    Ok(())
}

/// The annotation of a route makes the translation strict.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_route_refuses_what_cannot_be_carried() -> Result<()> {
    let strict = route("gemini").replace(
        "namespace: default}",
        "namespace: default, annotations: {chancery.dev/ai-translation: strict}}",
    );
    let objects = secret("key", "canary-key")
        + &backend("gemini", &format!("llm: {{gemini: {{{TOKEN}, model: g, apiVersion: v1beta}}, HOST_A}}"))
        + &strict;
    let world = World::start(&objects, &[]).await?;
    let mut body = chat("hello");
    let answer = world.post("/gemini", &[], &body).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    body["logit_bias"] = json!({"1": 2});
    let answer = world.post("/gemini", &[], &body).await?;
    assert_eq!((answer.status, answer.json()?["error"]["param"].clone()), (400, json!("logit_bias")));
    Ok(())
}

/// Row A47.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_is_replaced_and_metrics_tell_both_names() -> Result<()> {
    let aliases = policy("aliases", &to_route("openai"), "modelAliases: {fast: gpt-3.5-turbo}");
    let world = World::start(&(backends() + &aliases), &[]).await?;
    let mut question = chat("hello there");
    question["model"] = json!("fast");
    let sent = world.body_of("/openai", &question).await?;
    assert_eq!(sent["model"], "gpt-3.5-turbo");
    let names = ["gen_ai_request_model=\"fast\"", "gen_ai_response_model=\"gpt-3.5-turbo"];
    world.counter(&[&["gen_ai_client_token_usage_count"], &names[..]].concat(), 1).await?;
    Ok(())
}
