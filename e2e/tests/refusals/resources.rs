//! Clusters, endpoints, secrets and listeners.

use std::net::TcpListener;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::load::Load;
use e2e::manifests::{gateway, gateway_with, http_route, static_backend};

use super::{GOOD, LIMIT, UNCHECKED, good, wait_for_edit, wait_for_status};

/// Markers of what Envoy is to refuse, as `translator/src/xds/spoil.rs` knows them.
const BAD_HOST: &str = "refused.test";
const BAD_ADDRESS: &str = "192.0.2.66";
const BAD_PORT: u16 = 61_666;

/// A resource that Envoy refuses, with the objects that it comes from.
struct Case {
    name: &'static str,
    /// The objects as they are good; sent as a file of their own.
    good: String,
    /// The same, with something in it that Envoy refuses.
    bad: String,
    /// Whose status says so.
    culprit: &'static str,
    /// The host that leads there; empty if none does.
    host: &'static str,
    /// What it answers where the resource was never good.
    without: u16,
}

/// A route of its own to a backend.
fn route_to(host: &str, backend: &str) -> String {
    http_route(&format!("to-{}", host.trim_end_matches(".test")), host, &format!("backendRefs: [{backend}]"))
}

/// A Backend for whose host Envoy makes a cluster.
fn cluster(echo: &EchoBackend) -> Case {
    let backend = static_backend("cluster", echo.address());
    let route = route_to("cluster.test", "{group: gateway.kgateway.dev, kind: Backend, name: cluster}");
    let ip = echo.address().ip().to_string();
    Case {
        name: "cluster",
        bad: route.clone() + &backend.replace(&format!("host: {ip}"), &format!("host: {BAD_HOST}")),
        good: route + &backend,
        culprit: "cluster",
        host: "cluster.test",
        without: 500,
    }
}

/// A Service with one more address.
fn endpoints(echo: &EchoBackend) -> Case {
    let address = echo.address();
    let objects = |addresses: &str| {
        format!(
            "{}apiVersion: v1
kind: Service
metadata: {{name: endpoints}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: endpoints-1, labels: {{kubernetes.io/service-name: endpoints}}}}
addressType: IPv4
ports: [{{port: {}}}]
endpoints: [{addresses}]
",
            route_to("endpoints.test", "{name: endpoints, port: 80}"),
            address.port()
        )
    };
    let one = format!("{{addresses: [{}]}}", address.ip());
    Case {
        name: "endpoints",
        good: objects(&one),
        bad: objects(&format!("{one}, {{addresses: [{BAD_ADDRESS}]}}")),
        culprit: "to-endpoints",
        host: "endpoints.test",
        without: 503,
    }
}

/// The key of a provider. Its requests need the provider, so that only its status is looked at.
fn secret() -> Case {
    let objects = |key: &str| {
        format!(
            "{}apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {{name: provider}}
spec:
  type: AI
  ai: {{llm: {{provider: {{openai: {{authToken: {{kind: SecretRef, secretRef: {{name: key}}}}}}}}}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: key}}
stringData: {{Authorization: {key}}}
",
            route_to("provider.test", "{group: gateway.kgateway.dev, kind: Backend, name: provider}"),
        )
    };
    Case {
        name: "secret",
        good: objects("good-key"),
        bad: objects(&format!("sk-canary-{BAD_HOST}")),
        culprit: "provider",
        host: "",
        without: 0,
    }
}

/// One more listener.
fn listener(port: u16) -> Case {
    let with = |second: u16| {
        let listener = |name: &str, port: &str| format!("{{name: {name}, port: {port}, protocol: HTTP}}");
        gateway_with("gw", "", &[listener("http", "PORT"), listener("second", &second.to_string())])
    };
    Case { name: "listener", good: with(port), bad: with(BAD_PORT), culprit: "gw", host: "", without: 0 }
}

async fn wait_for_answer(fixture: &Fixture, host: &str, status: u16) -> Result<()> {
    eventually(DEADLINE, || async {
        let answer = get(fixture.address(), host, "/").await?;
        ensure!(answer.status == status, "{host} answers {}, not {status}", answer.status);
        anyhow::Ok(())
    })
    .await
}

/// What the slowest took.
#[derive(Debug, Default)]
struct Slowest {
    named: Duration,
    edited: Duration,
    recovered: Duration,
}

struct Trial<'a> {
    fixture: &'a Fixture,
    edit: usize,
    slowest: Slowest,
}

impl Trial<'_> {
    /// Makes objects bad, all at once, and good again; and edits a route beside them meanwhile.
    async fn run(&mut self, cases: &[&Case], was_good: bool) -> Result<()> {
        let fixture = self.fixture;
        let save = |case: &Case, content: &str| fixture.save(&format!("{}.yaml", case.name), content);
        let started = Instant::now();
        for case in cases {
            save(case, &case.bad)?;
        }
        for case in cases {
            wait_for_status(fixture, case.culprit, true).await?;
            self.slowest.named = self.slowest.named.max(started.elapsed());
        }
        self.edit += 1;
        fixture.save("edited.yaml", &good(0, self.edit))?;
        self.slowest.edited = self.slowest.edited.max(wait_for_edit(fixture, 0, self.edit).await?);
        for case in cases.iter().filter(|case| !case.host.is_empty()) {
            wait_for_answer(fixture, case.host, if was_good { 200 } else { case.without }).await?;
        }
        let started = Instant::now();
        for case in cases {
            save(case, &case.good)?;
        }
        for case in cases {
            wait_for_status(fixture, case.culprit, false).await?;
            if !case.host.is_empty() {
                wait_for_answer(fixture, case.host, 200).await?;
            }
        }
        self.slowest.recovered = self.slowest.recovered.max(started.elapsed());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_envoy_refuses_of_other_types_costs_its_cause_alone() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let backend = static_backend("echo", echo.address());
    let routes: String = (2..GOOD).map(|number| good(number, 0)).collect();
    let files = [
        ("listener.yaml", gateway("gw", "PORT")),
        ("backend.yaml", backend),
        ("routes.yaml", routes),
        ("edited.yaml", good(0, 0)),
        ("loaded.yaml", good(1, 0)),
    ];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let fixture = Fixture::start_with(&files, &[UNCHECKED]).await?;
    wait_for_edit(&fixture, 0, 0).await?;
    let rate = NonZeroU32::new(500).unwrap();
    let load =
        Load { address: fixture.address(), host: "good-1.test".into(), path: "/".into(), rate }.start()?;
    let second = TcpListener::bind((fixture.address().ip(), 0))?.local_addr()?.port();
    let cases = [cluster(&echo), endpoints(&echo), secret(), listener(second)];
    let mut trial = Trial { fixture: &fixture, edit: 0, slowest: Slowest::default() };
    // Never good before; then good, bad and good again; then two at a time.
    let alone = cases.iter().flat_map(|case| [(vec![case], false), (vec![case], true)]);
    let pairs = [[0, 1], [1, 2], [2, 3], [3, 0]].map(|pair| (pair.map(|at| &cases[at]).to_vec(), true));
    let mut tried = 0;
    for (set, was_good) in alone.chain(pairs) {
        let names: Vec<_> = set.iter().map(|case| case.name).collect();
        let outcome = trial.run(&set, was_good).await;
        outcome.with_context(|| format!("{names:?}, good before: {was_good}: {}", fixture.chancery.log()))?;
        tried += 1;
    }
    let report = load.stop().await?;
    println!(
        "{tried} trials: {:?}; {} requests, {} failed",
        trial.slowest,
        report.finished(),
        report.failed()
    );
    assert_eq!(report.failed(), 0, "{report:#?}\n{}", fixture.chancery.log());
    let Slowest { named, edited, recovered } = trial.slowest;
    for (what, took) in [("named", named), ("edited", edited), ("recovered", recovered)] {
        assert!(took < LIMIT, "{what} after {took:?}");
    }
    let told = fixture.admin("/status").await?.text() + &fixture.chancery.log();
    assert!(!told.contains("sk-canary"), "a secret is told");
    Ok(())
}
