//! From what a translation changes to the snapshots that Envoys are served.

use std::collections::BTreeMap;
use std::sync::Arc;

use ir::GatewayName;
use translator::xds::{EncodedResource, XdsKind};
use xds::{
    NodeGroup, Resource, ResourceChange, ResourceType, ResourceVersion, Snapshot, SnapshotCache,
    SnapshotWriter,
};

/// Resources by kind and name; `None` is gone.
pub type Resources = BTreeMap<(XdsKind, String), Option<Arc<EncodedResource>>>;

/// Publishes what is served for each Gateway.
#[derive(Debug, Default)]
pub struct Publisher {
    writer: SnapshotWriter,
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

    /// Publishes all that a Gateway's Envoys are to have; says whether something is new.
    pub fn publish(&mut self, gateway: &GatewayName, resources: &Resources) -> bool {
        let mut builder = Snapshot::builder();
        for resource in resources.values().flatten() {
            builder.insert(encoded(resource));
        }
        self.writer.publish(&node_group(gateway), builder.build())
    }

    /// Publishes what is another for a Gateway's Envoys; says whether something is new.
    pub fn update(&mut self, gateway: &GatewayName, resources: &Resources) -> bool {
        let change =
            |((kind, name), resource): (&(XdsKind, String), &Option<Arc<EncodedResource>>)| match resource {
                Some(resource) => ResourceChange::Set(Arc::new(encoded(resource))),
                None => ResourceChange::Remove(resource_type(*kind), name.as_str().into()),
            };
        self.writer.update(&node_group(gateway), resources.iter().map(change))
    }

    /// Forgets a Gateway: its Envoys keep what they have until they end.
    pub fn forget(&mut self, gateway: &GatewayName) {
        self.writer.remove(&node_group(gateway));
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

fn encoded(resource: &EncodedResource) -> Resource {
    let EncodedResource { kind, name, bytes, version, needs, is_optional } = resource;
    let needs = needs.iter().map(|(kind, name)| (resource_type(*kind), name.clone())).collect();
    let resource = Resource::with_version(
        name.as_str(),
        resource_type(*kind),
        ResourceVersion::from_u128(*version),
        &[bytes],
        needs,
    );
    if *is_optional { resource.optional() } else { resource }
}

/// The type of a kind.
pub fn resource_type(kind: XdsKind) -> ResourceType {
    match kind {
        XdsKind::Cluster => ResourceType::Cluster,
        XdsKind::Endpoint => ResourceType::Endpoint,
        XdsKind::Secret => ResourceType::Secret,
        XdsKind::Extension => ResourceType::Extension,
        XdsKind::Listener => ResourceType::Listener,
        XdsKind::Route => ResourceType::Route,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_crates_mean_the_same_types() {
        use XdsKind::{Cluster, Endpoint, Extension, Listener, Route, Secret};
        for kind in [Cluster, Endpoint, Secret, Extension, Listener, Route] {
            assert_eq!(resource_type(kind).type_url(), kind.type_url());
        }
    }

    #[test]
    fn a_group_leads_back_to_its_gateway() {
        let gateway = GatewayName { namespace: "a".to_owned(), name: "b".to_owned() };
        assert_eq!(gateway_name(&node_group(&gateway)), Some(gateway));
    }
}
