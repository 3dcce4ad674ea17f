//! Envoy's admin interface, over TCP or a Unix socket.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::http::{Response, exchange, request, send};

/// The admin interface of an Envoy, whoever started it.
#[derive(Clone, Debug)]
pub struct Admin {
    address: Address,
}

#[derive(Clone, Debug)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// One endpoint of a cluster, as `/clusters` shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterHost {
    /// The cluster's name.
    pub cluster: String,
    /// The endpoint's address, `host:port` or the path of a pipe.
    pub address: String,
    /// Whether Envoy would send requests to it (by EDS, active checks and outlier detection).
    pub healthy: bool,
}

impl Admin {
    /// An admin interface on a TCP address.
    #[must_use]
    pub fn tcp(address: SocketAddr) -> Self {
        Self { address: Address::Tcp(address) }
    }

    /// An admin interface on a Unix socket.
    #[must_use]
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self { address: Address::Unix(path.into()) }
    }

    /// `GET path`; any status.
    ///
    /// # Errors
    /// No answer.
    pub async fn get(&self, path: &str) -> Result<Response> {
        self.exchange(Method::GET, path).await
    }

    /// `POST path`, which is how Envoy is told to do something (`/drain_listeners?graceful`); any status.
    ///
    /// # Errors
    /// No answer.
    pub async fn post(&self, path: &str) -> Result<Response> {
        self.exchange(Method::POST, path).await
    }

    /// Succeeds when Envoy is live: initialised and not draining.
    ///
    /// # Errors
    /// No answer, or another state, which the error names.
    pub async fn ready(&self) -> Result<()> {
        let answer = self.get("/ready").await?;
        if answer.status != 200 {
            bail!("Envoy is {}", answer.text().trim());
        }
        Ok(())
    }

    /// The whole configuration that Envoy holds, endpoints included. Envoy leaves secrets out.
    ///
    /// # Errors
    /// No answer, or no JSON.
    pub async fn config_dump(&self) -> Result<Value> {
        self.get_json("/config_dump?include_eds").await
    }

    /// Every endpoint of every cluster, sorted.
    ///
    /// # Errors
    /// No answer, or no JSON.
    pub async fn clusters(&self) -> Result<Vec<ClusterHost>> {
        let dump = self.get_json("/clusters?format=json").await?;
        let mut hosts: Vec<ClusterHost> = Vec::new();
        for cluster in items(&dump["cluster_statuses"]) {
            let name = text(&cluster["name"]);
            hosts.extend(items(&cluster["host_statuses"]).map(|host| cluster_host(&name, host)));
        }
        hosts.sort();
        Ok(hosts)
    }

    /// All counters and gauges by name.
    ///
    /// # Errors
    /// No answer.
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>> {
        let lines = self.get("/stats").await?.text();
        let numbers = lines.lines().filter_map(|line| {
            let (name, value) = line.rsplit_once(": ")?;
            // Text readouts and histograms are no numbers.
            Some((name.to_owned(), value.parse().ok()?))
        });
        Ok(numbers.collect())
    }

    /// The address on which the listener `name` accepts connections, for one bound to port 0.
    ///
    /// # Errors
    /// No answer, no such listener, or one that is not on TCP.
    pub async fn listener_address(&self, name: &str) -> Result<SocketAddr> {
        let dump = self.get_json("/listeners?format=json").await?;
        let mut listeners = items(&dump["listener_statuses"]);
        let listener = listeners
            .find(|listener| listener["name"] == name)
            .with_context(|| format!("no listener {name}"))?;
        let address = &listener["local_address"]["socket_address"];
        Ok(socket_address(address).parse()?)
    }

    async fn get_json(&self, path: &str) -> Result<Value> {
        self.get(path).await?.json()
    }

    async fn exchange(&self, method: Method, path: &str) -> Result<Response> {
        let request = request(method, "envoy-admin", path, &[], Bytes::new())?;
        match &self.address {
            Address::Tcp(address) => send(*address, request).await,
            Address::Unix(path) => {
                let io = UnixStream::connect(path).await;
                exchange(io.with_context(|| format!("cannot connect to {}", path.display()))?, request).await
            }
        }
    }
}

fn cluster_host(cluster: &str, host: &Value) -> ClusterHost {
    let address = match &host["address"]["pipe"]["path"] {
        Value::String(path) => path.clone(),
        _ => socket_address(&host["address"]["socket_address"]),
    };
    let health = &host["health_status"];
    // Only what is wrong is listed, apart from the state that came by EDS.
    let failed = health.as_object().is_some_and(|flags| flags.values().any(|flag| *flag == true));
    let healthy =
        !failed && matches!(health["eds_health_status"].as_str(), None | Some("HEALTHY" | "UNKNOWN"));
    ClusterHost { cluster: cluster.to_owned(), address, healthy }
}

fn socket_address(address: &Value) -> String {
    let host = text(&address["address"]);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    format!("{host}:{}", address["port_value"])
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
