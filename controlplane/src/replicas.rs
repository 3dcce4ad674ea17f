//! The other replicas of the control plane, and what they say at their admin ports.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::net::TcpStream;

/// The name of the admin port in the Service of the control plane.
const ADMIN_PORT: &str = "http-admin";

/// Finds the other replicas.
#[derive(Clone)]
pub struct Replicas {
    client: Client,
    namespace: String,
    service: String,
    pod: String,
}

impl Replicas {
    /// Those behind a Service in our namespace, without our own pod.
    pub fn new(client: Client, namespace: &str, service: &str, pod: &str) -> Self {
        let [namespace, service, pod] = [namespace, service, pod].map(str::to_owned);
        Self { client, namespace, service, pod }
    }

    /// Their admin ports; also of those that are not ready yet, or end.
    ///
    /// # Errors
    /// The API server does not tell.
    pub async fn addresses(&self) -> kube::Result<Vec<SocketAddr>> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let label = format!("kubernetes.io/service-name={}", self.service);
        // From the API server's cache: this is asked often.
        let params = ListParams::default().labels(&label).match_any();
        let slices = slices.list(&params).await?;
        let mut addresses: Vec<_> = slices.iter().flat_map(|slice| self.addresses_in(slice)).collect();
        addresses.sort();
        addresses.dedup();
        Ok(addresses)
    }

    fn addresses_in(&self, slice: &EndpointSlice) -> Vec<SocketAddr> {
        let ports = slice.ports.iter().flatten();
        let port = ports.into_iter().find(|port| port.name.as_deref() == Some(ADMIN_PORT));
        let Some(port) = port.and_then(|port| u16::try_from(port.port?).ok()) else { return Vec::new() };
        let is_another = |endpoint: &&Endpoint| {
            endpoint.target_ref.as_ref().and_then(|pod| pod.name.as_deref()) != Some(&self.pod)
        };
        let others = slice.endpoints.iter().flatten().filter(is_another);
        let addresses = others.flat_map(|endpoint| &endpoint.addresses);
        addresses.filter_map(|address| Some((address.parse::<IpAddr>().ok()?, port).into())).collect()
    }
}

/// What a replica answers at a path, of at most `limit` bytes.
///
/// # Errors
/// It does not answer, or with another status than 200.
pub(crate) async fn get(address: SocketAddr, path: &str, limit: usize) -> Result<Bytes> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender; its errors are also the sender's.
    tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, "chancery").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    ensure!(response.status() == StatusCode::OK, "it answers {}", response.status());
    let body = Limited::new(response.into_body(), limit).collect().await;
    Ok(body.map_err(|error| anyhow::anyhow!("its answer: {error}"))?.to_bytes())
}

/// The slice of a replica for tests: each has one of its own there, since ports differ.
#[cfg(test)]
pub(crate) fn slice(name: &str, pod: &str, address: SocketAddr) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {
            "name": name, "namespace": "chancery-system",
            "labels": {"kubernetes.io/service-name": "chancery"},
        },
        "ports": [
            {"name": "grpc-xds", "port": 18000, "protocol": "TCP"},
            {"name": "http-admin", "port": address.port(), "protocol": "TCP"},
        ],
        "endpoints": [{"addresses": [address.ip().to_string()], "targetRef": {"kind": "Pod", "name": pod}}],
    })
}
