//! BackendTLSPolicy: whom the proxy trusts, and what it shows.

use anyhow::Result;
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::http::get;
use e2e::provider::TestAuthority;

use e2e::manifests::{authorities, gateway_with};

use crate::world::{becomes, route, secret, service};

const NAME: &str = "secure.example.test";

/// A policy for the Service `web` with these members of `validation`.
fn policy(validation: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{name: policy}}
spec:
  targetRefs: [{{group: \"\", kind: Service, name: web, sectionName: https}}]
  validation: {{{validation}}}
---
"
    )
}

fn trusted(map: &str) -> String {
    format!("caCertificateRefs: [{{group: \"\", kind: ConfigMap, name: {map}}}]")
}

fn http(name: &str, spec: &str) -> String {
    gateway_with(name, spec, &["{name: http, port: PORT, protocol: HTTP}".to_owned()])
}

/// Waits until the policy says so.
async fn policy_is_told(fixture: &Fixture, kind: &str, reason: &str) -> Result<()> {
    fixture.told("BackendTLSPolicy default/policy", "/ancestors/0/conditions", kind, reason).await.map(drop)
}

#[tokio::test]
async fn a_backend_is_reached_by_the_name_and_the_authority_of_its_policy_alone() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let names = [NAME, "other.example.test", "spiffe://example.test/web"];
    let backend = EchoBackend::start_tls("web", authority.server_config(&names)?).await?;
    let recording = backend.record();
    let objects = [
        http("gw", ""),
        service("web", backend.address()),
        route("r", "gw", "", "web"),
        authorities("right", &authority.certificate_pem()),
        authorities("wrong", &TestAuthority::generate()?.certificate_pem()),
    ];
    let all = objects.concat();
    let right = trusted("right");
    let fixture = Fixture::start(&[
        ("all.yaml", &all),
        ("policy.yaml", &policy(&format!("hostname: {NAME}, {right}"))),
    ])
    .await?;
    let address = fixture.address();
    becomes(&fixture, address, 200).await?;
    let seen = recording.last().unwrap();
    assert_eq!(seen.sni.as_deref(), Some(NAME));
    assert_eq!(seen.host, "a.test", "the Host is the client's");
    policy_is_told(&fixture, "Accepted", "Accepted").await?;

    let sans = |name: &str| format!("hostname: any.test, {right}, subjectAltNames: [{name}]");
    for (validation, expected) in [
        (format!("hostname: wrong.test, {right}"), 503),
        (sans("{type: Hostname, hostname: other.example.test}"), 200),
        (format!("hostname: {NAME}, {}", trusted("wrong")), 503),
        (sans("{type: URI, uri: 'spiffe://example.test/web'}"), 200),
        (sans("{type: URI, uri: 'spiffe://example.test/other'}"), 503),
        (sans("{type: Hostname, hostname: no.test}, {type: URI, uri: 'spiffe://example.test/web'}"), 200),
        (format!("hostname: {NAME}, wellKnownCACertificates: System"), 503),
    ] {
        fixture.save("policy.yaml", &policy(&validation))?;
        becomes(&fixture, address, expected).await?;
        // What a backend shows is not the policy's fault.
        policy_is_told(&fixture, "Accepted", "Accepted").await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_invalid_policy_answers_500_until_its_authorities_come() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let backend = EchoBackend::start_tls("web", authority.server_config(&[NAME])?).await?;
    let plain = EchoBackend::start("plain").await?;
    let objects = [
        http("gw", ""),
        service("web", plain.address()),
        route("r", "gw", "", "web"),
        policy(&format!("hostname: {NAME}, {}", trusted("late"))),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    let address = fixture.address();
    becomes(&fixture, address, 500).await?;
    policy_is_told(&fixture, "Accepted", "NoValidCACertificate").await?;
    policy_is_told(&fixture, "ResolvedRefs", "InvalidCACertificateRef").await?;
    fixture.told("HTTPRoute default/r", "/parents/0/conditions", "ResolvedRefs", "InvalidBackendTLS").await?;
    assert_eq!(plain.served(), 0, "a backend with a policy was asked without TLS");

    let all = objects.concat().replace(&service("web", plain.address()), &service("web", backend.address()));
    fixture.save("all.yaml", &all)?;
    fixture.save("late.yaml", &authorities("late", "not a certificate\n"))?;
    policy_is_told(&fixture, "ResolvedRefs", "InvalidCACertificateRef").await?;
    assert_eq!(get(address, "a.test", "/").await?.status, 500);
    fixture.save("late.yaml", &authorities("late", &authority.certificate_pem()))?;
    becomes(&fixture, address, 200).await?;
    fixture.told("HTTPRoute default/r", "/parents/0/conditions", "ResolvedRefs", "ResolvedRefs").await?;
    fixture.delete("late.yaml")?;
    becomes(&fixture, address, 500).await
}

/// Two Gateways with routes to one backend that wants a certificate: one has it, the other not.
#[tokio::test]
async fn a_gateway_shows_its_certificate_to_its_backends_and_no_other_does() -> Result<()> {
    let (servers, clients) = (TestAuthority::generate()?, TestAuthority::generate()?);
    let backend = EchoBackend::start_tls("web", servers.server_config_for(&[NAME], &clients)?).await?;
    let reference = "  tls: {backend: {clientCertificateRef: {name: client}}}\n";
    let objects = [
        http("a", reference),
        http("b", ""),
        service("web", backend.address()),
        route("ra", "a", "", "web"),
        route("rb", "b", "", "web"),
        authorities("right", &servers.certificate_pem()),
        policy(&format!("hostname: {NAME}, {}", trusted("right"))),
    ];
    let certificate = secret("client", &clients.issue(&["gateway.test"])?);
    let fixture = Fixture::start(&[("all.yaml", &objects.concat()), ("client.yaml", &certificate)]).await?;
    let (with, without) = (fixture.address(), (std::net::Ipv4Addr::new(127, 0, 0, 2), fixture.port).into());
    becomes(&fixture, with, 200).await?;
    becomes(&fixture, without, 503).await?;
    fixture.told("Gateway default/a", "/conditions", "ResolvedRefs", "ResolvedRefs").await?;

    // Another Gateway gets one, and loses it.
    let both = objects.concat().replace(&http("b", ""), &http("b", reference));
    fixture.save("all.yaml", &both)?;
    becomes(&fixture, without, 200).await?;
    fixture.save("all.yaml", &objects.concat())?;
    becomes(&fixture, without, 503).await?;

    fixture.delete("client.yaml")?;
    fixture.told("Gateway default/a", "/conditions", "ResolvedRefs", "InvalidClientCertificateRef").await?;
    fixture.told("Gateway default/a", "/conditions", "Programmed", "Programmed").await?;
    Ok(())
}
