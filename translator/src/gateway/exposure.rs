//! Where a Gateway can be reached in a cluster: what its Service says.

use crds::NamespacedName;
use crds::core::Service;
use crds::gateway_api::{self, Gateway};

use crate::gateway::view::View;
use crate::status::StatusAddress;

/// The addresses of the Service that is named as the proxy, or why there are none yet.
pub(crate) fn addresses(
    view: &impl View,
    key: &NamespacedName,
    gateway: &Gateway,
    proxy_name: &str,
) -> Result<Vec<StatusAddress>, String> {
    let service_key = NamespacedName::new(&key.namespace, proxy_name);
    let Some(service) = view.object::<Service>(&service_key) else {
        return Err(format!("Service {service_key} does not exist yet"));
    };
    if !belongs_to(service, key, gateway) {
        return Err(format!(
            "Service {service_key} exists and does not belong to this Gateway: rename or delete one of them"
        ));
    }
    let spec = service.spec.as_ref();
    let is_load_balancer = spec.and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
    let addresses = if is_load_balancer { load_balancer(service) } else { cluster_ips(service) };
    match addresses.is_empty() {
        true if is_load_balancer => {
            Err(format!("Service {service_key} has no address yet: nothing in the cluster has assigned one"))
        }
        true => Err(format!("Service {service_key} has no cluster IP")),
        false => Ok(addresses),
    }
}

/// By the owner reference, which the control plane sets. A Service that somebody else made under the
/// same name must not lend the Gateway its addresses.
fn belongs_to(service: &Service, key: &NamespacedName, gateway: &Gateway) -> bool {
    service.metadata.owner_references.iter().flatten().any(|owner| {
        let (group, _) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        let is_same = gateway.metadata.uid.as_ref().is_none_or(|uid| *uid == owner.uid);
        group == gateway_api::GROUP && owner.kind == "Gateway" && *owner.name == *key.name && is_same
    })
}

fn load_balancer(service: &Service) -> Vec<StatusAddress> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
    let ingress = ingress.filter_map(|ingress| match (&ingress.ip, &ingress.hostname) {
        (Some(ip), _) => Some(StatusAddress::Ip(ip.clone())),
        (None, Some(hostname)) => Some(StatusAddress::Hostname(hostname.clone())),
        (None, None) => None,
    });
    ingress.collect()
}

fn cluster_ips(service: &Service) -> Vec<StatusAddress> {
    let spec = service.spec.as_ref();
    let all = spec.and_then(|spec| spec.cluster_ips.clone()).unwrap_or_default();
    let one = spec.and_then(|spec| spec.cluster_ip.clone()).filter(|_| all.is_empty());
    let is_address = |ip: &String| !ip.is_empty() && ip != "None";
    all.into_iter().chain(one).filter(is_address).map(StatusAddress::Ip).collect()
}
