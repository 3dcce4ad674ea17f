//! The independent witness: an ADS client of another code generator and an older API decodes everything that
//! is served, over both protocols, and both end in the same map.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use e2e::ads_client::{AdsAddress, AdsClient, Protocol};
use e2e::fixture::{DEADLINE, Fixture, Seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_resource_is_decoded_by_another_implementation() -> Result<()> {
    let fixture = Fixture::start_seeds(&[Seed::Kgateway, Seed::Gloo], "canary-w", &[]).await?;
    let services = "apiVersion: v1
kind: Service
metadata: {name: web, namespace: kgateway-system}
spec: {ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: kgateway-system, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{port: 1}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: kgateway-system}
spec:
  parentRefs: [{name: ai-gateway}]
  rules: [{matches: [{path: {value: /web}}], backendRefs: [{name: web, port: 80}]}]
";
    fixture.save("web.yaml", services)?;
    e2e::http::eventually(DEADLINE, || async { fixture.status("HTTPRoute kgateway-system/web").await })
        .await?;
    let socket = xds_socket(&fixture.state(), "kgateway-system")?;
    let address = AdsAddress::Unix(socket);
    let mut maps = Vec::new();
    for protocol in [Protocol::StateOfTheWorld, Protocol::Delta] {
        // Whatever the node claims, it gets what belongs to the socket.
        let mut client = AdsClient::connect(&address, protocol, "gloo-system/ai-gateway").await?;
        let served = client.complete(DEADLINE).await?;
        assert_eq!(served.listeners.len(), 1, "{served:?}");
        assert_eq!(served.routes.len(), 1, "{served:?}");
        let mut clusters: Vec<_> = served.clusters.keys().map(String::as_str).collect();
        clusters.sort_unstable();
        assert_eq!(clusters, ["backend/kgateway-system/google", "service/kgateway-system/web/80"]);
        assert_eq!(served.endpoints.len(), 1, "{served:?}");
        let mut secrets: Vec<_> = served.secrets.keys().map(String::as_str).collect();
        secrets.sort_unstable();
        assert_eq!(secrets, ["credential/backend/kgateway-system/google", "trust/default"]);
        maps.push(served.clone());
    }
    assert_eq!(maps[0], maps[1], "state of the world and delta agree");
    Ok(())
}

fn xds_socket(state: &Path, gateway: &str) -> Result<PathBuf> {
    let mut folders = vec![state.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let text = path.to_string_lossy();
            if text.contains(gateway) && text.ends_with("xds.sock") {
                return Ok(path);
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    None.context("no xds.sock")
}
