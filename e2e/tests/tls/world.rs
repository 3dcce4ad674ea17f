//! What the tests of TLS are made of: a Gateway with listeners, certificates as Secrets, backends as Services.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::provider::Issued;

/// A Gateway with these members of its spec and these listeners.
pub(crate) fn gateway(name: &str, spec: &str, listeners: &[String]) -> String {
    let listeners: String = listeners.iter().map(|listener| format!("  - {listener}\n")).collect();
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec:
  gatewayClassName: chancery
{spec}  listeners:
{listeners}---
"
    )
}

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

/// A ConfigMap with certificate authorities.
pub(crate) fn authorities(name: &str, pem: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{}---\n",
        indented(pem)
    )
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
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

/// Waits until a condition of an object's status has this status and reason: of the object itself, or of the named
/// listener, or of each ancestor or parent.
pub(crate) async fn told(fixture: &Fixture, object: &str, kind: &str, reason: &str) -> Result<()> {
    let found = eventually(DEADLINE, || async {
        let status = fixture.status(object).await?;
        let mut conditions = Vec::new();
        collect(&status, kind, &mut conditions);
        ensure!(conditions.iter().any(|found| found == reason), "{object}: {kind} is {conditions:?}");
        anyhow::Ok(())
    });
    found.await
}

/// The reasons of all conditions of a type in a status.
fn collect(value: &serde_json::Value, kind: &str, reasons: &mut Vec<String>) {
    if value["type"] == kind {
        reasons.extend(value["reason"].as_str().map(str::to_owned));
    }
    match value {
        serde_json::Value::Object(members) => {
            members.values().for_each(|member| collect(member, kind, reasons))
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, kind, reasons)),
        _ => {}
    }
}
