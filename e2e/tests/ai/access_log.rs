//! Access logs by policies (acceptance row A43), with the real Envoy: what a line holds of an AI request, also of a stream; that
//! it never holds the gateway's credential; which requests are logged; and that a bad format costs its policy alone.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::collector::Collector;
use e2e::http::eventually;
use e2e::manifests::loopback_service;
use prost::Message as _;
use proto::access_log_service::StreamAccessLogsMessage;
use proto::access_log_service::stream_access_logs_message::LogEntries;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::world::{DEADLINE, World, chat, openai, streamed};

/// The credential of the gateway.
const CANARY: &str = "canary-of-the-gateway";

/// An HTTPListenerPolicy of the Gateway with these logs.
fn policy(name: &str, logs: &Value) -> String {
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "gw"});
    let policy = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "HTTPListenerPolicy",
        "metadata": {"name": name, "namespace": "default"}, "spec": {"targetRefs": [target], "accessLog": logs}});
    format!("---\n{policy}\n")
}

/// Files that an Envoy writes.
struct Logs(TempDir);

impl Logs {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The lines of a file, once there are as many.
    async fn lines(&self, name: &str, count: usize) -> Result<Vec<String>> {
        let path = self.path(name);
        eventually(DEADLINE, || async {
            let text = read(&path)?;
            let lines: Vec<_> = text.lines().map(str::to_owned).collect();
            ensure!(lines.len() >= count, "{} lines in {}: {text}", lines.len(), path.display());
            anyhow::Ok(lines)
        })
        .await
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a43_a_line_holds_what_an_ai_request_has_come_to_and_no_credential_of_the_gateway() -> Result<()> {
    let logs = Logs(TempDir::new()?);
    let metadata = |key: &str| format!("%DYNAMIC_METADATA(ai.kgateway.io:{key})%");
    let keys = [
        "total_tokens",
        "prompt_tokens",
        "completion_tokens",
        "rate_limited_tokens",
        "model",
        "provider_model",
        "provider",
        "streaming",
    ];
    let mut format = json!({"method": "%REQ(:METHOD)%", "agent": "%REQ(User-Agent)%"});
    for key in keys {
        format[key] = json!(metadata(key));
    }
    // Each way of reading the header in which the gateway's credential goes to the provider.
    let credentials = [
        "%REQ(AUTHORIZATION)%",
        "%REQ(x-none?authorization)%",
        "%STREAM_INFO_REQ(authorization)%",
        "%REQUEST_HEADER(Authorization):40%",
    ];
    format["credentials"] = json!(credentials);
    let text = format!("{} {}", credentials.join(" "), metadata("total_tokens"));
    let sinks = json!([
        {"fileSink": {"path": logs.path("json"), "jsonFormat": format}},
        {"fileSink": {"path": logs.path("text"), "stringFormat": text}},
    ]);
    let world = World::start(&(openai(CANARY) + &policy("logs", &sinks)), &[]).await?;
    let headers = [("authorization", "Bearer of-the-client"), ("user-agent", "a-test")];
    let answer = world.post("/one/v1/chat/completions", &headers, &chat("one two three")).await?.json()?;
    let usage = &answer["usage"];
    let line: Value = serde_json::from_str(&logs.lines("json", 1).await?[0])?;
    let of_client = ["Bearer of-the-client"; 4];
    let expected = json!({
        "method": "POST", "agent": "a-test", "credentials": of_client,
        "total_tokens": usage["total_tokens"], "prompt_tokens": usage["prompt_tokens"],
        "completion_tokens": usage["completion_tokens"], "rate_limited_tokens": usage["total_tokens"],
        "model": "client-model", "provider_model": "client-model", "provider": "openai", "streaming": false,
    });
    assert!(same(&line, &expected), "{line}\nis not\n{expected}");

    let stream = streamed("one two three");
    let answer = world.post("/one/v1/chat/completions", &[], &stream).await?;
    assert_eq!(answer.status, 200);
    let line: Value = serde_json::from_str(&logs.lines("json", 2).await?[1])?;
    assert!(line["total_tokens"].as_f64() > Some(0.0) && line["streaming"] == true, "{line}");
    assert_eq!(line["credentials"], json!([null, null, null, null]), "{line}");

    let text = logs.lines("text", 2).await?;
    assert!(text[0].starts_with(&of_client.join(" ")), "{text:?}");
    assert!(text[1].starts_with("- - - - "), "{text:?}");
    // The provider has got it, so that it could have been seen.
    let sent = world.a.recording().take();
    assert!(sent.iter().all(|request| request.header("authorization") == Some(&format!("Bearer {CANARY}"))));
    for name in ["json", "text"] {
        assert!(!read(&logs.path(name))?.contains(CANARY), "{name}");
    }
    Ok(())
}

/// Numbers are equal whether they are written with a fraction or not.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| same(left, right)))
        }
        (left, right) => left == right,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a43_filters_choose_and_a_bad_format_costs_its_policy_alone() -> Result<()> {
    let logs = Logs(TempDir::new()?);
    let log = |name: &str, filter: Value| json!({"fileSink": {"path": logs.path(name), "stringFormat": "%RESPONSE_CODE% %PATH(NQ)%"}, "filter": filter});
    let sinks = json!([
        log("errors", json!({"statusCodeFilter": {"op": "GE", "value": 400}})),
        log(
            "chosen",
            json!({"andFilter": [{"headerFilter": {"header": {"name": "x-log", "value": "yes"}}}, {"notHealthCheckFilter": true}]})
        ),
        log(
            "cel",
            json!({"celFilter": {"match": "response.code == 404 && request.headers['x-log'].startsWith('y')"}})
        ),
        log("unrouted", json!({"responseFlagFilter": {"flags": ["NR"]}})),
        log(
            "all",
            json!({"orFilter": [{"durationFilter": {"op": "GE", "value": 0}}, {"traceableFilter": true}]})
        ),
    ]);
    let world = World::start(&(openai(CANARY) + &policy("a-logs", &sinks)), &[]).await?;
    assert_eq!(world.post("/one/v1/chat/completions", &[("x-log", "yes")], &chat("a")).await?.status, 200);
    assert_eq!(world.get("/none").await?.status, 404);
    assert_eq!(world.post("/nothing", &[("x-log", "yes")], &json!({})).await?.status, 404);
    logs.lines("all", 3).await?;
    let expected = [
        ("errors", vec!["404 /none", "404 /nothing"]),
        // Where a request goes to a provider, the path is the provider's when the line is written.
        ("chosen", vec!["200 /v1/chat/completions", "404 /nothing"]),
        ("cel", vec!["404 /nothing"]),
        ("unrouted", vec!["404 /none", "404 /nothing"]),
    ];
    for (name, expected) in expected {
        assert_eq!(logs.lines(name, expected.len()).await?, expected, "{name}");
    }

    // A policy that would go before it is invalid: its status says so, and the older one and the listener stay.
    let bad = json!([{"fileSink": {"path": logs.path("bad"), "jsonFormat": {"a": ["%NO_SUCH%"]}}}]);
    world.fixture.save("bad.yaml", &policy("0-bad", &bad))?;
    let told = world.told("HTTPListenerPolicy default/0-bad", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.accessLog[0].fileSink.jsonFormat.a[0]: \"NO_SUCH\""), "{told}");
    assert_eq!(world.get("/none").await?.status, 404);
    assert_eq!(logs.lines("errors", 3).await?.len(), 3);
    world.told("HTTPListenerPolicy default/a-logs", "Attached", "Attached").await?;
    // Corrected, it goes before the other, whose status says so.
    let good = json!([{"fileSink": {"path": logs.path("good"), "stringFormat": "%RESPONSE_CODE%"}}]);
    world.fixture.save("bad.yaml", &policy("0-bad", &good))?;
    let told = world.told("HTTPListenerPolicy default/a-logs", "Attached", "Overridden").await?;
    assert!(told.contains("accessLog is overridden by HTTPListenerPolicy default/0-bad"), "{told}");
    eventually(DEADLINE, || async {
        world.get("/none").await?;
        ensure!(logs.path("good").exists() && !read(&logs.path("good"))?.is_empty(), "nothing is logged");
        anyhow::Ok(())
    })
    .await
}

/// A Service of a collector on this machine.
fn collector_service(collector: &Collector) -> String {
    format!("---\n{}", loopback_service("otel", "TCP", collector.address().port()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_go_to_services_by_grpc_and_none_holds_a_credential_of_the_gateway() -> Result<()> {
    let collector = Collector::start().await?;
    let reference = json!({"name": "otel", "port": 80});
    let model = json!({"stringValue": "%DYNAMIC_METADATA(ai.kgateway.io:model)%"});
    let headers = json!({"stringValue": "%REQ(X-Team)% %REQ(authorization)%"});
    let logs = json!([
        {"grpcService": {"logName": "requests", "backendRef": reference, "authority": "logs.example",
            "initialMetadata": [{"key": "X-Tenant", "value": "blue"}],
            "additionalRequestHeadersToLog": ["X-Team", "Authorization", ":path"],
            "additionalResponseHeadersToLog": ["content-type"]},
            "filter": {"statusCodeFilter": {"op": "GE", "value": 200}}},
        {"openTelemetry": {"grpcService": {"logName": "records", "backendRef": reference},
            "body": "%RESPONSE_CODE%",
            "attributes": {"values": [{"key": "model", "value": model}, {"key": "headers", "value": headers}]},
            "resourceAttributes": {"values": [{"key": "region", "value": {"stringValue": "%eu%"}}]}}},
        // One service that is not there costs its own log alone.
        {"grpcService": {"logName": "missing", "backendRef": {"name": "missing", "port": 80}}},
    ]);
    let documents = openai(CANARY) + &policy("logs", &logs) + &collector_service(&collector);
    let world = World::start(&documents, &[]).await?;
    let told = world.told("HTTPListenerPolicy default/logs", "PartiallyInvalid", "UnsupportedValue").await?;
    ensure!(told.contains("spec.accessLog[2].grpcService.backendRef"), "{told}");
    let sent = [("x-team", "blue"), ("authorization", "Bearer of-the-client")];
    let answer = world.post("/one/v1/chat/completions", &sent, &chat("one two three")).await?;
    ensure!(answer.status == 200, "{}", answer.text());
    let record = eventually(DEADLINE, || async {
        let records = collector.records();
        records.first().cloned().with_context(|| "no record".to_owned())
    })
    .await?;
    assert_eq!(record.body, "200");
    assert_eq!(record.attributes["model"], "client-model", "{record:?}");
    assert_eq!(record.attributes["headers"], "blue Bearer of-the-client", "{record:?}");
    assert_eq!(record.resource["service.name"], "gw.default", "{record:?}");
    assert_eq!(record.resource["region"], "%eu%", "{record:?}");
    let message = eventually(DEADLINE, || async {
        let message = collector.access_logs().first().cloned().context("no log")?;
        anyhow::Ok(StreamAccessLogsMessage::decode(message)?)
    })
    .await?;
    assert_eq!(message.identifier.context("an identifier")?.log_name, "requests");
    let Some(LogEntries::HttpLogs(entries)) = message.log_entries else { anyhow::bail!("no requests") };
    let entry = entries.log_entry.first().context("an entry")?;
    let tags = &entry.common_properties.as_ref().context("properties")?.custom_tags;
    assert_eq!(tags["x-team"], "blue", "{tags:?}");
    assert_eq!(tags["authorization"], "Bearer of-the-client", "{tags:?}");
    let request = entry.request.as_ref().context("a request")?;
    assert_eq!(request.request_headers.keys().collect::<Vec<_>>(), [":path"], "{request:?}");
    let response = entry.response.as_ref().context("a response")?;
    assert_eq!(response.response_headers["content-type"], "application/json", "{response:?}");
    // The provider has got it, so that it could have been seen.
    let sent = world.a.recording().take();
    assert!(sent.iter().all(|request| request.header("authorization") == Some(&format!("Bearer {CANARY}"))));
    assert!(!collector.has_seen(CANARY));

    assert_eq!(
        collector.hosts_and_header("x-tenant"),
        [("logs.example".to_owned(), "blue".to_owned())].into()
    );

    // The service comes to be: its log begins.
    world.fixture.save("missing.yaml", &loopback_service("missing", "TCP", collector.address().port()))?;
    eventually(DEADLINE, || async {
        world.post("/one/v1/chat/completions", &[], &chat("a")).await?;
        ensure!(collector.has_seen("missing"), "nothing yet");
        anyhow::Ok(())
    })
    .await
}
