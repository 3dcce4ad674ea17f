//! XBackends in a real Envoy: whom the proxy trusts, what it shows and speaks, and pods by their labels.

use anyhow::{Result, ensure};
use e2e::echo::EchoBackend;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, get};
use e2e::l4::{LineBackend, say};
use e2e::manifests::{authorities, gateway_with, route};
use e2e::provider::TestAuthority;

use crate::world::{becomes, secret};

const HOST: &str = "api.external.test";
const NAME: &str = "internal.external.test";

/// A reference to the XBackend `api`.
const REFERENCE: &str = "backendRefs: [{group: gateway.networking.x-k8s.io, kind: XBackend, name: api}]";

/// The XBackend `api` with these members of its spec.
fn x_backend(spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {{name: api}}
spec: {{{spec}}}
---
"
    )
}

/// One outside of the cluster, with that protocol and mode of TLS. `more`: more members of `tls`.
fn external(protocol: &str, mode: &str, more: &str) -> String {
    x_backend(&format!(
        "type: ExternalHostname, externalHostname: {{hostname: {HOST}}}, port: {{number: 443}}, protocol: {protocol}, \
         tls: {{mode: {mode}, {more}validation: {{hostname: {NAME}, caCertificateRefs: \
         [{{group: \"\", kind: ConfigMap, name: right}}]}}}}"
    ))
}

#[tokio::test]
async fn a_host_outside_is_verified_and_shown_a_certificate() -> Result<()> {
    let (servers, clients) = (TestAuthority::generate()?, TestAuthority::generate()?);
    let backend = EchoBackend::start_tls("api", servers.server_config_for(&[NAME], &clients)?).await?;
    let recording = backend.record();
    let objects = [
        gateway_with("gw", "", &["{name: http, port: PORT, protocol: HTTP}".to_owned()]),
        route("HTTPRoute", "r", "{name: gw}", "", REFERENCE),
        secret("client", &clients.issue(&["gateway.test"])?),
    ];
    let connect = format!("{HOST}:443:127.0.0.1:{}", backend.address().port());
    let shown = "clientCertificateRef: {name: client}, ";
    let files = [
        ("all.yaml", &*objects.concat()),
        ("right.yaml", &authorities("right", &servers.certificate_pem())),
        ("api.yaml", &external("HTTP", "ClientAndServer", shown)),
    ];
    let fixture = Fixture::start_with(&files, &["--connect-to", &connect]).await?;
    becomes(&fixture, fixture.address(), 200).await?;
    let seen = recording.last().unwrap();
    assert_eq!((seen.sni.as_deref(), &*seen.host), (Some(NAME), "a.test"), "the Host is the client's");
    fixture.told("XBackend default/api", "/ancestors/0/conditions", "Accepted", "Accepted").await?;
    // The backend takes both: what is negotiated, and what is asked for.
    for (protocol, version) in [
        ("HTTP", http::Version::HTTP_2),
        ("HTTP11", http::Version::HTTP_11),
        ("HTTP2", http::Version::HTTP_2),
    ] {
        fixture.save("api.yaml", &external(protocol, "ClientAndServer", shown))?;
        eventually(DEADLINE, || async {
            get(fixture.address(), "a.test", "/").await?;
            let seen = recording.last().map(|seen| seen.version);
            ensure!(seen == Some(version), "{protocol}: {seen:?}");
            Ok(())
        })
        .await?;
    }
    // It asks for a certificate, and gets none.
    fixture.save("api.yaml", &external("HTTP11", "ServerOnly", ""))?;
    becomes(&fixture, fixture.address(), 503).await?;
    fixture.save("api.yaml", &external("HTTP11", "ClientAndServer", shown))?;
    becomes(&fixture, fixture.address(), 200).await?;
    // Another authority is trusted. (The cluster is another one as well: connections that are open stay as they are.)
    fixture.save("right.yaml", &authorities("right", &clients.certificate_pem()))?;
    fixture.save("api.yaml", &external("HTTP2", "ClientAndServer", shown))?;
    becomes(&fixture, fixture.address(), 503).await?;
    fixture.delete("right.yaml")?;
    becomes(&fixture, fixture.address(), 500).await?;
    fixture
        .told("XBackend default/api", "/ancestors/0/conditions", "ResolvedRefs", "InvalidCACertificateRef")
        .await?;
    fixture
        .told("HTTPRoute default/r", "/parents/0/conditions", "ResolvedRefs", "BackendNotFound")
        .await
        .map(drop)
}

#[tokio::test]
async fn pods_come_and_go_by_their_slices_and_connections_reach_them_by_tls() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let (one, two) = (EchoBackend::start("one").await?, EchoBackend::start("two").await?);
    let lines = LineBackend::connections("lines", Some(authority.server_config(&[NAME])?)).await?;
    let selector = |port: u16, more: &str| {
        x_backend(&format!(
            "type: EndpointSelector, endpointSelector: {{matchLabels: {{app: api}}}}, port: {{number: {port}}}{more}"
        ))
    };
    let slice = "apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: api-1, labels: {chancery.dev/xbackend: api}}
addressType: IPv4
ports: [{port: 1}]
endpoints: [{addresses: [127.0.0.1]}]
---
";
    let gateway =
        |protocol: &str| gateway_with("gw", "", &[format!("{{name: a, port: PORT, protocol: {protocol}}}")]);
    let http = [gateway("HTTP"), route("HTTPRoute", "r", "{name: gw}", "", REFERENCE)].concat();
    let port = one.address().port();
    let fixture =
        Fixture::start(&[("all.yaml", &http), ("api.yaml", &selector(port, "")), ("slice.yaml", slice)])
            .await?;
    becomes(&fixture, fixture.address(), 200).await?;
    fixture.save("api.yaml", &selector(two.address().port(), ""))?;
    eventually(DEADLINE, || async {
        let echo = get(fixture.address(), "a.test", "/").await?.echo()?;
        ensure!(echo.identity == "two", "{}", echo.identity);
        anyhow::Ok(())
    })
    .await?;
    fixture.delete("slice.yaml")?;
    becomes(&fixture, fixture.address(), 503).await?;
    let sticky = ", sessionPersistence: {type: Header, header: {name: x-session}}";
    fixture.save("api.yaml", &selector(port, sticky))?;
    becomes(&fixture, fixture.address(), 500).await?;
    fixture.told("XBackend default/api", "/ancestors/0/conditions", "Accepted", "UnsupportedValue").await?;

    let tcp = [gateway("TCP"), route("TCPRoute", "r", "{name: gw}", "", REFERENCE)].concat();
    let validation = format!(
        ", protocol: TCP, tls: {{mode: ServerOnly, validation: {{hostname: {NAME}, caCertificateRefs: \
         [{{group: \"\", kind: ConfigMap, name: right}}]}}}}"
    );
    let trusted = authorities("right", &authority.certificate_pem());
    let api = selector(lines.port(), &validation);
    let files = [("all.yaml", &*tcp), ("api.yaml", &api), ("right.yaml", &trusted), ("slice.yaml", slice)];
    let fixture = Fixture::start(&files).await?;
    eventually(DEADLINE, || async {
        let answer = say(fixture.address(), "hello").await?;
        ensure!(answer.contains("lines"), "{answer}");
        anyhow::Ok(())
    })
    .await
}
