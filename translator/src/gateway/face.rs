//! What a Gateway says, seen alone; then with its addresses; and what a deployer must provide for it.

use crds::NamespacedName;
use crds::gateway_api::Gateway;
use ir::EscapedSlashes;

use super::address::{self, AddressPlan, Wanted};
use super::listener;
use super::listener_set;
use super::parameters;
use super::wanted_address::{self, WantedAddresses};
use super::{escaped_slashes, infra, tls};
use crate::gateway::facts::{GatewayFace, Parameters, Placed, Proxy, gateway_name};
use crate::gateway::view::View;

/// Reads a Gateway; `None` if it is not ours.
pub(crate) fn read(view: &impl View, key: &NamespacedName) -> Option<GatewayFace> {
    let gateway = view.object::<Gateway>(key)?;
    let class = view.class(&gateway.spec.gateway_class_name)?;
    let mut listeners = listener::listeners(gateway, &listener_set::of_gateway(view, key, gateway));
    tls::resolve(view, key, gateway, &mut listeners);
    address::refuse_ports(&mut listeners, view.settings());
    let (parameters, rejected) = match parameters::of_gateway(view, key, gateway, &class) {
        Ok(parameters) => (parameters, None),
        Err(rejection) => (Parameters::default(), Some(rejection)),
    };
    let wanted = wanted_address::read(gateway, parameters.kube.as_deref(), view.settings());
    let (wanted, rejected) = match wanted {
        Ok(wanted) => (wanted, rejected),
        Err(rejection) => (WantedAddresses::default(), Some(rejection)),
    };
    let (escaped_slashes, rejected) = match escaped_slashes::of_gateway(gateway) {
        Ok(escaped_slashes) => (escaped_slashes, rejected),
        Err(rejection) => (EscapedSlashes::default(), rejected.or(Some(rejection))),
    };
    Some(GatewayFace {
        gateway: gateway.clone(),
        listeners,
        parameters,
        named_parameters: parameters::named_by_gateway(view, key, gateway),
        escaped_slashes,
        client_certificate: tls::client_certificate(view, key, gateway),
        wanted,
        rejected,
    })
}

/// Gives every Gateway of ours its address.
pub(crate) fn plan(view: &impl View) -> AddressPlan {
    let gateways = view.gateways();
    let wanted = gateways.iter().filter(|(_, face)| face.rejected.is_none()).map(|(key, face)| {
        let ports = face.listeners.iter().filter(|listener| listener.is_served());
        (key, Wanted { ports: ports.filter_map(|listener| listener.port).collect(), ips: &face.wanted.ips })
    });
    AddressPlan::new(wanted, view.settings())
}

/// The Gateway with its addresses.
pub(crate) fn place(view: &impl View, key: &NamespacedName) -> Option<Placed> {
    let face = view.gateway(key)?;
    let mut listeners = face.listeners.clone();
    let is_rejected = face.rejected.is_some();
    let addresses = match is_rejected {
        true => Vec::new(),
        false => address::place(key, &mut listeners, view.address_plan().as_deref(), view.settings()),
    };
    Some(Placed { gateway: key.clone(), listeners, addresses, is_rejected })
}

/// What a deployer must provide for the Gateway.
pub(crate) fn proxy(view: &impl View, key: &NamespacedName) -> Option<Proxy> {
    let (face, placed) = (view.gateway(key)?, view.placement(key)?);
    let name = gateway_name(key);
    Some(Proxy {
        infra: infra::proxy_infra(&name, &face, &placed),
        parameters: face.parameters.kube.clone(),
        is_served: placed.is_served(),
    })
}
