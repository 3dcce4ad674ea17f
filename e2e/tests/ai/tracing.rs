//! Traces by `kube.aiExtension.tracing` (acceptance row A44), with the real Envoy and a collector: spans with the attributes of
//! OpenTelemetry's conventions, in the trace of the client, without prompts and keys.

use anyhow::{Context, Result, ensure};
use e2e::collector::{Collector, Span};
use e2e::http::eventually;
use e2e::manifests::loopback_service;
use mock_llm::Knobs;
use serde_json::{Value, json};

use crate::world::{DEADLINE, World, backend, chat, failing, route, secret};

const CANARY: &str = "canary-of-the-gateway";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// GatewayParameters of the Gateway with this tracing, and backends: `one` at the first provider, `failing` at the second,
/// `pool` at the second and then at the first, `plain` at the first without the AI engine.
fn objects(group: &str, tracing: &str) -> String {
    let parameters = format!(
        "---\napiVersion: {group}/v1alpha1\nkind: GatewayParameters\nmetadata: {{name: traced, namespace: default}}\nspec: {{kube: {{aiExtension: {{enabled: true, tracing: {tracing}}}}}}}\n"
    );
    let key = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let first = format!("anthropic: {{{key}, model: the-model}}, HOST_A");
    let second = format!("openai: {{{key}, model: another-model}}, HOST_B");
    let pool = format!(
        "priorityGroups: [{{providers: [{{name: b, {second}}}]}}, {{providers: [{{name: a, {first}}}]}}]"
    );
    let plain = "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: Backend\nmetadata: {name: plain, namespace: default}\nspec: {type: Static, static: {hosts: [{HOST_A}]}}\n";
    let backends = backend("one", &format!("llm: {{{first}}}"))
        + &backend("failing", &format!("llm: {{{second}}}"))
        + &backend("pool", &pool)
        + plain;
    let routes = ["one", "failing", "pool", "plain"].map(route).concat();
    secret("key", CANARY) + &backends + &routes + &parameters
}

/// The Gateway, which names its parameters.
fn gateway(group: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: gw, namespace: default}}\nspec:\n  gatewayClassName: chancery\n  infrastructure: {{parametersRef: {{group: {group}, kind: GatewayParameters, name: traced}}}}\n  listeners: [{{name: http, port: PORT, protocol: HTTP}}]\n"
    )
}

async fn world(group: &str, tracing: &str) -> Result<World> {
    World::start_at(&gateway(group), &objects(group, tracing), &[]).await
}

/// The spans of the request with this path, as soon as the collector has all `count`: that of the request first, then those
/// of its attempts.
async fn spans(collector: &Collector, path: &str, count: usize) -> Result<Vec<Span>> {
    eventually(DEADLINE, || async {
        let all = collector.spans();
        let is_of = |span: &&Span| span.attributes.get("http.url").is_some_and(|url| url.ends_with(path));
        let request = all.iter().find(|span| is_of(span) && span.kind == "server");
        let request = request.with_context(|| format!("no span of {path} among {all:#?}"))?.clone();
        let attempts = all.into_iter().filter(|span| span.parent == request.id);
        let found: Vec<_> = [request.clone()].into_iter().chain(attempts).collect();
        ensure!(found.len() == count, "{count} expected: {found:#?}");
        Ok(found)
    })
    .await
}

/// The span has these attributes.
fn has(span: &Span, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(span.attributes.get(*name).map(String::as_str), Some(*value), "{name} of {span:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a44_spans_have_the_attributes_of_the_conventions_and_join_the_clients_trace() -> Result<()> {
    let collector = Collector::start().await?;
    let endpoint = format!("{{endpoint: 'http://{}'}}", collector.address());
    let world = world("gateway.kgateway.dev", &endpoint).await?;
    world.b.set_knobs(failing(500));
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("traceparent", traceparent.as_str()), ("authorization", "Bearer key-of-the-client")];
    let prompt = chat("a prompt that no span holds");
    let mut stream = prompt.clone();
    stream["stream"] = json!(true);
    let path = |name: &str| format!("/{name}/v1/chat/completions");
    let post = async |name: &str, body: &Value| {
        let answer = world.post(&format!("{}?key=key-in-the-query", path(name)), &headers, body).await?;
        anyhow::Ok((answer.status, answer))
    };

    // A client that has decided against a trace has none.
    let against = format!("00-{TRACE}-{PARENT}-00");
    world.post(&path("one/untraced"), &[("traceparent", &against)], &prompt).await?;
    world.a.recording().take();
    let (status, answer) = post("one", &prompt).await?;
    assert_eq!(status, 200, "{}", answer.text());
    let usage = answer.json()?["usage"].clone();
    let sent = world.a.recording().take().pop().context("a request")?;
    assert_eq!(post("one/stream", &stream).await?.0, 200);
    assert_eq!(post("failing", &prompt).await?.0, 500);
    assert_eq!(post("pool", &prompt).await?.0, 200);
    post("plain", &prompt).await?;
    // The module's own refusal.
    assert_eq!(post("one/bad", &json!([])).await?.0, 400);
    world.a.set_knobs(Knobs { cut_after: Some(1), ..Knobs::default() });
    let cut = post("one/cut", &stream).await;

    let answered = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.system", "anthropic"),
        ("gen_ai.request.model", "the-model"),
        ("gen_ai.response.model", "the-model"),
        ("gen_ai.response.finish_reasons", r#"["stop"]"#),
        ("gen_ai.usage.input_tokens", &usage["prompt_tokens"].to_string()),
        ("gen_ai.usage.output_tokens", &usage["completion_tokens"].to_string()),
        ("http.status_code", "200"),
    ];
    let refused = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "another-model"),
        ("error.type", "500"),
        ("error", "true"),
    ];
    let found = spans(&collector, &path("one"), 2).await?;
    let [request, attempt] = &found[..] else { unreachable!() };
    assert_eq!((request.trace.as_str(), request.parent.as_str()), (TRACE, PARENT));
    assert_eq!((request.service.as_str(), request.name.as_str()), ("gw.default", "ingress"));
    assert_eq!((attempt.kind, attempt.name.as_str()), ("client", "chat the-model"));
    // The provider belongs to the trace as well.
    assert_eq!(sent.header("traceparent"), Some(format!("00-{TRACE}-{}-01", attempt.id).as_str()));
    for span in &found {
        has(span, &answered);
        assert!(!span.attributes.contains_key("error.type"), "{span:#?}");
    }
    for span in &spans(&collector, &path("one/stream"), 2).await? {
        has(span, &answered);
    }
    for span in &spans(&collector, &path("failing"), 2).await? {
        has(span, &refused);
    }
    // Each attempt of a failover tells of its own provider, and the request of the one that has answered.
    let pool = spans(&collector, &path("pool"), 3).await?;
    let name = |span: &Span| span.name.clone();
    let (second, first): (Vec<_>, Vec<_>) = pool.iter().partition(|span| name(span) == "chat another-model");
    assert_eq!((second.len(), first.len()), (1, 2), "{pool:#?}");
    has(second[0], &refused);
    for span in first {
        has(span, &answered);
        assert!(!span.attributes.contains_key("error.type"), "{span:#?}");
    }
    for span in &spans(&collector, &path("plain"), 2).await? {
        let is_ai = |name: &String| name.starts_with("gen_ai") || name == "error.type";
        assert!(!span.attributes.keys().any(is_ai) && !span.name.trim().is_empty(), "{span:#?}");
    }
    has(&spans(&collector, &path("one/bad"), 2).await?[0], &[("error.type", "400")]);
    // The client of a stream that breaks off has the beginning of an answer.
    assert!(cut.is_err() || cut.is_ok_and(|(status, _)| status == 200));
    for span in &spans(&collector, &path("one/cut"), 2).await? {
        has(span, &[("gen_ai.request.model", "the-model"), ("error.type", "cut")]);
    }

    let untraced = |span: &Span| span.attributes.values().any(|value| value.contains("untraced"));
    assert!(!collector.spans().iter().any(untraced));
    for text in [CANARY, "key-of-the-client", "key-in-the-query", "a prompt that no span holds"] {
        assert!(!collector.has_seen(text), "{text}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a44_gloos_shape_http_samplers_a_collector_that_is_away_and_what_cannot_be_done() -> Result<()> {
    let collector = Collector::start().await?;
    let (host, port) = (collector.address().ip(), collector.address().port());
    let world =
        world("gateway.gloo.solo.io", &format!("{{grpc: {{host: '{host}', port: {port}}}, insecure: true}}"))
            .await?;
    let path = |name: &str| format!("/one/{name}/v1/chat/completions");
    let post = async |name: &str, headers: &[(&str, &str)]| {
        let answer = world.post(&path(name), headers, &chat("a")).await?;
        ensure!(answer.status == 200, "{name}: {}", answer.text());
        anyhow::Ok(())
    };
    let save = |tracing: &str| {
        world.fixture.save("objects.yaml", &world.placed(&objects("gateway.gloo.solo.io", tracing)))
    };
    // A request once all of Envoy has the configuration by which such requests are traced, or are not.
    let until = async |name: &str, headers: &[(&str, &str)], is_traced: bool| {
        eventually(DEADLINE, || async {
            world.a.recording().take();
            for _ in 0..4 {
                post("changing", headers).await?;
            }
            for sent in world.a.recording().take() {
                let flags = sent.header("traceparent").and_then(|parent| parent.rsplit('-').next());
                ensure!((flags == Some("01")) == is_traced, "{flags:?}");
            }
            anyhow::Ok(())
        })
        .await?;
        post(name, headers).await
    };
    post("gloo", &[]).await?;
    assert_eq!(spans(&collector, &path("gloo"), 2).await?[0].parent, "");

    // The sampler decides, whatever the client wants; parent-based, the client does.
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let wanted = [("traceparent", traceparent.as_str())];
    let endpoint = format!("endpoint: 'http://{host}:{port}', protocol: http/protobuf");
    save(&format!("{{{endpoint}, sampler: {{type: alwaysOff}}}}"))?;
    until("off", &wanted, false).await?;
    save(&format!("{{{endpoint}, sampler: {{type: parentbased_always_off}}}}"))?;
    until("http", &wanted, true).await?;
    until("silent", &[], false).await?;
    spans(&collector, &path("http"), 2).await?;

    // A collector that is away costs no request.
    save("{endpoint: 'http://127.0.0.1:9'}")?;
    until("away", &[], true).await?;
    for _ in 0..20 {
        post("away", &[]).await?;
    }
    save("{endpoint: 'http://collector.invalid'}")?;
    until("nowhere", &wanted, true).await?;

    save(&format!("{{endpoint: 'http://{host}:{port}', protocol: http/json}}"))?;
    eventually(DEADLINE, || async {
        let status = world.fixture.status("Gateway default/gw").await?.to_string();
        let told = "spec.kube.aiExtension.tracing has no effect: protocol: http/json";
        ensure!(status.contains(told), "{status}");
        anyhow::Ok(())
    })
    .await?;
    post("unsupported", &[]).await?;
    for name in ["off", "silent", "away", "nowhere", "unsupported"] {
        assert!(!collector.has_seen(&path(name)), "{name}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_has_spans_sent_in_place_of_the_gateways_parameters() -> Result<()> {
    let (collector, of_parameters) = (Collector::start().await?, Collector::start().await?);
    let group = "gateway.kgateway.dev";
    let policy = |sampling: Value| {
        let service = json!({"backendRef": {"name": "otel", "port": 80}, "timeout": "5s"});
        let header = |name: &str| json!({"name": name, "defaultValue": "50% none"});
        let mut tracing = json!({
            "provider": {"openTelemetry": {"grpcService": service, "serviceName": "the-gateway",
                "resourceDetectors": [{"environmentResourceDetector": {}}]}},
            "spawnUpstreamSpan": true,
            "maxPathTagLength": 9,
            "attributes": [
                {"name": "literal", "literal": {"value": "a text"}},
                {"name": "home", "environment": {"name": "NO_SUCH_VARIABLE", "defaultValue": "nowhere"}},
                {"name": "team", "requestHeader": header("X-Team")},
                {"name": "absent", "requestHeader": header("X-Absent")},
                {"name": "key", "requestHeader": {"name": "Authorization"}},
                {"name": "prompt", "metadata": {"kind": "Request", "metadataKey":
                    {"key": "ai.kgateway.io", "path": [{"key": "prompt_tokens"}]}, "defaultValue": "0"}},
            ],
        });
        tracing["randomSampling"] = sampling;
        let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"});
        let policy = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "HTTPListenerPolicy",
            "metadata": {"name": "traces", "namespace": "default"},
            "spec": {"targetRefs": [target], "tracing": tracing}});
        format!("---\n{policy}\n---\n{}", loopback_service("otel", "TCP", collector.address().port()))
    };
    let objects = objects(group, &format!("{{endpoint: 'http://{}'}}", of_parameters.address()));
    let start = objects.clone() + &policy(json!(100));
    let world = World::start_at(&gateway(group), &start, &[]).await?;
    let headers = [("x-team", "blue"), ("authorization", "Bearer key-of-the-client")];
    let answer = world.post("/one/v1/chat/completions?key=in-the-query", &headers, &chat("a")).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let found = spans(&collector, "/one/v1/c", 2).await?;
    let usage = answer.json()?["usage"]["prompt_tokens"].to_string();
    let expected = [
        ("literal", "a text"),
        ("home", "nowhere"),
        ("team", "blue"),
        ("absent", "50% none"),
        ("key", "Bearer key-of-the-client"),
        ("gen_ai.request.model", "the-model"),
        ("http.status_code", "200"),
    ];
    for span in &found {
        has(span, &expected);
        assert_eq!(span.service, "the-gateway", "{span:#?}");
    }
    assert!(found[0].attributes["prompt"].starts_with(&usage), "{found:#?}");
    assert!(found[0].attributes["http.url"].ends_with("/one/v1/c"), "{found:#?}");
    assert!(!collector.has_seen(CANARY) && !collector.has_seen("in-the-query"));
    let told = world.told("HTTPListenerPolicy default/traces", "Attached", "Attached").await?;
    ensure!(told.contains("its tracing goes before kube.aiExtension.tracing"), "{told}");

    // Without the policy, the parameters have their effect.
    world.fixture.save("objects.yaml", &world.placed(&objects))?;
    eventually(DEADLINE, || async {
        world.post("/one/after", &headers, &chat("a")).await?;
        ensure!(of_parameters.has_seen("/one/after"), "nothing yet");
        anyhow::Ok(())
    })
    .await?;
    assert!(!of_parameters.has_seen("/one/v1/chat"));
    // No share: no trace but those that clients ask for.
    world.fixture.save("objects.yaml", &world.placed(&(objects + &policy(json!(0)))))?;
    eventually(DEADLINE, || async {
        world.a.recording().take();
        for _ in 0..4 {
            world.post("/one/silent", &[], &chat("a")).await?;
        }
        let flags = |sent: &str| sent.rsplit('-').next().map(str::to_owned);
        for sent in world.a.recording().take() {
            let flags = sent.header("traceparent").and_then(flags);
            ensure!(flags.as_deref() != Some("01"), "{flags:?}");
        }
        anyhow::Ok(())
    })
    .await
}
