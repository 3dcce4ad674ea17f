//! Listeners.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ir::{FilterChainIr, Hostname, ListenerIr, Protocol, Transport};
use proto::core::{Address, socket_address as proto_socket};
use proto::listener::{
    AdditionalAddress, Filter, FilterChain, FilterChainMatch, Listener, ListenerFilter, filter,
    listener_filter,
};
use proto::tls_inspector::TlsInspector;
use proto::{duration, pack, u32_value};

use super::downstream_tls::build_transport_socket;
use super::endpoint::{address, bound_address};
use super::hcm::build_connection_manager;
use super::keepalive::tcp_keepalive;
use super::l4::{datagram_filter, named_filter};
use crate::Settings;

/// What Envoy holds of a connection's data before it reads no more. Messages of any length still pass.
const CONNECTION_BUFFER_BYTES: u32 = 32 * 1024;

/// For a client to send the beginning of its TLS handshake, and then for the rest of it.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The listener of one port.
///
/// It depends on the Gateway, its policies and the settings, never on routes: a listener that changes drains all
/// its connections. Where chains alone change, Envoy drains the connections of those chains and no others.
pub(super) fn build_listener(ir: &ListenerIr, settings: &Settings) -> Listener {
    let mut addresses = ir.bind.addresses.iter().map(|&ip| listen_address(ip, ir));
    let main = addresses.next();
    let more =
        addresses.map(|address| AdditionalAddress { address: Some(address), ..AdditionalAddress::default() });
    let has_connections = ir.transport != Transport::Udp;
    Listener {
        name: ir.name.to_string(),
        address: main,
        additional_addresses: more.collect(),
        stat_prefix: ir.name.to_string(),
        listener_filters: listener_filters(ir),
        listener_filters_timeout: (ir.transport == Transport::Tls).then(|| duration(HANDSHAKE_TIMEOUT)),
        filter_chains: ir.chains.iter().map(|chain| build_chain(ir, chain, settings)).collect(),
        per_connection_buffer_limit_bytes: Some(u32_value(CONNECTION_BUFFER_BYTES)),
        // Between two accepted connections, a worker serves those that it has.
        max_connections_to_accept_per_socket_event: has_connections.then(|| u32_value(1)),
        // The additional addresses inherit it.
        tcp_keepalive: has_connections.then(tcp_keepalive),
        ..Listener::default()
    }
}

/// Reads the server name out of the first message of the handshake.
fn listener_filters(ir: &ListenerIr) -> Vec<ListenerFilter> {
    let inspector = || ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        config_type: Some(listener_filter::ConfigType::TypedConfig(pack(&TlsInspector::default()))),
        ..ListenerFilter::default()
    };
    match ir.transport {
        Transport::Plain => Vec::new(),
        Transport::Udp => vec![datagram_filter(&ir.name, &ir.datagrams)],
        Transport::Tls => vec![inspector()],
    }
}

fn build_chain(ir: &ListenerIr, chain: &FilterChainIr, settings: &Settings) -> FilterChain {
    let filters = match &chain.protocol {
        Protocol::Http(http) => {
            let manager = build_connection_manager(ir, http, settings);
            vec![network_filter("envoy.filters.network.http_connection_manager", pack(&manager))]
        }
        Protocol::Bytes(name) => vec![named_filter(name)],
        // Envoy closes a connection that no filter takes.
        Protocol::Closed => Vec::new(),
    };
    let is_tls = ir.transport == Transport::Tls;
    FilterChain {
        filters,
        filter_chain_match: is_tls.then(|| chain_match(&chain.server_name)),
        name: if is_tls { chain.server_name.to_string() } else { String::new() },
        transport_socket: chain.tls.as_ref().map(|tls| build_transport_socket(tls, &chain.protocol)),
        transport_socket_connect_timeout: chain.tls.as_ref().map(|_| duration(HANDSHAKE_TIMEOUT)),
        ..FilterChain::default()
    }
}

/// The connections with TLS that ask for a name. Envoy tries the name itself, then wildcards from the longest to the
/// shortest, then the chain without a name.
fn chain_match(server_name: &Hostname) -> FilterChainMatch {
    FilterChainMatch {
        server_names: (*server_name != Hostname::Any).then(|| server_name.to_string()).into_iter().collect(),
        transport_protocol: "tls".to_owned(),
        ..FilterChainMatch::default()
    }
}

fn network_filter(name: &str, config: proto::wkt::Any) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(filter::ConfigType::TypedConfig(config)) }
}

fn listen_address(ip: IpAddr, ir: &ListenerIr) -> Address {
    let mut socket = bound_address(ip, ir.bind.port);
    if ir.transport == Transport::Udp {
        socket.protocol = proto_socket::Protocol::Udp.into();
    }
    // Every interface in both families by one socket, unless IPv4 has a socket of its own.
    socket.ipv4_compat &= !ir.bind.addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    address(socket)
}
