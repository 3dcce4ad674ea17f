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
    /// Never empty.
    pub addresses: Vec<IpAddr>,
    /// Ports that it cannot have there, and whose they are.
    pub taken: BTreeMap<u16, NamespacedName>,
}

/// What a Gateway needs.
pub(crate) struct Wanted<'a> {
    pub ports: Vec<u16>,
    /// The addresses that it asks for; empty: any.
    pub ips: &'a [IpAddr],
}

impl AddressPlan {
    /// Whether Gateways share addresses, so that what one gets depends on the others.
    pub(crate) fn is_needed(settings: &Settings) -> bool {
        match settings.addressing {
            Addressing::AllInterfaces | Addressing::Service => false,
            Addressing::Loopback | Addressing::Fixed(_) => true,
        }
    }

    /// Gives every Gateway its addresses. `gateways` come in the order in which they have precedence; those that ask for
    /// addresses go before those that take any.
    pub(crate) fn new<'a>(
        gateways: impl Iterator<Item = (&'a NamespacedName, Wanted<'a>)>,
        settings: &Settings,
    ) -> Self {
        let mut owners: BTreeMap<(IpAddr, u16), NamespacedName> = BTreeMap::new();
        let mut plan = Self::default();
        let (choosing, others): (Vec<_>, Vec<_>) = gateways.partition(|(_, wanted)| !wanted.ips.is_empty());
        for (gateway, Wanted { ports, ips }) in choosing.into_iter().chain(others) {
            let addresses = match settings.addressing {
                Addressing::Fixed(address) => vec![address],
                _ if !ips.is_empty() => ips.to_vec(),
                _ => vec![free_loopback(&owners, &ports)],
            };
            let mut taken = BTreeMap::new();
            for (address, port) in addresses.iter().flat_map(|ip| ports.iter().map(move |port| (*ip, *port)))
            {
                let owner = owners.entry((address, port)).or_insert_with(|| gateway.clone());
                if owner != gateway {
                    taken.insert(port, owner.clone());
                }
            }
            plan.gateways.insert(gateway.clone(), Place { addresses, taken });
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
            listener.unbound = Some(format!("{port} is the proxy's own; choose another"));
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
    settings: &Settings,
) -> Vec<IpAddr> {
    let Some(Place { addresses, taken }) = plan.and_then(|plan| plan.gateways.get(gateway)) else {
        return vec![settings.families.every_interface()];
    };
    for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
        if let Some((port, owner)) = listener.port.and_then(|port| taken.get_key_value(&port)) {
            let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
            let shown = shown.join(", ");
            listener.unbound = Some(format!("{port} on {shown} belongs to Gateway {owner}"));
        }
    }
    addresses.clone()
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
        "{port} needs a right that this process does not have: choose a port from 1024 on, run as root, \
         or allow it with `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
    )
}
