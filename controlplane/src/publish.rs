//! From a translation to the snapshots that Envoys are served: encoded, hashed, published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ir::GatewayName;
use tokio::sync::watch;
use translator::xds::{EncodedResource, XdsKind};
use translator::{Translation, XdsResources};
use xds::{NodeGroup, Resource, ResourceType, Snapshot, SnapshotCache, SnapshotWriter};

use crate::pipeline::Output;

/// Publishes what the translation gives for each Gateway.
#[derive(Debug, Default)]
pub struct Publisher {
    writer: SnapshotWriter,
    /// What was published last, so that an unchanged Gateway is not encoded again.
    published: BTreeMap<GatewayName, Arc<XdsResources>>,
}

impl Publisher {
    /// A publisher that has published nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where Envoys are served from.
    pub fn cache(&self) -> SnapshotCache {
        self.writer.cache()
    }

    /// Lets `deploy` see every translation, publishes it, and gives it to `published` then. Does not end: what was
    /// published stays served when no more comes.
    pub async fn follow(
        &mut self,
        mut translated: watch::Receiver<Option<Arc<Output>>>,
        mut deploy: impl FnMut(&Translation),
        published: watch::Sender<Option<Arc<Output>>>,
    ) {
        while translated.changed().await.is_ok() {
            let Some(output) = translated.borrow_and_update().clone() else { continue };
            let started = Instant::now();
            // The Envoys first: they start while we encode.
            deploy(&output.translation);
            for gateway in self.publish(&output.translation) {
                tracing::debug!(%gateway, took = ?started.elapsed(), "published");
            }
            published.send_replace(Some(output));
        }
        std::future::pending().await
    }

    /// Publishes; says which Gateways have something new. What no longer exists is forgotten: its
    /// Envoys keep what they have until they end. What exists and cannot be served stays as it was.
    pub fn publish(&mut self, translation: &Translation) -> Vec<GatewayName> {
        let mut changed = Vec::new();
        for (gateway, output) in &translation.gateways {
            if self.published.get(gateway) == Some(&output.xds) {
                continue;
            }
            if self.writer.publish(&node_group(gateway), snapshot(&output.xds)) {
                changed.push(gateway.clone());
            }
            self.published.insert(gateway.clone(), output.xds.clone());
        }
        self.published.retain(|gateway, _| {
            translation.gateways.contains_key(gateway) || translation.unserved.contains(gateway)
        });
        let wanted: Vec<NodeGroup> = self.published.keys().map(node_group).collect();
        self.writer.retain(|group| wanted.contains(group));
        changed
    }
}

/// The group of a Gateway's Envoys.
pub fn node_group(gateway: &GatewayName) -> NodeGroup {
    NodeGroup::new(gateway.to_string())
}

/// The Gateway of a group; the reverse of [`node_group`].
pub fn gateway_name(group: &NodeGroup) -> Option<GatewayName> {
    let (namespace, name) = group.as_str().split_once('/')?;
    Some(GatewayName { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn snapshot(resources: &XdsResources) -> Snapshot {
    let mut builder = Snapshot::builder();
    for EncodedResource { kind, name, bytes, needs } in resources.encode() {
        let needs = needs.into_iter().map(|(kind, name)| (resource_type(kind), name)).collect();
        builder.insert(Resource::new(name, resource_type(kind), &bytes, needs));
    }
    builder.build()
}

fn resource_type(kind: XdsKind) -> ResourceType {
    match kind {
        XdsKind::Cluster => ResourceType::Cluster,
        XdsKind::Endpoint => ResourceType::Endpoint,
        XdsKind::Secret => ResourceType::Secret,
        XdsKind::Listener => ResourceType::Listener,
        XdsKind::Route => ResourceType::Route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_crates_mean_the_same_types() {
        use XdsKind::{Cluster, Endpoint, Listener, Route, Secret};
        for kind in [Cluster, Endpoint, Secret, Listener, Route] {
            assert_eq!(resource_type(kind).type_url(), kind.type_url());
        }
    }

    #[test]
    fn a_group_leads_back_to_its_gateway() {
        let gateway = GatewayName { namespace: "a".to_owned(), name: "b".to_owned() };
        assert_eq!(gateway_name(&node_group(&gateway)), Some(gateway));
    }
}
