//! ListenerSets in a real Envoy: what they add to a Gateway is served as long as the Gateway takes it.

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::manifests::loopback_service;

/// Two listeners on one port, of which a ListenerSet has added one, and a route that only that one has. Both listeners
/// have the same name.
const OBJECTS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: chancery
  allowedListeners: {namespaces: {from: ALLOWED}}
  listeners:
  - {name: http, port: PORT, protocol: HTTP, hostname: own.test}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more}
spec:
  parentRef: {name: gw}
  listeners:
  - {name: http, port: PORT, protocol: HTTP, hostname: "*.set.test"}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: of-set}
spec:
  parentRefs: [{kind: ListenerSet, name: more}]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
"#;

async fn expect(fixture: &Fixture, host: &str, status: u16) -> Result<()> {
    let answer = get(fixture.address(), host, "/").await?;
    ensure!(answer.status == status, "{host}: {}", answer.status);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_serves_the_listeners_that_it_lets_a_listener_set_add() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let objects = |allowed: &str| OBJECTS.replace("ALLOWED", allowed);
    let service = loopback_service("echo", "TCP", echo.address().port());
    let fixture = Fixture::start(&[("all.yaml", &objects("Same")), ("service.yaml", &service)]).await?;
    for (host, status) in [("a.set.test", 200), ("own.test", 404), ("other.test", 404)] {
        expect(&fixture, host, status).await?;
    }
    fixture.save("all.yaml", &objects("None"))?;
    eventually(DEADLINE, || expect(&fixture, "a.set.test", 404)).await?;
    fixture.save("all.yaml", &objects("All"))?;
    eventually(DEADLINE, || expect(&fixture, "a.set.test", 200)).await?;
    Ok(())
}
