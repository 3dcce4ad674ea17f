//! `examples/https`, `mtls` and `backend-tls`, as they stand there but for the ports, with clients and backends that have the
//! certificates of `examples/certificates`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use e2e::echo::EchoBackend;
use e2e::examples::documents;
use e2e::fixture::Fixture;
use e2e::provider::TestAuthority;
use e2e::{http, tls_client};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

const SERVER: &str = "server.example.test";

fn file(name: &str) -> Result<Vec<u8>> {
    let path = e2e::workspace::workspace_root().join("examples/certificates").join(name);
    std::fs::read(&path).with_context(|| path.display().to_string())
}

fn roots() -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&file("ca.crt")?)?)?;
    Ok(Arc::new(roots))
}

fn identity(name: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = vec![CertificateDer::from_pem_slice(&file(&format!("{name}.crt"))?)?];
    Ok((chain, PrivateKeyDer::from_pem_slice(&file(&format!("{name}.key"))?)?))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client(shows: Option<&str>) -> Result<Arc<ClientConfig>> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots()?);
    let Some(name) = shows else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let (chain, key) = identity(name)?;
    Ok(Arc::new(builder.with_client_auth_cert(chain, key)?))
}

/// Serves an example with this backend in place of the one that it is written for.
async fn serve(example: &str, written: [&str; 2], backend: SocketAddr) -> Result<Fixture> {
    let [listener, upstream] = written;
    let documents: Vec<_> = documents(example, &[])?
        .into_iter()
        .map(|(name, text)| {
            let text = text.replace(&format!("port: {listener}"), "port: PORT");
            (name, text.replace(&format!("port: {upstream}}}"), &format!("port: {}}}", backend.port())))
        })
        .collect();
    let files: Vec<_> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Fixture::start(&files).await
}

#[tokio::test]
async fn https() -> Result<()> {
    let backend = EchoBackend::start("web").await?;
    let fixture = serve("https", ["8443", "3000"], backend.address()).await?;
    let answer = tls_client::get(fixture.address(), SERVER, SERVER, "/", &client(None)?).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn mtls() -> Result<()> {
    let backend = EchoBackend::start("web").await?;
    let fixture = serve("mtls", ["8443", "3000"], backend.address()).await?;
    let answer = tls_client::get(fixture.address(), SERVER, SERVER, "/", &client(Some("client"))?).await?;
    assert_eq!(answer.status, 200);
    assert!(tls_client::get(fixture.address(), SERVER, SERVER, "/", &client(None)?).await.is_err());
    Ok(())
}

#[tokio::test]
async fn backend_tls() -> Result<()> {
    let (chain, key) = identity("backend")?;
    let clients = WebPkiClientVerifier::builder_with_provider(roots()?, provider()).build()?;
    let tls = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)?;
    let backend = EchoBackend::start_tls("web", Arc::new(tls)).await?;
    let recording = backend.record();
    let fixture = serve("backend-tls", ["8080", "3443"], backend.address()).await?;
    assert_eq!(http::get(fixture.address(), "a.test", "/").await?.status, 200);
    assert_eq!(recording.last().context("a request")?.sni.as_deref(), Some("backend.example.test"));
    Ok(())
}

/// The pods of the example speak HTTP/2, the host outside has a certificate.
#[tokio::test]
async fn x_backend() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let pods = EchoBackend::start("shop").await?;
    let host = "payments.example.com";
    let outside = EchoBackend::start_tls("payments", authority.server_config(&[host])?).await?;
    let documents = documents("x-backend", &[])?.into_iter();
    let documents: Vec<_> =
        documents.map(|(name, text)| (name, text.replace("port: 8080,", "port: PORT,"))).collect();
    let files: Vec<_> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let folder = tempfile::tempdir()?;
    let trusted = folder.path().join("ca.pem");
    authority.write_certificate(&trusted)?;
    let connect = |from: &str, to: SocketAddr| format!("{from}:{}:{}", to.ip(), to.port());
    let arguments = [
        "--upstream-ca".to_owned(),
        trusted.display().to_string(),
        "--connect-to".to_owned(),
        connect("127.0.0.1:3000", pods.address()),
        "--connect-to".to_owned(),
        connect(&format!("{host}:443"), outside.address()),
    ];
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let fixture = Fixture::start_with(&files, &arguments).await?;
    let echo = http::get(fixture.address(), "a.test", "/").await?.echo()?;
    assert_eq!((&*echo.identity, &*echo.protocol), ("shop", "HTTP/2.0"));
    let echo = http::get(fixture.address(), "a.test", "/payments").await?.echo()?;
    assert_eq!((&*echo.identity, &*echo.host), ("payments", host));
    Ok(())
}
