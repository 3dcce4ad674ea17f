//! Which addresses a proxy may be pointed at: the guard against requests that a tenant makes the
//! proxy send to itself or to the machine that it runs on.
//!
//! What is written is judged. What a name stands for is known to the resolver of the proxy alone, and may be another
//! address a moment later; that is for a NetworkPolicy (docs/cluster.md, "What a proxy may reach").

use std::net::{IpAddr, Ipv6Addr};

use crate::Settings;

/// Where a cloud's metadata service is in IPv6; the other one is link-local.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether a proxy may be pointed at an address. Link-local ones hold metadata services; loopback
/// is the proxy itself, except on a laptop, where it is where backends live.
pub(crate) fn is_allowed_address(address: IpAddr, settings: &Settings) -> bool {
    let address = address.to_canonical();
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == METADATA_V6,
    };
    let loopback_is_self = settings.addressing.is_own_network();
    !(link_local
        || address.is_unspecified()
        || address.is_multicast()
        || (address.is_loopback() && loopback_is_self))
}

/// Whether a proxy may be pointed at a host: an address as [`is_allowed_address`] has it, or a name,
/// except those that always mean loopback (RFC 6761 §6.3).
pub(crate) fn is_allowed_host(host: &str, settings: &Settings) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return is_allowed_address(address, settings);
    }
    let last_label = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    // A name that ends in a number is an address in an old notation (`127.1`, `0x7f.1`), which
    // resolvers understand and a check of addresses would not.
    if last_label.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    !last_label.eq_ignore_ascii_case("localhost") || !settings.addressing.is_own_network()
}
