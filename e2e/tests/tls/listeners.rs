//! Which listener a connection belongs to, and what becomes of requests for the hosts of others.

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::provider::TestAuthority;
use e2e::tls_client::{self, Http2};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use e2e::manifests::gateway_with;

use crate::world::{https, route, secret, service};

const BOTH: &[&str] = &["h2", "http/1.1"];

/// Listeners for one name, for all below it, and for every other; each has a certificate and a backend of its own.
struct Scene {
    authority: TestAuthority,
    certificates: Vec<(&'static str, e2e::provider::Issued)>,
    _backends: Vec<EchoBackend>,
    fixture: Fixture,
}

impl Scene {
    async fn start() -> Result<Self> {
        let authority = TestAuthority::generate()?;
        let names = ["a.example.test", "*.example.test", "every.test"];
        let (mut objects, mut listeners, mut certificates, mut backends) =
            (String::new(), Vec::new(), Vec::new(), Vec::new());
        for (name, (hostname, certified)) in ["one", "below", "every"].into_iter().zip([
            ("a.example.test", names[0]),
            ("*.example.test", names[1]),
            ("", names[2]),
        ]) {
            let backend = EchoBackend::start(name).await?;
            let issued = authority.issue(&[certified])?;
            objects.push_str(&secret(name, &issued));
            objects.push_str(&service(name, backend.address()));
            objects.push_str(&route(name, "gw", name, name));
            listeners.push(https(name, hostname, name));
            certificates.push((name, issued));
            backends.push(backend);
        }
        let objects = format!("{}{objects}", gateway_with("gw", "", &listeners));
        let fixture = Fixture::start(&[("all.yaml", &objects)]).await?;
        Ok(Self { authority, certificates, _backends: backends, fixture })
    }

    async fn ask(&self, server_name: &str, host: &str, protocols: &[&str]) -> Result<(u16, String, String)> {
        let config = self.authority.client(None, protocols)?;
        let answer = tls_client::get(self.fixture.address(), server_name, host, "/", &config).await?;
        let echo = answer.json().unwrap_or_default();
        let text = |field: &str| echo[field].as_str().unwrap_or_default().to_owned();
        Ok((answer.status, text("identity"), echo["headers"]["x-forwarded-proto"][0].to_string()))
    }
}

#[tokio::test]
async fn the_server_name_chooses_the_listener_and_its_certificate() -> Result<()> {
    let scene = Scene::start().await?;
    let config = scene.authority.client(None, &[])?;
    for (server_name, listener) in [
        ("a.example.test", "one"),
        ("b.example.test", "below"),
        ("A.EXAMPLE.test", "one"),
        ("every.test", "every"),
    ] {
        for protocols in [BOTH, &["http/1.1"], &[]] {
            let (status, backend, scheme) = scene.ask(server_name, server_name, protocols).await?;
            assert_eq!((status, backend.as_str()), (200, listener), "{server_name} {protocols:?}");
            assert_eq!(scheme, "\"https\"");
        }
        let shown = tls_client::certificate(scene.fixture.address(), server_name, &config).await?;
        let expected = scene.certificates.iter().find(|(name, _)| *name == listener).unwrap();
        assert!(shown == expected.1.der(), "{server_name} gets another certificate than that of {listener}");
    }
    Ok(())
}

#[tokio::test]
async fn alpn_settles_on_http_2_where_the_client_can() -> Result<()> {
    let scene = Scene::start().await?;
    for (offered, expected) in [
        (BOTH, Some("h2")),
        (&["http/1.1"][..], Some("http/1.1")),
        (&["h2"][..], Some("h2")),
        (&[][..], None),
    ] {
        let config = scene.authority.client(None, offered)?;
        let stream = tls_client::connect(scene.fixture.address(), "a.example.test", &config).await?;
        let settled =
            stream.get_ref().1.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        assert_eq!(settled.as_deref(), expected, "of {offered:?}");
    }
    Ok(())
}

#[tokio::test]
async fn requests_for_the_hosts_of_other_listeners_get_421() -> Result<()> {
    let scene = Scene::start().await?;
    let config = scene.authority.client(None, BOTH)?;
    // Three requests on each connection, as a client that reuses it.
    for (server_name, hosts) in [
        ("a.example.test", [("a.example.test", 200), ("b.example.test", 421), ("every.test", 421)]),
        ("b.example.test", [("c.example.test", 200), ("a.example.test", 421), ("example.test", 421)]),
        ("every.test", [("other.test", 200), ("a.example.test", 421), ("x.y.example.test", 421)]),
    ] {
        let stream = tls_client::connect(scene.fixture.address(), server_name, &config).await?;
        let mut connection = Http2::begin(stream).await?;
        for (host, expected) in hosts {
            let answer = connection.get(host, "/").await?;
            assert_eq!(answer.status, expected, "{host} on a connection for {server_name}");
            let with_port = connection.get(&format!("{host}:443"), "/").await?;
            assert_eq!(with_port.status, expected, "{host}:443 on a connection for {server_name}");
        }
    }
    // Also by HTTP/1.1.
    assert_eq!(scene.ask("b.example.test", "a.example.test", &[]).await?.0, 421);
    Ok(())
}

#[tokio::test]
async fn a_host_of_the_listener_without_a_route_gets_404() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let backend = EchoBackend::start("web").await?;
    let objects = [
        gateway_with(
            "gw",
            "",
            &[https("below", "*.example.test", "cert"), https("one", "a.example.test", "cert")],
        ),
        secret("cert", &authority.issue(&["*.example.test"])?),
        service("web", backend.address()),
        route("r", "gw", "below", "web").replace("  rules:", "  hostnames: [b.example.test]\n  rules:"),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    let config = authority.client(None, BOTH)?;
    for (server_name, host, expected) in [
        ("b.example.test", "b.example.test", 200),
        ("b.example.test", "c.example.test", 404),
        ("b.example.test", "a.example.test", 421),
        ("a.example.test", "a.example.test", 404),
        ("a.example.test", "b.example.test", 421),
    ] {
        let answer = tls_client::get(fixture.address(), server_name, host, "/", &config).await?;
        assert_eq!(answer.status, expected, "{host} on a connection for {server_name}");
    }
    Ok(())
}

/// Its connections are closed: they must not become connections of the wider listener. Once its Secret is there, it is
/// served, and connections of the others live on.
#[tokio::test]
async fn a_listener_without_a_certificate_costs_no_other() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let backend = EchoBackend::start("web").await?;
    let objects = [
        gateway_with(
            "gw",
            "",
            &[https("below", "*.example.test", "cert"), https("one", "a.example.test", "late")],
        ),
        secret("cert", &authority.issue(&["*.example.test"])?),
        service("web", backend.address()),
        route("r", "gw", "", "web"),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    fixture
        .told("Gateway default/gw", "/listeners/1/conditions", "ResolvedRefs", "InvalidCertificateRef")
        .await?;
    let config = authority.client(None, BOTH)?;
    let address = fixture.address();
    let refused = tls_client::connect(address, "a.example.test", &config).await;
    assert!(refused.is_err(), "a listener without a certificate does a handshake");
    let stream = tls_client::connect(address, "b.example.test", &config).await?;
    let mut kept = Http2::begin(stream).await?;
    assert_eq!(kept.get("b.example.test", "/").await?.status, 200);

    fixture.save("late.yaml", &secret("late", &authority.issue(&["a.example.test"])?))?;
    eventually(DEADLINE, || async {
        let answer = tls_client::get(address, "a.example.test", "a.example.test", "/", &config).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        anyhow::Ok(())
    })
    .await?;
    assert!(kept.is_open(), "a listener that came has closed connections of another");
    assert_eq!(kept.get("b.example.test", "/").await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn a_connection_without_tls_is_closed() -> Result<()> {
    let scene = Scene::start().await?;
    let mut stream = TcpStream::connect(scene.fixture.address()).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: every.test\r\n\r\n").await?;
    let mut answer = Vec::new();
    // An end or a reset, but no answer.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await?;
    assert_eq!(String::from_utf8_lossy(&answer), "");
    Ok(())
}
