//! Headers that a route edits or compares.

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::http::{request, send};
use http::Method;

use super::{World, route};

/// Headers that frame messages or belong to one connection, in spellings that a server may read alike.
const FRAMING: [&str; 16] = [
    "Content-Length",
    "content-length",
    "CONTENT-LENGTH",
    "Content_Length",
    "Transfer-Encoding",
    "transfer_encoding",
    "Connection",
    "connection",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "te",
    "Trailer",
    "Upgrade",
    "UPGRADE",
    "HTTP2-Settings",
];

/// Every edit of such a header, on rules and on backends, of requests and of responses: the rule (or the
/// backend's share) answers 500, the field is named, and the other rules of the same routes serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn framing_headers_cannot_be_edited_anywhere() -> Result<()> {
    let mut documents = String::new();
    let mut expected = Vec::new();
    for (number, name) in FRAMING.iter().enumerate() {
        let mut rules = String::new();
        let mut rule = 0;
        for list in ["set", "add", "remove"] {
            for (kind, member) in [
                ("RequestHeaderModifier", "requestHeaderModifier"),
                ("ResponseHeaderModifier", "responseHeaderModifier"),
            ] {
                let entry = if list == "remove" {
                    format!("{name:?}")
                } else {
                    format!("{{name: {name:?}, value: \"3\"}}")
                };
                let filters = format!("filters: [{{type: {kind}, {member}: {{{list}: [{entry}]}}}}]");
                let path = |place: &str| format!("/{place}/{number}/{list}/{member}");
                let at_rule = path("rule");
                rules += &format!(
                    "  - matches: [{{path: {{value: {at_rule}}}}}]\n    {filters}\n    backendRefs: [{{name: echo, port: 80}}]\n"
                );
                let at_backend = path("backend");
                rules += &format!(
                    "  - matches: [{{path: {{value: {at_backend}}}}}]\n    backendRefs: [{{name: echo, port: 80, {filters}}}]\n"
                );
                expected.push((
                    number,
                    at_rule,
                    format!("spec.rules[{rule}].filters[0].{member}.{list}[0]: "),
                ));
                expected.push((
                    number,
                    at_backend,
                    format!("spec.rules[{}].backendRefs[0].filters[0].{member}.{list}[0]: ", rule + 1),
                ));
                rule += 2;
            }
        }
        rules += &format!(
            "  - matches: [{{path: {{value: /good/{number}}}}}]\n    backendRefs: [{{name: echo, port: 80}}]\n"
        );
        documents += &route(&format!("r{number}"), &rules);
    }
    let world = World::start(&documents).await?;
    let recording = world.echo.record();
    for number in 0..FRAMING.len() {
        ensure!(world.get(&format!("/good/{number}")).await?.status == 200, "{number}");
    }
    let served = world.echo.served();
    // The body is a request of its own for whoever loses count.
    let smuggled = Bytes::from_static(b"abcGET /smuggled HTTP/1.1\r\nHost: a.test\r\n\r\n");
    for (number, path, field) in &expected {
        let request = request(Method::POST, "a.test", path, &[], smuggled.clone())?;
        let answer = send(world.fixture.address(), request).await?;
        ensure!(answer.status == 500, "{} {path}: {}", FRAMING[*number], answer.status);
        let status = world.status_text(&format!("r{number}")).await?;
        ensure!(status.contains(field), "{field} in {status}");
    }
    assert_eq!(world.echo.served(), served, "no request of a broken rule reaches the backend");
    drop(recording);
    println!("{} edits refused", expected.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn host_is_set_like_any_header() -> Result<()> {
    let filter = |value: &str| {
        format!(
            "{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: Host, value: \"{value}\"}}, {{name: x-a, value: b}}]}}}}"
        )
    };
    let rules = format!(
        "  - matches: [{{path: {{value: /rule}}}}]\n    filters: [{}]\n    backendRefs: [{{name: echo, port: 80}}]\n  \
         - matches: [{{path: {{value: /backend}}}}]\n    filters: [{}]\n    backendRefs: [{{name: echo, port: 80, filters: [{}]}}]\n",
        filter("rule.test:8080"),
        filter("rule.test"),
        filter("backend.test")
    );
    let world = World::start(&route("r", &rules)).await?;
    assert_eq!(world.seen("/rule").await?.host, "rule.test:8080");
    let seen = world.seen("/backend").await?;
    assert_eq!(seen.host, "backend.test", "the backend's own is the more specific one");
    assert_eq!(seen.headers["x-a"], ["b"]);
    Ok(())
}

/// Headers that a match may not name, since the proxy takes them from every request; and neighbours of
/// theirs that pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_no_route_sees_are_those_that_a_match_may_not_name() -> Result<()> {
    let never = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "x-envoy-decorator-operation",
        "x-envoy-downstream-service-cluster",
        "x-envoy-downstream-service-node",
        "x-envoy-expected-rq-timeout-ms",
        "x-envoy-force-trace",
        "x-envoy-hedge-on-per-try-timeout",
        "x-envoy-internal",
        "x-envoy-ip-tags",
        "x-envoy-max-retries",
        "x-envoy-original-path",
        "x-envoy-original-url",
        "x-envoy-retriable-status-codes",
        "x-envoy-retry-on",
        "x-envoy-upstream-alt-stat-name",
        "x-envoy-upstream-rq-timeout-ms",
        "x-forwarded-client-cert",
    ];
    let seen = [
        "expect-ct",
        "http2-settings",
        "x-envoy-attempt",
        "x-forwarded-host",
        "x-real-ip",
        "forwarded",
        "via",
        "cookie",
        "host-x",
    ];
    let mut documents = String::new();
    let names: Vec<_> = never.iter().chain(&seen).collect();
    for (number, name) in names.iter().enumerate() {
        let rules = format!(
            "  - matches: [{{path: {{value: /n{number}}}, headers: [{{name: {name}, value: probe}}]}}]\n    \
             backendRefs: [{{name: echo, port: 80}}]\n"
        );
        documents += &route(&format!("r{number}"), &rules);
    }
    documents += &route(
        "rest",
        "  - matches: [{path: {value: /}}]\n    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: rest}]}}]\n    backendRefs: [{name: echo, port: 80}]\n",
    );
    let world = World::start(&documents).await?;
    for (number, name) in names.iter().enumerate() {
        let answer = world.ask(Method::GET, "a.test", &format!("/n{number}"), &[(name, "probe")]).await?;
        let status = world.status_text(&format!("r{number}")).await?;
        let is_refused = status.contains("matches[0].headers[0].name");
        ensure!(is_refused == never.contains(name), "{name}: {status}");
        // What is refused never reaches a route: the request falls to the rest, without the header.
        ensure!((answer.header("x-rule") == Some("rest")) == is_refused, "{name}: {}", answer.status);
        ensure!(
            !is_refused || !answer.text().contains("probe"),
            "{name} reaches the backend: {}",
            answer.text()
        );
    }
    Ok(())
}
