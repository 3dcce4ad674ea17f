//! What a Gateway says, seen alone; then with its addresses; and what a deployer must provide for it.

use crds::NamespacedName;
use crds::gateway_api::Gateway;
use ir::EscapedSlashes;

use super::address::{self, AddressPlan};
use super::listener;
use super::parameters;
use super::{escaped_slashes, infra, tls};
use crate::gateway::facts::{GatewayFace, Parameters, Placed, Proxy, gateway_name};
use crate::gateway::view::View;
use crate::status::{Reason, Rejection};

/// Reads a Gateway; `None` if it is not ours.
pub(crate) fn read(view: &impl View, key: &NamespacedName) -> Option<GatewayFace> {
    let gateway = view.object::<Gateway>(key)?;
    let class = view.class(&gateway.spec.gateway_class_name)?;
    let mut listeners = listener::listeners(gateway);
    tls::resolve(view, key, gateway, &mut listeners);
    address::refuse_ports(&mut listeners, view.settings());
    let (parameters, rejected) = match parameters::of_gateway(view, key, gateway, &class) {
        Ok(parameters) => (parameters, unsupported(gateway)),
        Err(rejection) => (Parameters::default(), unsupported(gateway).or(Some(rejection))),
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
        rejected,
    })
}

/// What a Gateway asks for that it must not go without.
fn unsupported(gateway: &Gateway) -> Option<Rejection> {
    let spec = &gateway.spec;
    if spec.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
        return Some(Rejection::new(Reason::UnsupportedAddress, "spec.addresses: is not supported yet"));
    }
    None
}

/// Gives every Gateway of ours its address.
pub(crate) fn plan(view: &impl View) -> AddressPlan {
    let gateways = view.gateways();
    let wanted = gateways.iter().filter(|(_, face)| face.rejected.is_none()).map(|(key, face)| {
        let ports = face.listeners.iter().filter(|listener| listener.is_served());
        (key, ports.filter_map(|listener| listener.port).collect())
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
        false => address::place(key, &mut listeners, view.address_plan().as_deref()),
    };
    Some(Placed { gateway: key.clone(), listeners, addresses, is_rejected })
}

/// What a deployer must provide for the Gateway.
pub(crate) fn proxy(view: &impl View, key: &NamespacedName) -> Option<Proxy> {
    let (face, placed) = (view.gateway(key)?, view.placement(key)?);
    let name = gateway_name(key);
    Some(Proxy {
        infra: infra::proxy_infra(&name, &face.gateway, &placed.addresses, &placed.listeners),
        parameters: face.parameters.kube.clone(),
        is_served: placed.is_served(),
    })
}
