//! What a deployer must provide for one Gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::GatewayName;

/// The proxy of one Gateway, whoever runs it: pods in a cluster, a process on a laptop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyInfra {
    /// Whose proxy this is.
    pub gateway: GatewayName,
    /// Where it listens; empty where the deployer assigns the address.
    pub addresses: Vec<IpAddr>,
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
