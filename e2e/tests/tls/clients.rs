//! Certificates of clients: who is let in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::provider::TestAuthority;
use e2e::tls_client;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};

use e2e::manifests::{authorities, gateway_with};

use crate::world::{https, route, secret, service};

const HOST: &str = "a.example.test";

struct Scene {
    servers: TestAuthority,
    clients: TestAuthority,
    _backend: EchoBackend,
    fixture: Fixture,
}

impl Scene {
    async fn start(mode: &str) -> Result<Self> {
        let (servers, clients) = (TestAuthority::generate()?, TestAuthority::generate()?);
        let backend = EchoBackend::start("web").await?;
        let spec = format!(
            "  tls:\n    frontend:\n      default: {{validation: {{caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: clients}}], mode: {mode}}}}}\n"
        );
        let objects = [
            gateway_with("gw", &spec, &[https("https", HOST, "cert")]),
            secret("cert", &servers.issue(&[HOST])?),
            authorities("clients", &clients.certificate_pem()),
            service("web", backend.address()),
            route("r", "gw", "", "web"),
        ];
        let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
        Ok(Self { servers, clients, _backend: backend, fixture })
    }

    async fn status(&self, config: &Arc<ClientConfig>) -> Result<u16> {
        Ok(tls_client::get(self.fixture.address(), HOST, HOST, "/", config).await?.status)
    }
}

/// A client that is asked for a certificate, has none, and remembers that it was asked.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn only_clients_with_a_valid_certificate_are_let_in() -> Result<()> {
    let scene = Scene::start("AllowValidOnly").await?;
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let valid = scene.servers.client(Some(&scene.clients.issue(&["client.test"])?), protocols)?;
        assert_eq!(scene.status(&valid).await?, 200);
        let strange =
            scene.servers.client(Some(&TestAuthority::generate()?.issue(&["client.test"])?), protocols)?;
        assert!(scene.status(&strange).await.is_err(), "a certificate of another authority is taken");
        let none = scene.servers.client(None, protocols)?;
        assert!(scene.status(&none).await.is_err(), "no certificate is needed");
    }
    Ok(())
}

#[tokio::test]
async fn in_the_fallback_mode_every_client_is_asked_and_let_in() -> Result<()> {
    let scene = Scene::start("AllowInsecureFallback").await?;
    scene
        .fixture
        .told("Gateway default/gw", "/conditions", "InsecureFrontendValidationMode", "ConfigurationChanged")
        .await?;
    let valid = scene.servers.client(Some(&scene.clients.issue(&["client.test"])?), &[])?;
    let strange = scene.servers.client(Some(&TestAuthority::generate()?.issue(&["client.test"])?), &[])?;
    for config in [valid, strange, scene.servers.client(None, &["h2"])?] {
        assert_eq!(scene.status(&config).await?, 200);
    }
    let asked = Arc::new(Asked::default());
    let mut config = Arc::unwrap_or_clone(scene.servers.client(None, &[])?);
    config.client_auth_cert_resolver = asked.clone();
    assert_eq!(scene.status(&Arc::new(config)).await?, 200);
    assert!(asked.0.load(Ordering::SeqCst), "the client was not asked for a certificate");
    Ok(())
}

/// The authorities go: nobody is let in. They come back, others: clients of those are let in.
#[tokio::test]
async fn without_authorities_nobody_is_let_in() -> Result<()> {
    let scene = Scene::start("AllowValidOnly").await?;
    let valid = scene.servers.client(Some(&scene.clients.issue(&["client.test"])?), &[])?;
    assert_eq!(scene.status(&valid).await?, 200);
    let all = scene.fixture.read("all.yaml")?;
    scene.fixture.save("all.yaml", &all.replace("name: clients}]", "name: nobody}]"))?;
    scene
        .fixture
        .told("Gateway default/gw", "/listeners/0/conditions", "Accepted", "NoValidCACertificate")
        .await?;
    eventually(DEADLINE, || async {
        ensure!(scene.status(&valid).await.is_err(), "a client is still let in");
        anyhow::Ok(())
    })
    .await?;

    let others = TestAuthority::generate()?;
    scene.fixture.save("nobody.yaml", &authorities("nobody", &others.certificate_pem()))?;
    let other = scene.servers.client(Some(&others.issue(&["client.test"])?), &[])?;
    eventually(DEADLINE, || async {
        let status = scene.status(&other).await?;
        ensure!(status == 200, "{status}");
        anyhow::Ok(())
    })
    .await?;
    assert!(scene.status(&valid).await.is_err(), "a certificate of the authority before is taken");
    Ok(())
}
