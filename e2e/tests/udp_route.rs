//! UDPRoute in a real Envoy: datagrams by weight, and those that go nowhere.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::l4::{LineBackend, say, send_datagram};
use e2e::manifests::{self, gateway_with, loopback_service};

/// UDP and TCP on one port number, and a route for TCP.
fn beside() -> String {
    let listeners = ["UDP", "TCP"]
        .map(|protocol| format!("{{name: {}, port: PORT, protocol: {protocol}}}", protocol.to_lowercase()));
    let backend = "backendRefs: [{name: three, port: 80}]";
    gateway_with("gw", "", &listeners) + &manifests::route("TCPRoute", "beside", "{name: gw}", "", backend)
}

struct World {
    fixture: Fixture,
    _backends: [LineBackend; 3],
}

impl World {
    async fn start(backends: &str) -> Result<Self> {
        let started = [
            LineBackend::datagrams("one").await?,
            LineBackend::datagrams("two").await?,
            LineBackend::connections("three", None).await?,
        ];
        let [one, two, three] = started.each_ref().map(LineBackend::port);
        let services = loopback_service("one", "UDP", one)
            + &loopback_service("two", "UDP", two)
            + &loopback_service("three", "TCP", three);
        let route = route(backends);
        let beside = beside();
        let files = [("beside.yaml", beside.as_str()), ("services.yaml", &services), ("route.yaml", &route)];
        let world = Self { fixture: Fixture::start(&files).await?, _backends: started };
        Ok(world)
    }

    async fn send(&self) -> Result<Option<String>> {
        send_datagram(self.fixture.address(), "hello").await
    }

    async fn until_answered_by(&self, identity: &str) -> Result<()> {
        eventually(DEADLINE, || async {
            let answer = self.send().await?.context("no answer")?;
            ensure!(answer == format!("{identity}: hello"), "{answer}");
            Ok(())
        })
        .await
    }
}

fn route(backends: &str) -> String {
    let rule = format!("backendRefs: [{backends}]");
    manifests::route("UDPRoute", "r", "{name: gw, sectionName: udp}", "", &rule)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_are_shared_by_weight_beside_tcp_on_the_same_number() -> Result<()> {
    let world = World::start("{name: one, port: 80, weight: 70}, {name: two, port: 80, weight: 30}").await?;
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..2000 {
        *counts.entry(world.send().await?.unwrap_or_default()).or_default() += 1;
    }
    // 70 of 100, within five points.
    assert!(counts.get("one: hello").is_some_and(|count| (1300..=1500).contains(count)), "{counts:?}");
    assert_eq!(
        counts.values().sum::<u32>(),
        counts.get("one: hello").unwrap() + counts.get("two: hello").unwrap()
    );
    assert_eq!(say(world.fixture.address(), "hello").await?, "three: hello");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_without_weight_gets_nothing_and_an_edit_is_followed() -> Result<()> {
    let world = World::start("{name: one, port: 80, weight: 0}, {name: two, port: 80, weight: 1}").await?;
    for _ in 0..50 {
        assert_eq!(world.send().await?.as_deref(), Some("two: hello"));
    }
    world.fixture.save("route.yaml", &route("{name: one, port: 80}"))?;
    world.until_answered_by("one").await?;
    world.fixture.save("route.yaml", &route("{name: nobody, port: 80}"))?;
    eventually(DEADLINE, || async {
        ensure!(world.send().await?.is_none(), "still served");
        Ok(())
    })
    .await?;
    let status = world.fixture.status("UDPRoute default/r").await?.to_string();
    assert!(status.contains("BackendNotFound"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_is_served() -> Result<()> {
    let backend = LineBackend::datagrams("dns").await?;
    let rule = format!("127.0.0.1:5353:127.0.0.1:{}", backend.port());
    let fixture = Fixture::start_example("udp", &[], &[&rule]).await?;
    let address = (fixture.ip, 8087).into();
    let answer = eventually(DEADLINE, || async { send_datagram(address, "a?").await?.context("no answer") });
    assert_eq!(answer.await?, "dns: a?");
    Ok(())
}
