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
    /// Labels for all that is made (`spec.infrastructure.labels`).
    pub labels: BTreeMap<String, String>,
    /// Annotations for all that is made (`spec.infrastructure.annotations`).
    pub annotations: BTreeMap<String, String>,
}

/// A port of the proxy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InfraPort {
    /// The port number.
    pub port: u16,
    /// The Gateway's first listener on it, which names it.
    pub listener: String,
}
