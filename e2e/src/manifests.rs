//! The YAML that most tests begin with.

use std::net::SocketAddr;

/// A Gateway of our class with one plain HTTP listener, as a document with its end marker.
#[must_use]
pub fn gateway(name: &str, port: &str) -> String {
    gateway_with(name, "", &[format!("{{name: http, port: {port}, protocol: HTTP}}")])
}

/// A Gateway of our class with these listeners. `spec`: more members of its spec, each on a line of its own with two
/// spaces before it.
#[must_use]
pub fn gateway_with(name: &str, spec: &str, listeners: &[String]) -> String {
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

/// A Backend with one fixed host, as a document with its end marker.
#[must_use]
pub fn static_backend(name: &str, address: SocketAddr) -> String {
    format!(
        "apiVersion: gateway.kgateway.dev/v1alpha1
kind: Backend
metadata: {{name: {name}}}
spec: {{type: Static, static: {{hosts: [{{host: {}, port: {}}}]}}}}
---
",
        address.ip(),
        address.port()
    )
}

/// An HTTPRoute to the Gateway `gw` with one rule, as a document with its end marker. `host`: empty for every host.
/// `rule`: the members of the rule, each but the first on a line of its own with four spaces before it.
#[must_use]
pub fn http_route(name: &str, host: &str, rule: &str) -> String {
    route("HTTPRoute", name, "{name: gw}", host, rule)
}

/// The same of any kind and at any parent. `hosts`: separated by commas; empty for every host.
#[must_use]
pub fn route(kind: &str, name: &str, parent: &str, hosts: &str, rule: &str) -> String {
    let hostnames = if hosts.is_empty() { String::new() } else { format!("  hostnames: [{hosts}]\n") };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: {name}}}
spec:
  parentRefs: [{parent}]
{hostnames}  rules:
  - {rule}
---
"
    )
}

/// A Service with port 80 for TCP or UDP, and its one endpoint at a port on loopback, as documents with their end markers.
#[must_use]
pub fn loopback_service(name: &str, protocol: &str, port: u16) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec: {{ports: [{{port: 80, protocol: {protocol}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: {name}-1, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}, protocol: {protocol}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
---
"
    )
}

/// A ConfigMap with certificate authorities, as a document with its end marker.
#[must_use]
pub fn authorities(name: &str, pem: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n  ca.crt: |\n{}---\n",
        indented(pem)
    )
}

/// Lines as the value of a member of `data`, in the block style of YAML.
#[must_use]
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// A BackendTLSPolicy for a Service: the name in the backend's certificate, and the ConfigMap with whoever may have signed
/// it.
#[must_use]
pub fn backend_tls_policy(service: &str, hostname: &str, authorities: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: {service}}}
spec:
  targetRefs: [{{group: \"\", kind: Service, name: {service}}}]
  validation:
    hostname: {hostname}
    caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: {authorities}}}]
---
"
    )
}
