//! Listeners.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ir::{FilterChainIr, ListenerIr, Protocol};
use proto::core::Address;
use proto::listener::{AdditionalAddress, Filter, FilterChain, Listener, filter};
use proto::{pack, u32_value};

use super::endpoint::{address, socket_address};
use super::hcm::build_connection_manager;
use super::keepalive::tcp_keepalive;
use crate::Settings;

/// What Envoy holds of a connection's data before it reads no more. Messages of any length still pass.
const CONNECTION_BUFFER_BYTES: u32 = 32 * 1024;

/// The listener of one port.
///
/// It depends on the port and the settings alone, never on routes: a listener that changes drains all
/// its connections.
pub(super) fn build_listener(ir: &ListenerIr, settings: &Settings) -> Listener {
    let mut addresses = ir.bind.addresses.iter().map(|&ip| listen_address(ip, ir));
    let main = addresses.next();
    let more =
        addresses.map(|address| AdditionalAddress { address: Some(address), ..AdditionalAddress::default() });
    Listener {
        name: ir.name.to_string(),
        address: main,
        additional_addresses: more.collect(),
        stat_prefix: ir.name.to_string(),
        filter_chains: ir.chains.iter().map(|chain| build_chain(ir, chain, settings)).collect(),
        per_connection_buffer_limit_bytes: Some(u32_value(CONNECTION_BUFFER_BYTES)),
        // Between two accepted connections, a worker serves those that it has.
        max_connections_to_accept_per_socket_event: Some(u32_value(1)),
        // The additional addresses inherit it.
        tcp_keepalive: Some(tcp_keepalive()),
        ..Listener::default()
    }
}

fn build_chain(ir: &ListenerIr, chain: &FilterChainIr, settings: &Settings) -> FilterChain {
    let filter = match &chain.protocol {
        Protocol::Http(http) => Filter {
            name: "envoy.filters.network.http_connection_manager".to_owned(),
            config_type: Some(filter::ConfigType::TypedConfig(pack(&build_connection_manager(
                ir, http, settings,
            )))),
        },
    };
    FilterChain { filters: vec![filter], ..FilterChain::default() }
}

fn listen_address(ip: IpAddr, ir: &ListenerIr) -> Address {
    let mut socket = socket_address(ip, ir.bind.port);
    // Every interface in both families by one socket, unless IPv4 has a socket of its own.
    socket.ipv4_compat = ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
        && !ir.bind.addresses.contains(&IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    address(socket)
}
