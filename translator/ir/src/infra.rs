//! What a deployer must provide for one Gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::GatewayName;

/// Where a proxy in a cluster says whether it is ready, over HTTP.
pub const READINESS_PORT: u16 = 19003;

/// Where a proxy in a cluster is told that it will end, over HTTP.
pub const DRAIN_PORT: u16 = 19004;

/// Where a proxy in a cluster gives its metrics, over HTTP. The port that users of kgateway scrape.
pub const METRICS_PORT: u16 = 9091;

/// The ports of a proxy in a cluster that no listener can have.
pub const RESERVED_PORTS: [u16; 3] = [METRICS_PORT, READINESS_PORT, DRAIN_PORT];

/// The labels of what is made for a Gateway that the deployer sets itself, or keeps for itself.
pub const RESERVED_LABELS: [&str; 7] = [
    PROXY_NAME_LABEL,
    INSTANCE_LABEL,
    GATEWAY_NAME_LABEL,
    COMPONENT_LABEL,
    MANAGED_BY_LABEL,
    CONTROLLER_LABEL,
    // Kubernetes' own, on pods.
    "pod-template-hash",
];

/// The label with the name of the proxy.
pub const PROXY_NAME_LABEL: &str = "app.kubernetes.io/name";

/// The label that holds the name of the proxy: of its Deployment.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// The label by which Gateway API's users find what belongs to a Gateway.
pub const GATEWAY_NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// The label that says what of an application an object is.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

/// The label that says that an object is ours.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";

/// The label that tells the objects of several control planes in one cluster apart. Those of the control plane with the
/// usual name do not have it.
pub const CONTROLLER_LABEL: &str = "chancery.dev/controller";

/// The label by which EndpointSlices, and the Service whose slices they are, name the XBackend that they are made for.
pub const X_BACKEND_LABEL: &str = "chancery.dev/xbackend";

/// The annotation of pods that changes when Envoy must be started anew.
pub const CONFIG_HASH_ANNOTATION: &str = "chancery.dev/config-hash";

/// What the annotations begin with that Kubernetes writes on Deployments, and would write again and again.
const KUBERNETES_ANNOTATIONS: &str = "deployment.kubernetes.io/";

/// Whether nobody but the deployer, or Kubernetes, decides what a label of what is made for a Gateway says.
pub fn is_reserved_label(key: &str) -> bool {
    RESERVED_LABELS.contains(&key)
}

/// The same of an annotation.
pub fn is_reserved_annotation(key: &str) -> bool {
    key == CONFIG_HASH_ANNOTATION || key.starts_with(KUBERNETES_ANNOTATIONS)
}

/// The proxy of one Gateway, whoever runs it: pods in a cluster, a process on a laptop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyInfra {
    /// Whose proxy this is.
    pub gateway: GatewayName,
    /// What all that is made for it is named, within the Gateway's namespace: a DNS label (RFC 1035).
    pub name: String,
    /// The identity of the Gateway object in its cluster; `None` outside one.
    pub uid: Option<String>,
    /// Whether the Gateway is being deleted (`metadata.deletionTimestamp` is set) and waits for finalizers: nothing
    /// is made or changed for it any more.
    pub is_being_deleted: bool,
    /// Where it listens; empty where the deployer assigns the address.
    pub addresses: Vec<IpAddr>,
    /// The address to ask for where the deployer assigns it; `None`: any.
    pub wanted_address: Option<IpAddr>,
    /// The ports that clients connect to; sorted, no duplicates.
    pub ports: Vec<InfraPort>,
    /// Labels for all that is made (`spec.infrastructure.labels`); those that are reserved have no effect.
    pub labels: BTreeMap<String, String>,
    /// Annotations for all that is made (`spec.infrastructure.annotations`); those that are reserved have no effect.
    pub annotations: BTreeMap<String, String>,
}

/// A port of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InfraPort {
    /// The port number.
    pub port: u16,
    /// Of which protocol it is.
    pub protocol: PortProtocol,
    /// The Gateway's first listener on it, which names it.
    pub listener: String,
}

/// The protocol of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PortProtocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl PortProtocol {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}
