//! What the Envoys say about what they are served: who has it all, who refused something.

use std::collections::{BTreeMap, BTreeSet};

use crds::{ObjectKey, ObjectRef};
use ir::GatewayName;
use xds::{Cause, Client, ClientEvent, Rejection, ResourceType, ResourceVersion, Snapshot, SnapshotCache};

use crate::isolation::{Culprit, Isolation, Served};
use crate::publish::{gateway_name, node_group};
use crate::refusal::{Refusal, Refusals};

/// What every connected Envoy said last.
#[derive(Debug)]
pub struct Fleet {
    cache: SnapshotCache,
    streams: BTreeMap<u64, Stream>,
    by_gateway: BTreeMap<GatewayName, BTreeSet<u64>>,
    heard: Heard,
}

/// What the Envoys of all Gateways say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// Gateways of which some Envoy has all that it shall have.
    pub complete: BTreeSet<GatewayName>,
    /// What is refused.
    pub refused: Refusals,
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
    /// A fleet that nothing was heard of, which is served from `cache`.
    pub fn new(cache: SnapshotCache) -> Self {
        Self { cache, streams: BTreeMap::new(), by_gateway: BTreeMap::new(), heard: Heard::default() }
    }

    /// Takes in what an Envoy said; gives the Gateway that it is about.
    pub fn on_event(&mut self, event: ClientEvent) -> Option<GatewayName> {
        match event {
            ClientEvent::Nack { client, rejection } => {
                let stream = self.stream(&client)?;
                stream.in_sync.remove(&rejection.resource_type);
                stream.forget(rejection.resource_type, &rejection.culprits);
                stream.rejections.push(rejection);
                Some(stream.gateway.clone())
            }
            ClientEvent::Ack { client, resource_type, version } => {
                let stream = self.stream(&client)?;
                stream.rejections.retain(|rejection| rejection.resource_type != resource_type);
                stream.in_sync.insert(resource_type, version);
                Some(stream.gateway.clone())
            }
            ClientEvent::Recovered { client, resource_type, names } => {
                let stream = self.stream(&client)?;
                stream.forget(resource_type, &names);
                Some(stream.gateway.clone())
            }
            ClientEvent::Accepted { .. } => None,
            ClientEvent::Disconnected { client } => {
                let stream = self.streams.remove(&client.stream)?;
                if let Some(streams) = self.by_gateway.get_mut(&stream.gateway) {
                    streams.remove(&client.stream);
                    if streams.is_empty() {
                        self.by_gateway.remove(&stream.gateway);
                    }
                }
                Some(stream.gateway)
            }
        }
    }

    /// Forgets a Gateway that is gone.
    pub fn forget(&mut self, gateway: &GatewayName) {
        self.heard.complete.remove(gateway);
        self.heard.refused.remove(gateway);
    }

    /// What all Envoys say, if that of these Gateways is another than before. `objects_of` gives the objects that a
    /// cluster comes from.
    pub fn heard(
        &mut self,
        gateways: &BTreeSet<GatewayName>,
        isolation: &Isolation,
        objects_of: impl Fn(&str) -> BTreeSet<ObjectRef>,
    ) -> Option<Heard> {
        let mut is_new = false;
        for gateway in gateways {
            let snapshot = self.cache.snapshot_of(&node_group(gateway));
            let refused = self.refusals(gateway, isolation, &objects_of);
            let before = match refused.is_empty() || snapshot.is_none() {
                true => self.heard.refused.remove(gateway).unwrap_or_default(),
                false => self.heard.refused.insert(gateway.clone(), refused.clone()).unwrap_or_default(),
            };
            is_new |= before != refused;
            let is_complete = snapshot.is_some_and(|snapshot| self.has(gateway, &snapshot));
            is_new |= match is_complete {
                true => self.heard.complete.insert(gateway.clone()),
                false => self.heard.complete.remove(gateway),
            };
        }
        is_new.then(|| self.heard.clone())
    }

    /// The route tables of a Gateway, if that is what its snapshot holds at this version of them all.
    pub fn tables_at(
        &self,
        gateway: &GatewayName,
        version: ResourceVersion,
    ) -> Vec<(String, ResourceVersion)> {
        let snapshot = self.cache.snapshot_of(&node_group(gateway));
        let snapshot = snapshot.filter(|snapshot| snapshot.version(ResourceType::Route) == version);
        let tables = snapshot.iter().flat_map(|snapshot| snapshot.resources(ResourceType::Route).iter());
        tables.map(|table| (table.name().to_string(), table.version())).collect()
    }

    /// Whether some Envoy of the Gateway has all of the snapshot.
    fn has(&self, gateway: &GatewayName, snapshot: &Snapshot) -> bool {
        // An Envoy asks for the other types only where something names them.
        let types = [ResourceType::Cluster, ResourceType::Listener, ResourceType::Route];
        self.of(gateway).any(|stream| {
            types.iter().all(|kind| {
                let is_optional = *kind == ResourceType::Route && snapshot.resources(*kind).is_empty();
                is_optional || stream.in_sync.get(kind) == Some(&snapshot.version(*kind))
            })
        })
    }

    /// What Envoys of the Gateway refuse at this time.
    fn refusals(
        &self,
        gateway: &GatewayName,
        isolation: &Isolation,
        objects_of: impl Fn(&str) -> BTreeSet<ObjectRef>,
    ) -> BTreeSet<Refusal> {
        let culprits: Vec<_> =
            isolation.culprits().filter(|(_, culprit)| culprit.table.0 == *gateway).collect();
        let is_explained = |table: &str| {
            let key = (gateway.clone(), table.to_owned());
            !isolation.is_settled(&key) || culprits.iter().any(|(_, culprit)| culprit.table == key)
        };
        let rejections = self.of(gateway).flat_map(|stream| &stream.rejections);
        let resources = rejections
            .flat_map(|rejection| rejection.culprits.iter().map(move |name| (rejection, name)))
            .filter(|(rejection, name)| rejection.resource_type != ResourceType::Route || !is_explained(name))
            .map(|(rejection, name)| refusal(rejection, name, &objects_of));
        resources.chain(culprits.iter().map(|(route, culprit)| refusal_of_route(route, culprit))).collect()
    }

    fn of(&self, gateway: &GatewayName) -> impl Iterator<Item = &Stream> {
        let streams = self.by_gateway.get(gateway).into_iter().flatten();
        streams.filter_map(|stream| self.streams.get(stream))
    }

    fn stream(&mut self, client: &Client) -> Option<&mut Stream> {
        let gateway = gateway_name(&client.group)?;
        self.by_gateway.entry(gateway.clone()).or_default().insert(client.stream);
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

/// A resource that is refused. Envoy's own words follow, but for secrets, of which they might quote a part.
fn refusal(rejection: &Rejection, name: &str, objects_of: impl Fn(&str) -> BTreeSet<ObjectRef>) -> Refusal {
    let Rejection { resource_type, message, cause, .. } = rejection;
    let words = message.lines().collect::<Vec<_>>().join(" ");
    let (objects, message) = match resource_type {
        ResourceType::Secret => {
            let cluster = name.strip_prefix("credential/").unwrap_or_default();
            (objects_of(cluster), format!("secret {name}: refused"))
        }
        ResourceType::Cluster | ResourceType::Endpoint => {
            (objects_of(name), format!("{resource_type} {name}: {words}"))
        }
        ResourceType::Extension | ResourceType::Listener | ResourceType::Route => {
            (BTreeSet::new(), format!("{resource_type} {name}: {words}"))
        }
    };
    let is_retried = *cause == Cause::NotReady;
    let message = match cause {
        Cause::NotReady if *resource_type == ResourceType::Listener && words.contains("already in use") => {
            format!(
                "the proxy cannot have the port yet, and tries again every few seconds: end the program that has it, or \
             choose another port; {message}"
            )
        }
        Cause::NotReady if *resource_type == ResourceType::Listener => {
            format!(
                "the proxy cannot have the address or the port, and tries again every few seconds; {message}"
            )
        }
        Cause::Refused => format!("the proxy keeps what it had; it refused {message}"),
        Cause::NotReady => format!(
            "the proxy does not get the module of the AI engine from the control plane, and tries again: the fetch fails, \
             or brings another file than the one with this SHA-256; the proxy's log says which. Until it succeeds, the \
             proxy keeps what it had of whatever needs the engine, and answers 500 if it had nothing; no request passes unprocessed: \
             {message}"
        ),
    };
    Refusal { kind: resource_type.to_string(), name: name.to_owned(), objects, message, is_retried }
}

fn refusal_of_route(route: &ObjectKey, culprit: &Culprit) -> Refusal {
    let Culprit { table, message, served } = culprit;
    let words = message.lines().collect::<Vec<_>>().join(" ");
    let instead = match served {
        Served::LastGood => "goes on with the version before",
        Served::Errors => "answers its requests with an error",
        Served::Nothing => "leaves it out",
    };
    Refusal {
        kind: ResourceType::Route.to_string(),
        name: table.1.clone(),
        objects: BTreeSet::from([route.to_ref()]),
        message: format!("the proxy refuses this route and {instead}: {words}"),
        is_retried: false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use xds::{NodeGroup, Resource};

    use super::*;

    fn client(stream: u64) -> Arc<Client> {
        let (node, build) = (String::new(), String::new());
        Arc::new(Client { group: NodeGroup::new("default/web"), node, build, stream })
    }

    fn fleet() -> Fleet {
        Fleet::new(SnapshotCache::default())
    }

    fn refused(fleet: &Fleet) -> Vec<String> {
        let refusals = fleet.refusals(&gateway(), &Isolation::default(), |_| BTreeSet::new());
        let words =
            |refusal: Refusal| refusal.message.replace("the proxy keeps what it had; it refused ", "");
        refusals.into_iter().map(words).collect()
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
            cause: Cause::Refused,
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
        let (mut fleet, snapshot) = (fleet(), snapshot());
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
        let (mut fleet, snapshot) = (fleet(), snapshot());
        fleet.on_event(nack(1, ResourceType::Listener));
        fleet.on_event(ack(1, &snapshot, ResourceType::Cluster));
        assert_eq!(refused(&fleet), ["listener a: no good sk-canary"]);
        fleet.on_event(ack(1, &snapshot, ResourceType::Listener));
        assert_eq!(refused(&fleet), [""; 0]);
        fleet.on_event(nack(1, ResourceType::Route));
        fleet.on_event(ClientEvent::Disconnected { client: client(1) });
        assert_eq!(refused(&fleet), [""; 0]);
    }

    /// Routes and secrets travel one by one: several of a type are refused one after the other.
    #[test]
    fn each_refused_resource_is_told_until_it_recovers_alone() {
        let mut fleet = fleet();
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
        assert_eq!(refused(&fleet), told);
        let names = vec!["a".to_owned()];
        fleet.on_event(ClientEvent::Recovered {
            client: client(1),
            resource_type: ResourceType::Listener,
            names: names.clone(),
        });
        assert_eq!(refused(&fleet), told, "another type's");
        fleet.on_event(ClientEvent::Recovered {
            client: client(1),
            resource_type: ResourceType::Route,
            names,
        });
        assert_eq!(refused(&fleet), told[1..]);
    }

    #[test]
    fn a_module_that_does_not_arrive_is_told_in_plain_words() {
        let mut fleet = fleet();
        let ClientEvent::Nack { client, rejection } = nack(1, ResourceType::Cluster) else { panic!() };
        let message = "a: Remote module not cached; SHA256: 0a".to_owned();
        let rejection = Rejection { cause: Cause::NotReady, message, ..rejection };
        fleet.on_event(ClientEvent::Nack { client, rejection });
        let told = refused(&fleet).concat();
        assert!(told.contains("does not get the module of the AI engine from the control plane"), "{told}");
        assert!(told.contains("answers 500") && told.ends_with("SHA256: 0a"), "{told}");
    }

    #[test]
    fn what_envoy_says_about_a_secret_is_not_passed_on() {
        let mut fleet = fleet();
        fleet.on_event(nack(1, ResourceType::Secret));
        assert_eq!(refused(&fleet), ["secret a: refused"]);
    }
}
