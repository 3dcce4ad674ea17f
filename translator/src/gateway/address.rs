//! Which address each Gateway's proxy binds, and which ports it cannot have.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crds::NamespacedName;
use ir::RESERVED_PORTS;

use super::listener::Listener;
use crate::{Addressing, Settings};

/// The address of each Gateway, and which of its ports another Gateway has there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct AddressPlan {
    pub gateways: BTreeMap<NamespacedName, Place>,
}

/// Where a Gateway's proxy listens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub address: IpAddr,
    /// Ports that it cannot have there, and whose they are.
    pub taken: BTreeMap<u16, NamespacedName>,
}

impl AddressPlan {
    /// Whether Gateways share addresses, so that what one gets depends on the others.
    pub(crate) fn is_needed(settings: &Settings) -> bool {
        match settings.addressing {
            Addressing::AllInterfaces | Addressing::Service => false,
            Addressing::Loopback | Addressing::Fixed(_) => true,
        }
    }

    /// Gives every Gateway its address. `gateways` come in the order in which they have precedence, each with the
    /// ports that it wants.
    pub(crate) fn new<'a>(
        gateways: impl Iterator<Item = (&'a NamespacedName, Vec<u16>)>,
        settings: &Settings,
    ) -> Self {
        let mut owners: BTreeMap<(IpAddr, u16), NamespacedName> = BTreeMap::new();
        let mut plan = Self::default();
        for (gateway, ports) in gateways {
            let address = match settings.addressing {
                Addressing::Fixed(address) => address,
                _ => free_loopback(&owners, &ports),
            };
            let mut taken = BTreeMap::new();
            for port in ports {
                let owner = owners.entry((address, port)).or_insert_with(|| gateway.clone());
                if owner != gateway {
                    taken.insert(port, owner.clone());
                }
            }
            plan.gateways.insert(gateway.clone(), Place { address, taken });
        }
        plan
    }
}

/// Marks the listeners whose port no Gateway can have here.
pub(crate) fn refuse_ports(listeners: &mut [Listener], settings: &Settings) {
    for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
        let Some(port) = listener.port else { continue };
        if settings.addressing == Addressing::Service && RESERVED_PORTS.contains(&port) {
            // Ports at which the proxy itself answers in a cluster.
            listener.unbound = Some(format!("port {port} is the proxy's own; choose another"));
        } else if port < settings.lowest_port {
            listener.unbound = Some(privileged(port));
        }
    }
}

/// Gives the listeners of a Gateway their address, and marks those whose port another Gateway has there.
pub(crate) fn place(
    gateway: &NamespacedName,
    listeners: &mut [Listener],
    plan: Option<&AddressPlan>,
) -> Vec<IpAddr> {
    let Some(Place { address, taken }) = plan.and_then(|plan| plan.gateways.get(gateway)) else {
        return vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
    };
    for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
        if let Some((port, owner)) = listener.port.and_then(|port| taken.get_key_value(&port)) {
            listener.unbound = Some(format!("port {port} on {address} belongs to Gateway {owner}"));
        }
    }
    vec![*address]
}

/// The first loopback address on which none of the ports is taken.
fn free_loopback(owners: &BTreeMap<(IpAddr, u16), NamespacedName>, ports: &[u16]) -> IpAddr {
    let mut candidates = (1..=u8::MAX).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
    let is_free = |address: &IpAddr| ports.iter().all(|port| !owners.contains_key(&(*address, *port)));
    // 255 Gateways on one port: the rest share the first address, and their listeners say so.
    candidates.find(is_free).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn privileged(port: u16) -> String {
    format!(
        "port {port} needs a right that this process does not have: choose a port from 1024 on, run as root, \
         or allow it with `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
    )
}
