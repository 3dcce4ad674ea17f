//! Which Service has which address.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::Value;

/// The first two bytes of every address: 10.90.0.0/16.
const NETWORK: [u8; 2] = [10, 90];

/// The addresses that are taken, by the Service's uid.
#[derive(Debug, Default)]
pub(super) struct Pool {
    taken: BTreeMap<Ipv4Addr, String>,
}

impl Pool {
    /// Remembers the address that a Service has already.
    pub(super) fn adopt(&mut self, service: &Value) {
        if let Some(address) = published(service) {
            self.taken.insert(address, uid(service));
        }
    }

    /// The address that is to be published for a Service; `None` if it has one, wants none, or cannot
    /// have the one that it asks for.
    pub(super) fn assign(&mut self, service: &Value) -> Option<String> {
        let spec = &service["spec"];
        // A class means another implementation than the default one.
        if spec["type"] != "LoadBalancer" || !spec["loadBalancerClass"].is_null() {
            self.release(service);
            return None;
        }
        if published(service).is_some() {
            self.adopt(service);
            return None;
        }
        let uid = uid(service);
        let wanted = spec["loadBalancerIP"].as_str().filter(|wanted| !wanted.is_empty());
        let address = match wanted {
            Some(wanted) => {
                let wanted = wanted.parse().ok().filter(in_pool)?;
                self.is_free(wanted, &uid).then_some(wanted)?
            }
            None => self.first_free(&uid)?,
        };
        self.taken.retain(|_, owner| *owner != uid);
        self.taken.insert(address, uid);
        Some(address.to_string())
    }

    /// Frees the address of a Service.
    pub(super) fn release(&mut self, service: &Value) {
        let uid = uid(service);
        self.taken.retain(|_, owner| *owner != uid);
    }

    fn first_free(&self, uid: &str) -> Option<Ipv4Addr> {
        let [a, b] = NETWORK;
        let mut candidates = (0..=u8::MAX).flat_map(|c| (1..u8::MAX).map(move |d| Ipv4Addr::new(a, b, c, d)));
        candidates.find(|&address| self.is_free(address, uid))
    }

    fn is_free(&self, address: Ipv4Addr, uid: &str) -> bool {
        self.taken.get(&address).is_none_or(|owner| owner == uid)
    }
}

/// The address of IPv6 that belongs to one of the pool: `fd00:90::3:4` to 10.90.3.4. Services of all families share one pool.
pub(super) fn in_v6(address: &str) -> String {
    let octets = address.parse::<Ipv4Addr>().map(|address| address.octets()).unwrap_or_default();
    let [_, _, third, fourth] = octets.map(u16::from);
    Ipv6Addr::new(0xfd00, 0x90, 0, 0, 0, 0, third, fourth).to_string()
}

fn of_v6(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [0xfd00, 0x90, 0, 0, 0, 0, third, fourth] = address.segments() else { return None };
    let [a, b] = NETWORK;
    Some(Ipv4Addr::new(a, b, u8::try_from(third).ok()?, u8::try_from(fourth).ok()?))
}

fn in_pool(address: &Ipv4Addr) -> bool {
    address.octets().starts_with(&NETWORK)
}

/// The address of the pool in a Service's status.
fn published(service: &Value) -> Option<Ipv4Addr> {
    let address = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str()?;
    match address.parse().ok()? {
        IpAddr::V4(address) => Some(address).filter(in_pool),
        IpAddr::V6(address) => of_v6(address),
    }
}

fn uid(service: &Value) -> String {
    service["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Pool;

    fn service(uid: &str, spec: &Value) -> Value {
        json!({"metadata": {"uid": uid}, "spec": spec})
    }

    fn load_balancer(uid: &str) -> Value {
        service(uid, &json!({"type": "LoadBalancer"}))
    }

    #[test]
    fn every_service_gets_an_address_of_its_own_and_frees_it_with_its_end() {
        let mut pool = Pool::default();
        assert_eq!(pool.assign(&load_balancer("a")).as_deref(), Some("10.90.0.1"));
        assert_eq!(pool.assign(&load_balancer("b")).as_deref(), Some("10.90.0.2"));
        pool.release(&load_balancer("a"));
        assert_eq!(pool.assign(&load_balancer("c")).as_deref(), Some("10.90.0.1"));
    }

    #[test]
    fn a_wanted_address_is_given_when_it_is_free_and_of_the_pool() {
        let wants = |uid, address| service(uid, &json!({"type": "LoadBalancer", "loadBalancerIP": address}));
        let mut pool = Pool::default();
        assert_eq!(pool.assign(&wants("a", "10.90.7.7")).as_deref(), Some("10.90.7.7"));
        assert_eq!(pool.assign(&wants("b", "10.90.7.7")), None);
        assert_eq!(pool.assign(&wants("c", "192.0.2.1")), None);
    }

    #[test]
    fn an_address_that_is_published_already_is_kept_and_not_given_away() {
        let mut known = load_balancer("a");
        known["status"] = json!({"loadBalancer": {"ingress": [{"ip": "10.90.0.1"}]}});
        let mut pool = Pool::default();
        pool.adopt(&known);
        assert_eq!(pool.assign(&known), None);
        assert_eq!(pool.assign(&load_balancer("b")).as_deref(), Some("10.90.0.2"));
    }

    #[test]
    fn only_load_balancers_of_the_default_class_get_one() {
        let mut pool = Pool::default();
        assert_eq!(pool.assign(&service("a", &json!({"type": "ClusterIP"}))), None);
        let other = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/other"});
        assert_eq!(pool.assign(&service("b", &other)), None);
    }

    #[test]
    fn a_service_of_ipv6_has_the_address_that_belongs_to_one_of_the_pool() {
        assert_eq!(super::in_v6("10.90.0.18"), "fd00:90::12");
        let mut known = load_balancer("a");
        known["status"] = json!({"loadBalancer": {"ingress": [{"ip": "fd00:90::1"}]}});
        let mut pool = Pool::default();
        assert_eq!(pool.assign(&known), None, "it has one");
        assert_eq!(pool.assign(&load_balancer("b")).as_deref(), Some("10.90.0.2"));
    }
}
