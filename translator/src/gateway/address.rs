//! Which address each Gateway's proxy binds, and which ports it cannot have.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use crds::NamespacedName;
use ir::RESERVED_PORTS;

use super::listener::Listener;
use crate::{Addressing, Settings};

/// What the Gateways so far have taken: which ports on which address, and who.
#[derive(Default)]
pub(crate) struct AddressPlan {
    taken: BTreeMap<(IpAddr, u16), NamespacedName>,
}

impl AddressPlan {
    /// Gives a Gateway its addresses, and marks the listeners whose port it cannot have. To be
    /// called in the order in which Gateways have precedence.
    pub(crate) fn assign(
        &mut self,
        gateway: &NamespacedName,
        listeners: &mut [Listener<'_>],
        settings: &Settings,
    ) -> Vec<IpAddr> {
        for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
            listener.unbound = listener.port.filter(|port| *port < settings.lowest_port).map(privileged);
        }
        let address = match settings.addressing {
            Addressing::AllInterfaces => return vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
            Addressing::Service => {
                refuse_reserved(listeners);
                return vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)];
            }
            Addressing::Fixed(address) => address,
            Addressing::Loopback => self.free_loopback(listeners),
        };
        for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
            let Some(port) = listener.port else { continue };
            match self.taken.get(&(address, port)) {
                Some(owner) if owner != gateway => {
                    listener.unbound = Some(format!("port {port} on {address} belongs to Gateway {owner}"));
                }
                Some(_) => {}
                None => drop(self.taken.insert((address, port), gateway.clone())),
            }
        }
        vec![address]
    }

    /// The first loopback address on which none of the ports is taken.
    fn free_loopback(&self, listeners: &[Listener<'_>]) -> IpAddr {
        let ports: Vec<u16> = listeners.iter().filter(|l| l.is_served()).filter_map(|l| l.port).collect();
        let candidates = (1..=u8::MAX).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)));
        let is_free =
            |address: &IpAddr| ports.iter().all(|port| !self.taken.contains_key(&(*address, *port)));
        let mut candidates = candidates.filter(is_free);
        // 255 Gateways on one port: the rest share the first address, and their listeners say so.
        candidates.next().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// Ports at which the proxy itself answers in a cluster.
fn refuse_reserved(listeners: &mut [Listener<'_>]) {
    for listener in listeners.iter_mut().filter(|listener| listener.is_served()) {
        let reserved = listener.port.filter(|port| RESERVED_PORTS.contains(port));
        listener.unbound = reserved.map(|port| format!("port {port} is the proxy's own; choose another"));
    }
}

fn privileged(port: u16) -> String {
    format!(
        "port {port} needs a right that this process does not have: choose a port from 1024 on, run as root, \
         or allow it with `sysctl net.ipv4.ip_unprivileged_port_start={port}`"
    )
}
