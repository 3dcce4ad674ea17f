//! TLSRoute in a real Envoy: TLS that passes and TLS that ends here, on one port, by the server name.

use std::io::ErrorKind;
use std::sync::Arc;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::l4::{LineBackend, say_in_tls};
use e2e::manifests::{authorities, backend_tls_policy, loopback_service, route};
use e2e::provider::TestAuthority;
use rustls::ClientConfig;

const OBJECTS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: chancery
  listeners:
  - {name: passthrough, port: PORT, protocol: TLS, hostname: "*.pass.test", tls: {mode: Passthrough}}
  - {name: terminate, port: PORT, protocol: TLS, hostname: "*.end.test", tls: {mode: Terminate, certificateRefs: [{name: end}]}}
  - {name: narrow, port: PORT, protocol: TLS, hostname: foo.narrow.test, tls: {mode: Passthrough}}
---
apiVersion: v1
kind: Secret
metadata: {name: end}
type: kubernetes.io/tls
data: {tls.crt: CERTIFICATE, tls.key: PRIVATE_KEY}
"#;

/// The routes: name, parent, hosts, backend.
const ROUTES: [[&str; 4]; 6] = [
    ["passed", "{name: gw}", "a.pass.test, other.test", "secure"],
    ["broken", "{name: gw}", "broken.pass.test, broken.end.test", "nobody"],
    ["ended", "{name: gw, sectionName: terminate}", "a.end.test", "plain"],
    ["again", "{name: gw}", "again.end.test, again.pass.test", "policed"],
    ["a-wide", "{name: gw, sectionName: narrow}", "'*.narrow.test'", "nobody"],
    ["b-exact", "{name: gw, sectionName: narrow}", "foo.narrow.test", "secure"],
];

fn routes() -> String {
    let route = |[name, parent, hosts, backend]: [&str; 4]| {
        route("TLSRoute", name, parent, hosts, &format!("backendRefs: [{{name: {backend}, port: 80}}]"))
    };
    ROUTES.map(route).concat()
}

struct World {
    fixture: Fixture,
    client: Arc<ClientConfig>,
    _backends: [LineBackend; 2],
}

impl World {
    async fn start() -> Result<Self> {
        let authority = TestAuthority::generate()?;
        let names = ["a.pass.test", "b.pass.test", "again.pass.test", "foo.narrow.test"];
        let backends = [
            LineBackend::connections("secure", Some(authority.server_config(&names)?)).await?,
            LineBackend::connections("plain", None).await?,
        ];
        let [secure, plain] = backends.each_ref().map(LineBackend::port);
        let services = loopback_service("secure", "TCP", secure)
            + &loopback_service("policed", "TCP", secure)
            + &loopback_service("plain", "TCP", plain);
        let issued = authority.issue(&["*.end.test"])?;
        let objects = OBJECTS
            .replace("CERTIFICATE", &STANDARD.encode(issued.certificate_pem()))
            .replace("PRIVATE_KEY", &STANDARD.encode(issued.key_pem()));
        let policy = authorities("trusted", &authority.certificate_pem())
            + &backend_tls_policy("policed", "a.pass.test", "trusted");
        let files = [
            ("gateway.yaml", objects.as_str()),
            ("routes.yaml", &routes()),
            ("services.yaml", &services),
            ("policy.yaml", &policy),
        ];
        let fixture = Fixture::start(&files).await?;
        fixture.wait_until_bound().await?;
        Ok(Self { fixture, client: authority.client_config()?, _backends: backends })
    }

    async fn say(&self, name: &str) -> Result<String> {
        say_in_tls(self.fixture.address(), self.client.clone(), name, "hello").await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_name_chooses_who_ends_tls_and_who_answers() -> Result<()> {
    let world = World::start().await?;
    // The backend's own certificate is seen, or the listener's: the client checks it against the name.
    for (name, expected) in [
        ("a.pass.test", "secure: hello"),
        ("a.end.test", "plain: hello"),
        ("foo.narrow.test", "secure: hello"),
        // By one route: TLS that ended here begins again towards a backend with a BackendTLSPolicy, and TLS that passes is the
        // client's, and that alone.
        ("again.end.test", "secure: hello"),
        ("again.pass.test", "secure: hello"),
    ] {
        assert_eq!(world.say(name).await?, expected, "{name}");
    }
    let gateway = world.fixture.status("Gateway default/gw").await?;
    let attached = |index: usize| gateway["listeners"][index]["attachedRoutes"].as_u64();
    assert_eq!([attached(0), attached(1), attached(2)], [Some(3), Some(3), Some(2)], "{gateway:#}");
    Ok(())
}

/// By FIN or RST: neither an alert of TLS nor silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_no_route_takes_is_closed_without_a_word() -> Result<()> {
    let world = World::start().await?;
    for name in ["b.pass.test", "broken.pass.test", "other.test", "unknown.test", "b.end.test"] {
        let error = world.say(name).await.expect_err(name);
        let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let is_closed = matches!(
            kind,
            Some(ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        );
        assert!(is_closed, "{name}: {kind:?} {error:#}");
    }
    // Here the handshake is the listener's, and what comes after it is closed.
    assert!(world.say("broken.end.test").await.is_err());
    let status = world.fixture.status("TLSRoute default/broken").await?.to_string();
    assert!(status.contains("BackendNotFound"), "{status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_examples_are_served() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let client = authority.client_config()?;
    let secure =
        LineBackend::connections("secure", Some(authority.server_config(&["secure.example.com"])?)).await?;
    let rule = format!("127.0.0.1:9443:127.0.0.1:{}", secure.port());
    let fixture = Fixture::start_example("tls-passthrough", &[], &[&rule]).await?;
    let say = |port: u16, name: &'static str| {
        let (address, client) = ((fixture.ip, port).into(), client.clone());
        async move { say_in_tls(address, client, name, "hello").await }
    };
    assert_eq!(eventually(DEADLINE, || say(8088, "secure.example.com")).await?, "secure: hello");
    assert!(say(8088, "other.example.com").await.is_err());

    let mqtt = LineBackend::connections("mqtt", None).await?;
    let rule = format!("127.0.0.1:1883:127.0.0.1:{}", mqtt.port());
    let issued = authority.issue(&["mqtt.example.com"])?;
    let (certificate, key) = (STANDARD.encode(issued.certificate_pem()), STANDARD.encode(issued.key_pem()));
    let values = [("CERTIFICATE", certificate.as_str()), ("PRIVATE_KEY", key.as_str())];
    let _terminating = Fixture::start_example("tls-terminate", &values, &[&rule]).await?;
    assert_eq!(eventually(DEADLINE, || say(8089, "mqtt.example.com")).await?, "mqtt: hello");
    Ok(())
}
