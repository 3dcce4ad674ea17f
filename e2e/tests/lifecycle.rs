//! The life of `chancery run`: addresses, ports that cannot be had, Envoys that die, and the end.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::echo::{DELAY_HEADER, EchoBackend};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get, request, send};
use e2e::manifests;
use http::Method;

/// A Gateway with a route of its own to an echo backend.
fn gateway(name: &str, port: &str, echo: SocketAddr) -> String {
    let route = format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: {name}}}]
  rules: [{{backendRefs: [{{group: gateway.kgateway.dev, kind: Backend, name: {name}}}]}}]
"
    );
    manifests::gateway(name, port) + &manifests::static_backend(name, echo) + &route
}

/// The condition of a type of a Gateway, and of its first listener.
async fn conditions(fixture: &Fixture, name: &str, kind: &str) -> Result<(String, String)> {
    let status = fixture.status(&format!("Gateway default/{name}")).await?;
    let find = |list: &serde_json::Value| {
        let found = list.as_array().into_iter().flatten().find(|condition| condition["type"] == kind);
        found.map_or_else(String::new, |c| format!("{} {} {}", c["status"], c["reason"], c["message"]))
    };
    Ok((find(&status["conditions"]), find(&status["listeners"][0]["conditions"])))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_on_one_port_get_two_loopback_addresses() -> Result<()> {
    let (one, two) = (EchoBackend::start("one").await?, EchoBackend::start("two").await?);
    let files =
        [("b.yaml", gateway("b", "PORT", two.address())), ("a.yaml", gateway("a", "PORT", one.address()))];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let fixture = Fixture::start(&files).await?;
    for (last, identity) in [(1, "one"), (2, "two")] {
        let address = (IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), fixture.port).into();
        let answer = get(address, "x.test", "/").await?;
        assert_eq!(answer.json()?["identity"], identity, "{address}");
    }
    assert!(fixture.chancery.log().contains("http://127.0.0.2:"), "{}", fixture.chancery.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_bind_the_second_gateway_on_a_port_is_told_so() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let files =
        [("a.yaml", gateway("a", "PORT", echo.address())), ("b.yaml", gateway("b", "PORT", echo.address()))];
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let fixture = Fixture::start_with(&files, &["--bind", "127.0.0.1"]).await?;
    assert_eq!(get(fixture.address(), "x.test", "/").await?.status, 200);
    let (gateway, listener) = conditions(&fixture, "b", "Programmed").await?;
    assert!(gateway.contains("False") && gateway.contains("AddressNotUsable"), "{gateway}");
    assert!(listener.contains("False") && listener.contains("default/a"), "{listener}");
    let (_, listener) = conditions(&fixture, "b", "Accepted").await?;
    assert!(listener.contains("PortUnavailable"), "{listener}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_another_program_has_is_reported_and_tried_again_and_the_rest_serves() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let other = taken.local_addr()?;
    let text = gateway("a", "PORT", echo.address());
    let fixture = Fixture::start(&[("a.yaml", &text)]).await?;
    let own = "protocol: HTTP}\n";
    let both =
        text.replace(own, &format!("{own}  - {{name: other, port: {}, protocol: HTTP}}\n", other.port()));
    assert_ne!(text, both);
    fixture.save("a.yaml", &both)?;
    let readiness = async || anyhow::Ok(fixture.admin("/readyz").await?);
    eventually(DEADLINE, || async {
        ensure!(get(fixture.address(), "x.test", "/").await?.status == 200, "not served");
        let status = fixture.status("Gateway default/a").await?.to_string();
        ensure!(status.contains("RejectedByProxy") && status.contains("tries again"), "{status}");
        let ready = readiness().await?;
        ensure!(ready.status == 503 && ready.text().contains(&other.to_string()), "{}", ready.text());
        anyhow::Ok(())
    })
    .await?;
    drop(taken);
    eventually(DEADLINE, || async {
        ensure!(get(other, "x.test", "/").await?.status == 200, "the port is free, and not served");
        ensure!(readiness().await?.status == 200, "not ready");
        let status = fixture.status("Gateway default/a").await?.to_string();
        ensure!(!status.contains("RejectedByProxy"), "{status}");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_envoy_that_dies_is_started_again() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let fixture = Fixture::start(&[("a.yaml", &gateway("a", "PORT", echo.address()))]).await?;
    fixture.envoy("a")?.post("/quitquitquit").await?;
    eventually(DEADLINE, || async {
        let log = fixture.chancery.log();
        ensure!(log.contains("Envoy ended") || log.contains("exited"), "its end is not reported");
        ensure!(get(fixture.address(), "x.test", "/").await?.status == 200, "not served");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_lets_requests_finish_and_leaves_no_envoy_behind() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let recording = echo.record();
    let mut fixture = Fixture::start(&[("a.yaml", &gateway("a", "PORT", echo.address()))]).await?;
    let address = fixture.address();
    let slow = request(Method::GET, "x.test", "/", &[(DELAY_HEADER, "1500")], bytes::Bytes::new())?;
    let slow = tokio::spawn(send(address, slow));
    recording.wait_for(1, DEADLINE).await?;
    let asked = Instant::now();
    let status = fixture.chancery.stop(DEADLINE).await?;
    assert!(status.success(), "{status}\n{}", fixture.chancery.log());
    assert!(asked.elapsed() >= Duration::from_millis(500), "it did not wait for the request");
    assert_eq!(slow.await??.status, 200, "the request that was under way got its answer");
    assert!(get(address, "x.test", "/").await.is_err(), "an Envoy is still there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_chancery_takes_its_envoys_with_it() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let mut fixture = Fixture::start(&[("a.yaml", &gateway("a", "PORT", echo.address()))]).await?;
    let address = fixture.address();
    fixture.chancery.process().signal(rustix::process::Signal::KILL)?;
    eventually(DEADLINE, || async {
        ensure!(get(address, "x.test", "/").await.is_err(), "an Envoy is still there");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_comes_and_goes_with_its_file() -> Result<()> {
    let echo = EchoBackend::start("echo").await?;
    let fixture = Fixture::start(&[("a.yaml", &gateway("a", "PORT", echo.address()))]).await?;
    let second: SocketAddr = (Ipv4Addr::new(127, 0, 0, 2), fixture.port).into();
    fixture.save("b.yaml", &gateway("b", "PORT", echo.address()))?;
    eventually(DEADLINE, || async {
        ensure!(get(second, "x.test", "/").await?.status == 200, "not served");
        anyhow::Ok(())
    })
    .await?;
    fixture.delete("b.yaml")?;
    eventually(DEADLINE, || async {
        ensure!(get(second, "x.test", "/").await.is_err(), "still served");
        Ok(())
    })
    .await?;
    assert_eq!(get(fixture.address(), "x.test", "/").await?.status, 200);
    Ok(())
}
