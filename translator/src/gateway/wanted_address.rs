//! The addresses that a Gateway asks for (`spec.addresses`).

use std::net::IpAddr;

use crds::gateway_api::Gateway;
use crds::gateway_parameters::{KubeParameters, ServiceType};

use crate::status::{Detail, Reason, Rejection, StatusAddress, joined};
use crate::{Addressing, Settings};

/// What a Gateway asks for; by default for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct WantedAddresses {
    /// Addresses that it shall have, and no others; empty: whatever is given to it.
    pub ips: Vec<IpAddr>,
    /// Why it cannot have an address that it asks for.
    pub unusable: Option<Rejection>,
    /// Whether it asks for an IP address without saying which.
    pub wants_ip: bool,
}

/// Reads the addresses.
///
/// # Errors
/// There is one of a type that nobody could serve here.
pub(crate) fn read(
    gateway: &Gateway,
    parameters: Option<&KubeParameters>,
    settings: &Settings,
) -> Result<WantedAddresses, Rejection> {
    let mut wanted = WantedAddresses::default();
    let mut unusable = Vec::new();
    for (index, address) in gateway.spec.addresses.iter().flatten().enumerate() {
        let field = format!("spec.addresses[{index}]");
        let kind = address.r#type.as_deref().unwrap_or("IPAddress");
        let value = address.value.as_deref().filter(|value| !value.is_empty());
        match (kind, value) {
            ("IPAddress", None) => wanted.wants_ip = true,
            ("IPAddress", Some(value)) => match usable(value, &wanted.ips, parameters, settings) {
                Ok(ip) => wanted.ips.push(ip),
                Err(message) => unusable.push(Detail::at(field, message)),
            },
            ("Hostname", None) => {
                let text = "a host name cannot be asked for; an IPAddress can";
                wanted.unusable = Some(Rejection::at(Reason::AddressNotAssigned, field, text));
            }
            ("Hostname", Some(value)) => {
                unusable.push(Detail::at(field, format!("nothing here can give the host name {value:?}")));
            }
            (other, _) => {
                let text = format!("{other:?} is not supported; IPAddress is");
                return Err(Rejection::at(Reason::UnsupportedAddress, format!("{field}.type"), text));
            }
        }
    }
    match unusable.as_slice() {
        [] => {}
        [only] => {
            wanted.unusable = Some(Rejection { reason: Reason::AddressNotUsable, detail: only.clone() });
        }
        several => {
            let text = joined(several);
            wanted.unusable = Some(Rejection::new(Reason::AddressNotUsable, text));
        }
    }
    Ok(wanted)
}

/// The address, if it can be asked for beside those that are.
fn usable(
    value: &str,
    others: &[IpAddr],
    parameters: Option<&KubeParameters>,
    settings: &Settings,
) -> Result<IpAddr, String> {
    let ip: IpAddr = value.parse().map_err(|_| format!("{value:?} is not an IP address"))?;
    if ip.is_unspecified() || ip.is_multicast() {
        return Err(format!("{ip} is not the address of one host"));
    }
    let service = parameters.and_then(|parameters| parameters.service.as_ref());
    let service = service.and_then(|service| service.type_).unwrap_or_default();
    match settings.addressing {
        Addressing::Service if service != ServiceType::LoadBalancer => {
            Err(format!("{ip} cannot be asked for: the Service is not of type LoadBalancer"))
        }
        Addressing::Service if !others.is_empty() => {
            Err(format!("{ip} cannot be asked for: a Service has one address that it can ask for"))
        }
        Addressing::Fixed(bound) if bound != ip => {
            Err(format!("{ip} cannot be bound: all Gateways bind {bound} (--bind)"))
        }
        Addressing::AllInterfaces => Err(format!("{ip} cannot be bound alone: every interface is")),
        Addressing::Service | Addressing::Fixed(_) | Addressing::Loopback => Ok(ip),
    }
}

impl WantedAddresses {
    /// Of the addresses that a Gateway has been given those that it asks for, or why it has not what it asks for.
    pub(crate) fn of_given(&self, given: Vec<StatusAddress>) -> Result<Vec<StatusAddress>, Rejection> {
        let ip = |address: &StatusAddress| match address {
            StatusAddress::Ip(text) => text.parse::<IpAddr>().ok(),
            StatusAddress::Hostname(_) => None,
        };
        let is_wanted = |address: &StatusAddress| match ip(address) {
            Some(ip) => self.ips.is_empty() || self.ips.contains(&ip),
            None => self.ips.is_empty() && !self.wants_ip,
        };
        let missing =
            self.ips.iter().find(|wanted| !given.iter().any(|address| ip(address) == Some(**wanted)));
        if let Some(missing) = missing {
            let text = format!("{missing} has not been given to the Gateway's Service");
            return Err(Rejection::at(Reason::AddressNotUsable, "spec.addresses", text));
        }
        let wanted: Vec<_> = given.into_iter().filter(is_wanted).collect();
        if self.wants_ip && wanted.is_empty() {
            let text = "the Gateway's Service has been given no IP address";
            return Err(Rejection::at(Reason::AddressNotAssigned, "spec.addresses", text));
        }
        Ok(wanted)
    }
}
