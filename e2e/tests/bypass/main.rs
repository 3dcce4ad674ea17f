//! Requests that try to get round a rule: a guarded path, host, header or method in forms that a proxy and
//! a server may read differently, over HTTP/1.1 and HTTP/2, written byte by byte.
//!
//! Two backends stand behind the real Envoy: `guard`, to which the guarded requests are to go, and `open`,
//! which gets everything else. What must hold for every request that `open` receives: as it was forwarded,
//! it is none of the guarded ones ([`oracle`]). A request that is refused reaches neither.
//!
//! `CHANCERY_CASES` multiplies the number of generated requests, `CHANCERY_SEED` sets the seed.

mod generated;
mod http1;
mod http2;
mod oracle;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::manifests::{gateway, loopback_service};
use e2e::recording::{RecordedRequest, Recording};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Tells the requests of one case from those of others.
const CASE: &str = "x-case";

const ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: host}
spec:
  parentRefs: [{name: gw}]
  hostnames: [admin.test]
  rules: [{backendRefs: [{name: guard, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: rules}
spec:
  parentRefs: [{name: gw}]
  rules:
  - matches:
    - path: {value: /admin}
    - path: {type: Exact, value: /exact}
    - headers: [{name: x-guard, value: "yes"}]
    - method: PATCH
    backendRefs: [{name: guard, port: 80}]
  - backendRefs: [{name: open, port: 80}]
"#;

/// Where a case's requests ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At the guarded backend.
    Guard,
    /// At the open one.
    Open,
    /// At none: refused, redirected or answered by the proxy.
    Nowhere,
}

struct World {
    fixture: Fixture,
    _backends: [EchoBackend; 2],
    guard: Recording,
    open: Recording,
}

impl World {
    async fn start() -> Result<Arc<Self>> {
        let (guard, open) = (EchoBackend::start("guard").await?, EchoBackend::start("open").await?);
        let backends = gateway("gw", "PORT")
            + &loopback_service("guard", "TCP", guard.address().port())
            + &loopback_service("open", "TCP", open.address().port());
        let fixture = Fixture::start(&[("all.yaml", ROUTES), ("backends.yaml", &backends)]).await?;
        let recordings = (guard.record(), open.record());
        Ok(Arc::new(Self { fixture, _backends: [guard, open], guard: recordings.0, open: recordings.1 }))
    }

    /// Sends bytes over a connection of their own; gives what comes back until the proxy closes, or is
    /// silent.
    async fn exchange(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.fixture.address()).await?;
        // The proxy may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let silence = Duration::from_millis(400);
        // What waits for more of a request is silent; everything else is answered at once.
        while let Ok(Ok(1..)) = tokio::time::timeout(silence, stream.read_buf(&mut answer)).await {}
        Ok(answer)
    }

    /// Where the requests of a case ended, after the rule has been checked for all that `open` got.
    fn end_of(&self, case: &str) -> Result<End> {
        let is_case = |request: &&Arc<RecordedRequest>| request.header_values(CASE).contains(&case);
        let (guard, open) = (self.guard.all(), self.open.all());
        match (guard.iter().find(is_case), open.iter().find(is_case)) {
            (None, None) => Ok(End::Nowhere),
            (Some(_), None) => Ok(End::Guard),
            (None, Some(_)) => Ok(End::Open),
            (Some(_), Some(_)) => anyhow::bail!("case {case}: a request reached both backends"),
        }
    }

    /// Holds every request that `open` got so far against the rules.
    fn check_open(&self) -> Result<()> {
        for request in self.open.all() {
            if let Some(rule) = oracle::guarded_by(&request) {
                anyhow::bail!("{rule} was got round: {request:?} {:?}", request.header_values(CASE));
            }
        }
        Ok(())
    }
}

/// Sends every case at the same time and compares where each ended, and with which status.
async fn run(world: &Arc<World>, cases: Vec<Case>) -> Result<()> {
    let tasks: Vec<_> = cases
        .into_iter()
        .enumerate()
        .map(|(number, case)| {
            let world = world.clone();
            tokio::spawn(async move {
                let name = format!("{}-{number}", case.family);
                let answer = world.exchange(&(case.bytes)(&name)).await?;
                let end = world.end_of(&name)?;
                let status = (case.family == "http1").then(|| http1::status(&answer));
                ensure!(
                    end == case.end && status.is_none_or(|status| case.status.contains(&status)),
                    "{}: ended {end:?} with {status:?}, expected {:?} with {:?}",
                    case.what,
                    case.end,
                    case.status
                );
                anyhow::Ok(())
            })
        })
        .collect();
    let mut wrong = Vec::new();
    for task in tasks {
        wrong.extend(task.await.context("a case")?.err().map(|error| format!("{error:#}")));
    }
    world.check_open()?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What is sent, made from the name of the case.
type Bytes = Box<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// One request, or several in one, and what is expected of it.
struct Case {
    /// `http1` or `http2`.
    family: &'static str,
    what: String,
    /// The bytes, with the name of the case in them.
    bytes: Bytes,
    end: End,
    /// The statuses of HTTP/1.1 that are possible, 0 for a connection that is closed without one or waits for more; not looked at for
    /// HTTP/2.
    status: &'static [u16],
}
