//! Three Gateways, the xDS ports of the control plane, and clients of them.

use std::sync::OnceLock;
use std::time::Duration;

use acceptance::xds_port::XdsPort;
use acceptance::{SYSTEM, World, restricted_namespace};
use e2e::ads_client::{AdsAddress, AdsClient, Protocol, SecureAddress, ServedResources};

/// The namespaces, one Gateway in each.
pub(crate) const NAMESPACES: [&str; 3] = ["trust-red", "trust-green", "trust-blue"];

/// What every Gateway is called, and so its proxy's service account.
pub(crate) const GATEWAY: &str = "ai-gateway";

/// The name that the xDS port's certificate is for.
const SERVER_NAME: &str = "chancery.chancery-system.svc";

const XDS_PORT: u16 = 18000;

/// How long a stream may take to be complete.
pub(crate) const SERVED: Duration = Duration::from_secs(30);

/// The keys of a namespace's two AI providers. Of letters and digits only, so that no encoding of text, such as
/// that of URLs, hides one.
pub(crate) fn canaries(namespace: &str) -> [String; 2] {
    let colour = namespace.trim_start_matches("trust-");
    ["4f1c9d27a8", "b07e63d1f5"].map(|rest| format!("canary{colour}{rest}"))
}

/// Applies all of it once.
pub(crate) fn prepare(world: &World) {
    static PREPARED: OnceLock<()> = OnceLock::new();
    PREPARED.get_or_init(|| {
        for namespace in NAMESPACES {
            world.cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
            world.cluster.apply(&manifests(namespace)).expect("a Gateway with two providers");
        }
        for namespace in NAMESPACES {
            let _address = world.programmed(GATEWAY, namespace);
        }
    });
}

fn manifests(namespace: &str) -> String {
    let [gemini, openai] = canaries(namespace);
    include_str!("gateway.yaml")
        .replace("@NAMESPACE@", namespace)
        .replace("@GATEWAY@", GATEWAY)
        .replace("@GEMINI_KEY@", &gemini)
        .replace("@OPENAI_KEY@", &openai)
}

/// The Service and each replica, with what they are called.
pub(crate) fn ports(world: &World) -> Vec<(String, XdsPort)> {
    let authority = world.field(&["configmap", GATEWAY, "-n", NAMESPACES[0]], ".data.ca\\.crt");
    let service = world.field(&["service", "chancery", "-n", SYSTEM], ".spec.clusterIP");
    let replicas = ["pods", "-n", SYSTEM, "-l", "app.kubernetes.io/name=chancery"];
    let replicas = world.field(&replicas, ".items[*].status.podIP");
    let replicas: Vec<&str> = replicas.split_whitespace().collect();
    assert_eq!(replicas.len(), 2, "the chart's default is two replicas");
    let names = ["the Service", "one replica", "the other replica"];
    let addresses = std::iter::once(service.as_str()).chain(replicas);
    let port = |(name, address): (&str, &str)| {
        let address = format!("{address}:{XDS_PORT}").parse().expect("an address");
        let server_name = SERVER_NAME.to_owned();
        (name.to_owned(), XdsPort { address, server_name, authority: authority.clone() })
    };
    names.into_iter().zip(addresses).map(port).collect()
}

/// The addresses of the replicas' admin ports.
pub(crate) fn admin_ports(world: &World) -> Vec<std::net::SocketAddr> {
    let replicas = ports(world).into_iter().skip(1);
    replicas.map(|(_, port)| (port.address.ip(), 9093).into()).collect()
}

/// A client that behaves, but for the name that it gives itself.
pub(crate) async fn client(
    port: &XdsPort,
    token: &str,
    protocol: Protocol,
    node: &str,
) -> anyhow::Result<AdsClient> {
    let secure = SecureAddress {
        address: port.address,
        server_name: port.server_name.clone(),
        authority: port.authority.clone(),
        token: token.to_owned(),
    };
    AdsClient::connect(&AdsAddress::Tls(secure), protocol, node).await
}

/// All that a client with this token is served.
pub(crate) fn served(
    world: &World,
    port: &XdsPort,
    token: &str,
    protocol: Protocol,
    node: &str,
) -> ServedResources {
    let (port, token, node) = (port.clone(), token.to_owned(), node.to_owned());
    world.network.run(async move {
        let mut client = client(&port, &token, protocol, &node).await.expect("a stream");
        client.complete(SERVED).await.expect("everything that is referred to").clone()
    })
}
