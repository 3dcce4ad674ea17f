//! Edits under load: no request is lost, and each edit takes effect.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::load::Load;
use e2e::manifests::{gateway, static_backend};

/// The route under load in its `edit`-th form: weights, filters, backends and rules change in turn.
fn route(edit: usize) -> String {
    let reference = |name: &str, weight: usize| {
        format!("{{group: gateway.kgateway.dev, kind: Backend, name: {name}, weight: {weight}}}")
    };
    let (one, other) = if edit % 8 < 4 { ("red", "blue") } else { ("blue", "red") };
    let backends = match edit % 4 {
        0 => vec![reference(one, 1)],
        1 => vec![reference(one, 1 + edit % 7), reference(other, 1 + edit % 5)],
        2 => vec![reference(other, 3), reference(one, 0)],
        _ => vec![reference(one, 1), reference("green", 1)],
    };
    let filter = format!(
        "{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: x-edit, value: \"{edit}\"}}]}}}}"
    );
    let more = if edit.is_multiple_of(3) {
        "\n  - matches: [{path: {value: /other}}]\n    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: a.com}}]"
    } else {
        ""
    };
    let hosts =
        if edit.is_multiple_of(5) { "\n  hostnames: [load.example.com, \"*.example.com\"]" } else { "" };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: r}}
spec:
  parentRefs: [{{name: gw}}]{hosts}
  rules:{more}
  - filters: [{filter}]
    backendRefs: [{}]
",
        backends.join(", ")
    )
}

/// Another route, with a host and a backend that did not exist before.
fn new_host(edit: usize, address: SocketAddr) -> String {
    format!(
        "{}apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: new-{edit}}}
spec:
  parentRefs: [{{name: gw}}]
  hostnames: [new-{edit}.test]
  rules: [{{backendRefs: [{{group: gateway.kgateway.dev, kind: Backend, name: new-{edit}}}]}}]
",
        static_backend(&format!("new-{edit}"), address)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_edits_under_load_lose_no_request() -> Result<()> {
    const EDITS: usize = 300;
    const RATE: u32 = 500;
    let [red, blue, green] =
        [EchoBackend::start("red"), EchoBackend::start("blue"), EchoBackend::start("green")];
    let (red, blue, green) = (red.await?, blue.await?, green.await?);
    let backends = [("red", &red), ("blue", &blue), ("green", &green)];
    let backends: String = backends.iter().map(|(name, b)| static_backend(name, b.address())).collect();
    let gateway = gateway("gw", "PORT");
    let files =
        [("gateway.yaml", gateway.as_str()), ("backends.yaml", backends.as_str()), ("route.yaml", &route(0))];
    let fixture = Fixture::start(&files).await?;
    let address = fixture.address();
    let host = "load.example.com";

    let load = Load { address, host: host.into(), path: "/".into(), rate: NonZeroU32::new(RATE).unwrap() }
        .start()?;
    let mut slowest = Duration::ZERO;
    for edit in 1..=EDITS {
        let saved = Instant::now();
        fixture.save("route.yaml", &route(edit))?;
        if edit % 10 == 0 {
            // The host before goes, a new one comes, with a backend that Envoy has never heard of.
            fixture.save("new.yaml", &new_host(edit, green.address()))?;
            eventually(DEADLINE, || async {
                let answer = get(address, &format!("new-{edit}.test"), "/").await?;
                ensure!(matches!(answer.status, 200 | 404), "a new host answers {}", answer.status);
                ensure!(answer.status == 200, "the new host is not there yet");
                anyhow::Ok(())
            })
            .await?;
        }
        eventually(DEADLINE, || async {
            let answer = get(address, host, "/").await?;
            let seen = answer.header("x-edit").map(str::to_owned);
            ensure!(seen == Some(edit.to_string()), "edit {edit} is not there, {seen:?} is");
            anyhow::Ok(())
        })
        .await?;
        slowest = slowest.max(saved.elapsed());
    }
    let report = load.stop().await?;
    println!(
        "{EDITS} edits, {} requests, {} failed, {} connections, slowest answer {:?}, slowest edit {slowest:?}",
        report.finished(),
        report.failed(),
        report.connections,
        report.slowest
    );
    assert_eq!(report.failed(), 0, "{report:#?}\n{}", fixture.chancery.log());
    let expected = u64::from(RATE);
    assert!(report.finished() > expected, "only {} requests: no load", report.finished());
    Ok(())
}
