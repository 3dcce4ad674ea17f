//! What the Envoys say about what they are served: who has it all, who refused something.

use std::collections::{BTreeMap, BTreeSet};

use ir::GatewayName;
use xds::{Client, ClientEvent, Rejection, ResourceType, ResourceVersion, Snapshot};

use crate::publish::gateway_name;

/// What every connected Envoy said last.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    streams: BTreeMap<u64, Stream>,
}

/// What one Envoy said last.
#[derive(Clone, Debug)]
struct Stream {
    gateway: GatewayName,
    in_sync: BTreeMap<ResourceType, ResourceVersion>,
    /// What it refuses at this time; each resource stands in one of them.
    rejections: Vec<Rejection>,
}

impl Fleet {
    /// Takes in what an Envoy said.
    pub fn on_event(&mut self, event: ClientEvent) {
        match event {
            ClientEvent::Nack { client, rejection } => {
                if let Some(stream) = self.stream(&client) {
                    stream.in_sync.remove(&rejection.resource_type);
                    stream.forget(rejection.resource_type, &rejection.culprits);
                    stream.rejections.push(rejection);
                }
            }
            ClientEvent::Ack { client, resource_type, version } => {
                if let Some(stream) = self.stream(&client) {
                    stream.rejections.retain(|rejection| rejection.resource_type != resource_type);
                    stream.in_sync.insert(resource_type, version);
                }
            }
            ClientEvent::Accepted { .. } => {}
            ClientEvent::Recovered { client, resource_type, names } => {
                if let Some(stream) = self.stream(&client) {
                    stream.forget(resource_type, &names);
                }
            }
            ClientEvent::Disconnected { client } => drop(self.streams.remove(&client.stream)),
        }
    }

    /// Whether some Envoy of the Gateway has all of the snapshot.
    pub fn has(&self, gateway: &GatewayName, snapshot: &Snapshot) -> bool {
        // An Envoy asks for the other types only where something names them.
        let types = [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route];
        self.of(gateway).any(|stream| {
            types.iter().all(|kind| {
                let is_optional = *kind == ResourceType::Route && snapshot.resources(*kind).is_empty();
                is_optional || stream.in_sync.get(kind) == Some(&snapshot.version(*kind))
            })
        })
    }

    /// What Envoys of the Gateway refuse at this time, in one line each.
    pub fn rejections(&self, gateway: &GatewayName) -> Vec<String> {
        let rejections = self.of(gateway).flat_map(|stream| &stream.rejections);
        let mut lines: Vec<String> = rejections.map(describe).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// The listeners among what Envoys of the Gateway refuse.
    pub fn refused_listeners(&self, gateway: &GatewayName) -> BTreeSet<String> {
        let rejections = self.of(gateway).flat_map(|stream| &stream.rejections);
        let listeners = rejections.filter(|rejection| rejection.resource_type == ResourceType::Listener);
        listeners.flat_map(|rejection| rejection.culprits.iter().cloned()).collect()
    }

    fn of(&self, gateway: &GatewayName) -> impl Iterator<Item = &Stream> {
        self.streams.values().filter(move |stream| stream.gateway == *gateway)
    }

    fn stream(&mut self, client: &Client) -> Option<&mut Stream> {
        let gateway = gateway_name(&client.group)?;
        let new = || Stream { gateway, in_sync: BTreeMap::new(), rejections: Vec::new() };
        Some(self.streams.entry(client.stream).or_insert_with(new))
    }
}

impl Stream {
    /// Drops resources from what is refused.
    fn forget(&mut self, resource_type: ResourceType, names: &[String]) {
        for rejection in self.rejections.iter_mut().filter(|known| known.resource_type == resource_type) {
            rejection.culprits.retain(|culprit| !names.contains(culprit));
        }
        self.rejections.retain(|rejection| !rejection.culprits.is_empty());
    }
}

/// Names the resources. Envoy's own words follow, but for secrets, of which they might quote a part.
fn describe(rejection: &Rejection) -> String {
    let Rejection { resource_type, message, culprits, .. } = rejection;
    let names = culprits.join(", ");
    match resource_type {
        ResourceType::Secret => format!("secret {names}: refused"),
        _ => format!("{resource_type} {names}: {}", message.lines().collect::<Vec<_>>().join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use xds::{NodeGroup, Resource};

    use super::*;

    fn client(stream: u64) -> Arc<Client> {
        Arc::new(Client {
            group: NodeGroup::new("default/web"),
            node: String::new(),
            build: String::new(),
            stream,
        })
    }

    fn gateway() -> GatewayName {
        GatewayName { namespace: "default".to_owned(), name: "web".to_owned() }
    }

    fn nack(stream: u64, resource_type: ResourceType) -> ClientEvent {
        let rejection = Rejection {
            resource_type,
            version: ResourceVersion::of(b"x"),
            nonce: 1,
            message: "no\ngood sk-canary".to_owned(),
            resources: Vec::new(),
            culprits: vec!["a".to_owned()],
        };
        ClientEvent::Nack { client: client(stream), rejection }
    }

    fn ack(stream: u64, snapshot: &Snapshot, resource_type: ResourceType) -> ClientEvent {
        ClientEvent::Ack { client: client(stream), resource_type, version: snapshot.version(resource_type) }
    }

    fn snapshot() -> Snapshot {
        [Resource::new("a", ResourceType::Listener, b"1", vec![])].into_iter().collect()
    }

    #[test]
    fn a_gateway_is_served_when_one_envoy_has_all_of_the_snapshot() {
        let (mut fleet, snapshot) = (Fleet::default(), snapshot());
        fleet.on_event(ack(1, &snapshot, ResourceType::Cluster));
        assert!(!fleet.has(&gateway(), &snapshot));
        fleet.on_event(ack(2, &snapshot, ResourceType::Listener));
        assert!(!fleet.has(&gateway(), &snapshot), "each has a part only");
        fleet.on_event(ack(1, &snapshot, ResourceType::Listener));
        assert!(fleet.has(&gateway(), &snapshot));
        fleet.on_event(ClientEvent::Disconnected { client: client(1) });
        assert!(!fleet.has(&gateway(), &snapshot));
    }

    #[test]
    fn a_rejection_holds_until_the_type_is_accepted_or_the_envoy_is_gone() {
        let (mut fleet, snapshot) = (Fleet::default(), snapshot());
        fleet.on_event(nack(1, ResourceType::Listener));
        fleet.on_event(ack(1, &snapshot, ResourceType::Cluster));
        assert_eq!(fleet.rejections(&gateway()), ["listener a: no good sk-canary"]);
        assert_eq!(fleet.refused_listeners(&gateway()), ["a".to_owned()].into());
        fleet.on_event(ack(1, &snapshot, ResourceType::Listener));
        assert_eq!(fleet.rejections(&gateway()), [""; 0]);
        fleet.on_event(nack(1, ResourceType::Route));
        fleet.on_event(ClientEvent::Disconnected { client: client(1) });
        assert_eq!(fleet.rejections(&gateway()), [""; 0]);
    }

    /// Routes and secrets travel one by one: several of a type are refused one after the other.
    #[test]
    fn each_refused_resource_is_told_until_it_recovers_alone() {
        let mut fleet = Fleet::default();
        let refuse = |name: &str| match nack(1, ResourceType::Route) {
            ClientEvent::Nack { client, rejection } => ClientEvent::Nack {
                client,
                rejection: Rejection { culprits: vec![name.to_owned()], ..rejection },
            },
            other => other,
        };
        fleet.on_event(refuse("a"));
        fleet.on_event(refuse("b"));
        fleet.on_event(refuse("b"));
        let told = ["route a: no good sk-canary", "route b: no good sk-canary"];
        assert_eq!(fleet.rejections(&gateway()), told);
        let names = vec!["a".to_owned()];
        fleet.on_event(ClientEvent::Recovered {
            client: client(1),
            resource_type: ResourceType::Listener,
            names: names.clone(),
        });
        assert_eq!(fleet.rejections(&gateway()), told, "another type's");
        fleet.on_event(ClientEvent::Recovered {
            client: client(1),
            resource_type: ResourceType::Route,
            names,
        });
        assert_eq!(fleet.rejections(&gateway()), told[1..]);
    }

    #[test]
    fn what_envoy_says_about_a_secret_is_not_passed_on() {
        let mut fleet = Fleet::default();
        fleet.on_event(nack(1, ResourceType::Secret));
        assert_eq!(fleet.rejections(&gateway()), ["secret a: refused"]);
    }
}
