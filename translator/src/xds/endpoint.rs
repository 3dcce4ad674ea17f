//! Addresses of clusters.

use std::fmt::Display;
use std::net::{IpAddr, Ipv6Addr};

use ir::{ClusterName, Endpoint, HostPort};
use proto::core::socket_address::PortSpecifier;
use proto::core::{Address, HealthStatus, SocketAddress, address};
use proto::endpoint::lb_endpoint::HostIdentifier;
use proto::endpoint::{self, ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints};

/// The endpoints of a cluster, as a resource of its own. Without any, requests are answered with 503.
pub(super) fn build_load_assignment(cluster: &ClusterName, endpoints: &[Endpoint]) -> ClusterLoadAssignment {
    assignment(cluster, endpoints.iter().map(build_endpoint).collect())
}

/// The host names of a cluster that Envoy resolves, which stand inside the cluster.
pub(super) fn build_dns_assignment(cluster: &ClusterName, hosts: &[HostPort]) -> ClusterLoadAssignment {
    assignment(cluster, hosts.iter().map(build_host).collect())
}

/// The address of a TCP socket; `host` is an IP address, or a name where Envoy resolves names.
pub(super) fn socket_address(host: impl Display, port: u16) -> SocketAddress {
    SocketAddress {
        address: host.to_string(),
        port_specifier: Some(PortSpecifier::PortValue(port.into())),
        ..SocketAddress::default()
    }
}

/// The address of a TCP socket that listens. The unspecified one of IPv6 takes connections of IPv4 as well.
pub(super) fn bound_address(ip: IpAddr, port: u16) -> SocketAddress {
    SocketAddress { ipv4_compat: ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED), ..socket_address(ip, port) }
}

/// A socket address as a general address.
pub(super) fn address(socket: SocketAddress) -> Address {
    Address { address: Some(address::Address::SocketAddress(socket)) }
}

fn assignment(cluster: &ClusterName, lb_endpoints: Vec<LbEndpoint>) -> ClusterLoadAssignment {
    let locality = LocalityLbEndpoints { lb_endpoints, ..LocalityLbEndpoints::default() };
    ClusterLoadAssignment {
        cluster_name: cluster.to_string(),
        endpoints: if locality.lb_endpoints.is_empty() { Vec::new() } else { vec![locality] },
        ..ClusterLoadAssignment::default()
    }
}

fn build_endpoint(ir: &Endpoint) -> LbEndpoint {
    let health = if ir.draining { HealthStatus::Draining } else { HealthStatus::Unknown };
    LbEndpoint {
        health_status: health.into(),
        host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
            address: Some(address(socket_address(ir.address, ir.port))),
            ..endpoint::Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

fn build_host(ir: &HostPort) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(endpoint::Endpoint {
            address: Some(address(socket_address(&ir.host, ir.port))),
            hostname: ir.host.clone(),
            ..endpoint::Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}
