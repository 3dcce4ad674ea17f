//! What a deployer must provide for a Gateway.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ir::{GatewayName, InfraPort, PortProtocol, ProxyInfra};
use sha2::{Digest as _, Sha256};

use super::listener::ListenerProtocol;
use crate::gateway::facts::{GatewayFace, Placed};

/// The class of which users find the proxy of Gateway `NAME` under the name `gloo-proxy-NAME`.
const GLOO_CLASS: &str = "gloo-gateway";

const GLOO_PREFIX: &str = "gloo-proxy-";

/// The longest name of a Service (RFC 1035: a label).
const LONGEST_NAME: usize = 63;

/// The proxy of a Gateway.
pub(crate) fn proxy_infra(name: &GatewayName, face: &GatewayFace, placed: &Placed) -> ProxyInfra {
    let (gateway, addresses, listeners) = (&face.gateway, &placed.addresses, &placed.listeners);
    let mut ports: BTreeMap<(u16, PortProtocol), String> = BTreeMap::new();
    for listener in listeners.iter().filter(|listener| listener.is_served()) {
        if let Some(port) = listener.port {
            let is_udp = listener.protocol == Some(ListenerProtocol::Udp);
            let protocol = if is_udp { PortProtocol::Udp } else { PortProtocol::Tcp };
            ports.entry((port, protocol)).or_insert_with(|| listener.name.to_string());
        }
    }
    let infrastructure = gateway.spec.infrastructure.as_ref();
    let unspecified = addresses.iter().all(IpAddr::is_unspecified);
    ProxyInfra {
        gateway: name.clone(),
        name: proxy_name(&name.name, &gateway.spec.gateway_class_name),
        uid: gateway.metadata.uid.clone(),
        is_being_deleted: gateway.metadata.deletion_timestamp.is_some(),
        addresses: if unspecified { Vec::new() } else { addresses.clone() },
        wanted_address: face.wanted.ips.first().copied(),
        ports: ports
            .into_iter()
            .map(|((port, protocol), listener)| InfraPort { port, protocol, listener })
            .collect(),
        labels: infrastructure.and_then(|i| i.labels.clone()).unwrap_or_default(),
        annotations: infrastructure.and_then(|i| i.annotations.clone()).unwrap_or_default(),
    }
}

/// What all that is made for a Gateway is named: as the Gateway, or as Gloo's users expect it.
///
/// A name that is no DNS label, or that a Gateway of another class could have as well, gets a hash: the
/// service account's name decides which configuration a proxy gets, so no two Gateways may share it.
pub(crate) fn proxy_name(gateway: &str, class: &str) -> String {
    let is_gloo = class == GLOO_CLASS;
    let wanted = if is_gloo { format!("{GLOO_PREFIX}{gateway}") } else { gateway.to_owned() };
    let is_ambiguous = !is_gloo && gateway.starts_with(GLOO_PREFIX);
    if is_label(&wanted) && !is_ambiguous && !looks_hashed(&wanted) {
        return wanted;
    }
    let readable: String = wanted.chars().map(|c| if c == '.' { '-' } else { c }).collect();
    let readable = if readable.starts_with(|c: char| c.is_ascii_lowercase()) {
        readable
    } else {
        format!("gw-{readable}")
    };
    let hash = hash(&format!("{class}/{gateway}"));
    let room = LONGEST_NAME.saturating_sub(hash.len()).saturating_sub(1);
    let head: String = readable.chars().take(room).collect();
    format!("{}-{hash}", head.trim_end_matches('-'))
}

fn is_label(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(inner)
}

/// Whether a name ends as one with a hash does; such a name gets a hash of its own.
fn looks_hashed(name: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.rsplit_once('-').is_some_and(|(_, end)| end.len() == 16 && end.chars().all(is_hex))
}

/// 64 bits of SHA-256 in hexadecimal digits: no two Gateways may share a name, also if somebody looks for
/// one that would.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_named_as_its_gateway_or_as_gloos_users_expect_it() {
        assert_eq!(proxy_name("ai-gateway", "chancery"), "ai-gateway");
        assert_eq!(proxy_name("ai-gateway", "kgateway"), "ai-gateway");
        assert_eq!(proxy_name("ai-gateway", "gloo-gateway"), "gloo-proxy-ai-gateway");
    }

    #[test]
    fn every_name_is_a_label_and_no_two_gateways_share_one() {
        let long = "a".repeat(63);
        let longer = "a".repeat(253);
        let rows = [
            ("a.b", "chancery"),
            ("a-b", "chancery"),
            ("1a", "chancery"),
            (long.as_str(), "chancery"),
            (long.as_str(), "gloo-gateway"),
            (longer.as_str(), "chancery"),
            ("gloo-proxy-x", "chancery"),
            ("x", "gloo-gateway"),
        ];
        let mut names: Vec<String> = rows.iter().map(|(gateway, class)| proxy_name(gateway, class)).collect();
        assert!(names.iter().all(|name| is_label(name)), "{names:?}");
        // Not even one that is named as another's hashed name.
        let thief = proxy_name(&names[0], "chancery");
        names.push(thief);
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }
}
