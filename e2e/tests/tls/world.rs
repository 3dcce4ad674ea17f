//! What the tests of TLS are made of: a Gateway with listeners, certificates as Secrets, backends as Services.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::manifests::indented;
use e2e::provider::Issued;

/// An HTTPS listener on the port of the test, whose certificate is in the Secret of that name. `hostname`: empty for every
/// host.
pub(crate) fn https(name: &str, hostname: &str, secret: &str) -> String {
    let hostname = if hostname.is_empty() { String::new() } else { format!("hostname: \"{hostname}\", ") };
    format!(
        "{{name: {name}, port: PORT, protocol: HTTPS, {hostname}tls: {{certificateRefs: [{{name: {secret}}}]}}}}"
    )
}

/// A Secret with a certificate.
pub(crate) fn secret(name: &str, issued: &Issued) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: {name}}}
type: kubernetes.io/tls
stringData:
  tls.crt: |
{}  tls.key: |
{}---
",
        indented(issued.certificate_pem()),
        indented(&issued.key_pem())
    )
}

/// A Service with port 443, named `https`, at that address.
pub(crate) fn service(name: &str, address: SocketAddr) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{name: https, port: 443}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: https, port: {}}}]
endpoints: [{{addresses: [{}]}}]
---
",
        address.port(),
        address.ip()
    )
}

/// A route of a Gateway to a Service. `section`: empty for every listener.
pub(crate) fn route(name: &str, gateway: &str, section: &str, service: &str) -> String {
    let section = if section.is_empty() { String::new() } else { format!(", sectionName: {section}") };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: {gateway}{section}}}]
  rules: [{{backendRefs: [{{name: {service}, port: 443}}]}}]
---
"
    )
}

/// Waits until requests are answered with this status.
pub(crate) async fn becomes(fixture: &Fixture, address: SocketAddr, expected: u16) -> Result<()> {
    let found = eventually(DEADLINE, || async {
        let answer = get(address, "a.test", "/").await?;
        ensure!(answer.status == expected, "{} {}", answer.status, answer.text());
        anyhow::Ok(())
    });
    found.await.map_err(|error| error.context(fixture.chancery.log()))
}
