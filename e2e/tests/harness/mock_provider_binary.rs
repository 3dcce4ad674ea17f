use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use e2e::http::{eventually, exchange, request};
use e2e::process::Process;
use http::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn serves_with_the_authority_it_wrote_logs_no_credential_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let (ca_file, address_file) = (folder.path().join("ca.pem"), folder.path().join("address"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mock-provider"));
    command.args(["--listen", "127.0.0.1:0", "--verbose", "--ca-file"]).arg(&ca_file);
    command.arg("--address-file").arg(&address_file);
    let mut process = Process::spawn("mock-provider", command, folder.path()).unwrap();
    let address: SocketAddr =
        eventually(LIMIT, || async { anyhow::Ok(std::fs::read_to_string(&address_file)?.parse()?) })
            .await
            .unwrap();

    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&ca_file).unwrap()).unwrap();
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = "generativelanguage.googleapis.com";
    let io = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let io = connector.connect(ServerName::try_from(host).unwrap(), io).await.unwrap();
    let body = json!({"contents": [{"parts": [{"text": "hi"}]}]}).to_string();
    let headers = [("x-goog-api-key", "hush")];
    let path = "/v1beta/models/m:generateContent";
    let request = request(Method::POST, host, path, &headers, body.into()).unwrap();
    assert_eq!(exchange(io, request).await.unwrap().status, 200);

    let line = process.wait_for_line(path, LIMIT).await.unwrap();
    assert!(line.starts_with("200 POST /v1beta/models/m:generateContent host=generativelanguage"), "{line}");
    assert!(!process.log().contains("hush"));
    assert!(process.terminate(LIMIT).await.unwrap().success());
}
