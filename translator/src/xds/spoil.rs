//! For tests of what Envoy refuses: where a marker stands in what a resource is made from, something is put into it
//! that Envoy refuses. What users write cannot do that to these types of resources; our own faults can.

use ir::{ClusterIr, Discovery, Endpoint, ListenerIr, SecretIr, SecretValue};
use proto::cluster::Cluster;
use proto::core::DataSource;
use proto::core::address::Address::SocketAddress;
use proto::core::socket_address::PortSpecifier;
use proto::endpoint::ClusterLoadAssignment;
use proto::endpoint::lb_endpoint::HostIdentifier;
use proto::listener::Listener;
use proto::tls::{GenericSecret, Secret, secret};
use proto::wkt::Duration;

/// A host name; also the part of a secret.
const HOST: &str = "refused.test";

/// An address that nobody has (TEST-NET-1).
const ADDRESS: &str = "192.0.2.66";

/// A port.
const PORT: u16 = 61_666;

/// A connect timeout of zero is none that Envoy takes.
pub(super) fn cluster(ir: &ClusterIr, cluster: &mut Cluster) {
    if matches!(&ir.discovery, Discovery::Dns(hosts) if hosts.iter().any(|host| host.host == HOST)) {
        cluster.connect_timeout = Some(Duration::default());
    }
}

/// A port that is none.
pub(super) fn endpoints(ir: &[Endpoint], assignment: &mut ClusterLoadAssignment) {
    let is_marked = ir.iter().any(|endpoint| endpoint.address.to_string() == ADDRESS);
    let hosts = assignment.endpoints.iter_mut().flat_map(|locality| &mut locality.lb_endpoints);
    for host in hosts.filter(|_| is_marked) {
        let Some(HostIdentifier::Endpoint(endpoint)) = &mut host.host_identifier else { continue };
        let address = endpoint.address.as_mut().and_then(|address| address.address.as_mut());
        if let Some(SocketAddress(socket)) = address {
            socket.port_specifier = Some(PortSpecifier::PortValue(70_000));
        }
    }
}

/// A source of data that says nothing of where the data are.
pub(super) fn secret(ir: &SecretIr, message: &mut Secret) {
    if matches!(&ir.value, SecretValue::Credential(value) if value.expose().contains(HOST)) {
        let nowhere = GenericSecret { secret: Some(DataSource::default()), ..GenericSecret::default() };
        message.r#type = Some(secret::Type::GenericSecret(nowhere));
    }
}

/// No address.
pub(super) fn listener(ir: &ListenerIr, listener: &mut Listener) {
    if ir.bind.port == PORT {
        listener.address = None;
        listener.additional_addresses.clear();
    }
}
