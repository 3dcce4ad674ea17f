//! The names, labels and values of metrics, as Prometheus reads them.

use anyhow::{Result, ensure};
use e2e::http::eventually;
use e2e::token::Issuer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::{DEADLINE, World, backend, chat, failing, openai, route, secret, streamed};

fn objects() -> String {
    let member = |name: &str, provider: &str, host: &str| {
        format!(
            "{{providers: [{{name: {name}, {provider}: {{model: m-{name}, authToken: {{kind: SecretRef, secretRef: {{name: key}}}}}}, {host}}}]}}"
        )
    };
    let pool = [member("a", "openai", "HOST_A"), member("b", "anthropic", "HOST_B")].join(", ");
    openai("canary") + &backend("pool", &format!("priorityGroups: [{pool}]")) + &route("pool")
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
    let body = streamed("one two three");
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
    let body = streamed("one two three");
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

/// The Gateway, which names its parameters.
const LABELLED: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  gatewayClassName: chancery
  infrastructure: {parametersRef: {group: gateway.kgateway.dev, kind: GatewayParameters, name: labelled}}
  listeners: [{name: http, port: PORT, protocol: HTTP}]
";

/// Backends whose routes may be given tokens: `kgateway` and `gloo` each in the dialect of its name, `open` takes none. The
/// Gateway's parameters have these labels.
fn labelled(issuer: &Issuer, labels: &Value) -> String {
    let document = |api: &str, kind: &str, name: &str, spec: Value| {
        let metadata = json!({"name": name, "namespace": "default"});
        format!("---\n{}\n", json!({"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}))
    };
    let target =
        |route: &str| json!([{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route}]);
    let idp = json!({"name": "idp", "issuer": "idp", "jwks": {"local": {"inline": issuer.key_set()}}});
    let extension = json!({"type": "JWT", "jwt": {"validationMode": "AllowMissing", "providers": [idp]}});
    let policy = json!({"targetRefs": target("kgateway"), "jwtAuth": {"extensionRef": {"name": "idp"}}});
    let idp = json!({"issuer": "idp", "jwks": {"local": {"key": issuer.pem()}}});
    let jwt = json!({"afterExtAuth": {"validationPolicy": "ALLOW_MISSING", "providers": {"idp": idp}}});
    let option = json!({"targetRefs": target("gloo"), "options": {"jwtProvidersStaged": jwt}});
    let parameters = json!({"kube": {"aiExtension": {"enabled": true, "stats": {"customLabels": labels}}}});
    let one = "llm: {openai: {authToken: {kind: SecretRef, secretRef: {name: key}}}, HOST_A}";
    secret("key", "canary")
        + &["kgateway", "gloo", "open"].map(|name| backend(name, one) + &route(name)).concat()
        + &document("gateway.kgateway.dev/v1alpha1", "GatewayExtension", "idp", extension)
        + &document("gateway.kgateway.dev/v1alpha1", "TrafficPolicy", "kgateway", policy)
        + &document("gateway.solo.io/v1", "RouteOption", "gloo", option)
        + &document("gateway.kgateway.dev/v1alpha1", "GatewayParameters", "labelled", parameters)
}

/// Asks one of the backends with a token of these claims, or without one.
async fn ask(world: &World, issuer: &Issuer, name: &str, claims: Option<Value>) -> Result<()> {
    let token = claims.map(|mut claims| {
        claims["iss"] = json!("idp");
        issuer.token(&claims)
    });
    let bearer = token.transpose()?.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
    let answer = world.post(&format!("/{name}/v1/chat/completions"), &headers, &chat("a")).await?;
    ensure!(answer.status == 200, "{name}: {} {}", answer.status, answer.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a42_labels_of_ones_own_have_what_tokens_say() -> Result<()> {
    let issuer = Issuer::new()?;
    let labels = json!([
        {"name": "team", "metadataNamespace": "envoy.filters.http.jwt_authn", "metadataKey": "principal:team"},
        {"name": "org", "metadataKey": "principal|https://a.example/org", "keyDelimiter": "|"},
    ]);
    let world = World::start_at(LABELLED, &labelled(&issuer, &labels), &[]).await?;
    ask(&world, &issuer, "gloo", Some(json!({"team": "dev", "https://a.example/org": "ops"}))).await?;
    ask(&world, &issuer, "kgateway", Some(json!({"team": "a \"b\"\nc\\ é", "https://a.example/org": 7})))
        .await?;
    ask(&world, &issuer, "gloo", None).await?;
    ask(&world, &issuer, "open", Some(json!({"team": "forged"}))).await?;
    let counters = ["ai_prompt_tokens_total", "ai_completion_tokens_total", "ai_rate_limited_tokens_total"];
    let series = |counter: &str, team: &str, org: &str| {
        format!("{counter}{{llm=\"openai\",model=\"client-model\",team=\"{team}\",org=\"{org}\"}} ")
    };
    let counted = eventually(DEADLINE, || async {
        let lines = lines(&world).await?;
        let of = |team: &str, org: &str| {
            counters.iter().all(|counter| {
                let series = series(counter, team, org);
                lines.iter().any(|line| line.starts_with(&series))
            })
        };
        ensure!(of("dev", "ops"), "{lines:#?}");
        ensure!(of("a \\\"b\\\"\\nc\\\\ é", "7"), "{lines:#?}");
        // Without a token, or with one that nobody has looked at.
        ensure!(of("<unknown>", "<unknown>"), "{lines:#?}");
        anyhow::Ok(lines)
    })
    .await?;
    let of_tokens = counted.iter().filter(|line| counters.iter().any(|counter| line.starts_with(counter)));
    assert_eq!(of_tokens.count(), 9, "{counted:#?}");
    for text in ["forged", "canary"] {
        assert!(!counted.iter().any(|line| line.contains(text)), "{text}: {counted:#?}");
    }
    let gen_ai = counted.iter().filter(|line| line.starts_with("gen_ai"));
    assert!(gen_ai.clone().count() > 0 && !gen_ai.clone().any(|line| line.contains("team=")), "{counted:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_ones_own_are_bounded_and_change_without_a_listener() -> Result<()> {
    let issuer = Issuer::new()?;
    let label = |name: &str| json!([{"name": name, "metadataKey": "principal:team"}]);
    let world = World::start_at(LABELLED, &labelled(&issuer, &label("team")), &[]).await?;
    let save = |labels: &Value| world.fixture.save("objects.yaml", &world.placed(&labelled(&issuer, labels)));
    let listeners = async || -> Result<String> {
        Ok(world.fixture.envoy("gw")?.get("/stats?filter=listener_manager.listener_").await?.text())
    };
    let before = listeners().await?;
    for team in 0..300 {
        ask(&world, &issuer, "gloo", Some(json!({"team": format!("{team}")}))).await?;
    }
    let found = eventually(DEADLINE, || async {
        let lines = lines(&world).await?;
        let line = "ai_label_values_crowded_out_total{label=\"team\"} 44";
        ensure!(lines.iter().any(|it| it == line), "{lines:#?}");
        anyhow::Ok(lines)
    })
    .await?;
    let teams: Vec<_> = found.iter().filter(|line| line.starts_with("ai_prompt_tokens_total{")).collect();
    assert_eq!(teams.len(), 257, "{teams:#?}");
    assert!(teams.iter().any(|line| line.contains("team=\"<other>\"")), "{teams:#?}");

    save(&label("squad"))?;
    eventually(DEADLINE, || async {
        ask(&world, &issuer, "gloo", Some(json!({"team": "dev"}))).await?;
        let lines = lines(&world).await?;
        let line = "ai_prompt_tokens_total{llm=\"openai\",model=\"client-model\",squad=\"dev\"} ";
        ensure!(lines.iter().any(|it| it.starts_with(line)), "{lines:#?}");
        anyhow::Ok(())
    })
    .await?;
    assert_eq!(listeners().await?, before, "no listener has changed");

    // A label that cannot be had is told, and requests are served and counted without it.
    save(&label("a-team"))?;
    eventually(DEADLINE, || async {
        let status = world.fixture.status("Gateway default/gw").await?.to_string();
        let told = "spec.kube.aiExtension.stats has no effect: customLabels[0].name";
        ensure!(status.contains(told), "{status}");
        ask(&world, &issuer, "gloo", Some(json!({"team": "dev"}))).await?;
        let lines = lines(&world).await?;
        let line = "ai_prompt_tokens_total{llm=\"openai\",model=\"client-model\"} ";
        ensure!(lines.iter().any(|it| it.starts_with(line)), "{lines:#?}");
        anyhow::Ok(())
    })
    .await?;
    Ok(())
}
