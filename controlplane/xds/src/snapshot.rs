//! What one fleet of Envoys should hold: an immutable set of resources per type.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::resource::{PerType, Resource, ResourceType, ResourceVersion};

/// All resources for one node group. Immutable; a clone is a handful of reference counts.
#[derive(Clone, Debug)]
pub struct Snapshot {
    sets: PerType<Arc<ResourceSet>>,
    /// What the resources here name as their needs; see [`Snapshot::is_needed`].
    needed: Arc<BTreeSet<(ResourceType, String)>>,
}

impl Snapshot {
    /// An empty builder.
    pub fn builder() -> SnapshotBuilder {
        SnapshotBuilder::default()
    }

    /// The resources of one type.
    pub fn resources(&self, kind: ResourceType) -> &ResourceSet {
        self.sets.get(kind)
    }

    /// The version of a whole type: a hash over its names and versions.
    pub fn version(&self, kind: ResourceType) -> ResourceVersion {
        self.resources(kind).version
    }

    /// The resource of that type and name.
    pub fn get(&self, kind: ResourceType, name: &str) -> Option<&Arc<Resource>> {
        self.resources(kind).get(name)
    }

    /// All resources, in push order and by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        ResourceType::ALL.into_iter().flat_map(|kind| self.resources(kind))
    }

    /// Whether some resource of this snapshot needs the named one.
    pub fn is_needed(&self, kind: ResourceType, name: &str) -> bool {
        self.needed.contains(&(kind, name.to_owned()))
    }

    /// Whether both hold the same resources at the same versions.
    pub fn same_versions(&self, other: &Self) -> bool {
        ResourceType::ALL.into_iter().all(|kind| self.version(kind) == other.version(kind))
    }

    /// What changed since `older`, per type and in push order; types without a change are left out.
    pub fn diff(&self, older: &Self) -> Vec<(ResourceType, ResourceDiff)> {
        ResourceType::ALL
            .into_iter()
            .map(|kind| (kind, self.resources(kind).diff(older.resources(kind))))
            .filter(|(_, diff)| !diff.is_empty())
            .collect()
    }

    /// Whether nothing a stream looks at differs.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.same_versions(other) && self.needed == other.needed
    }

    /// The same snapshot, holding the allocations of `older` wherever the content is equal, so that streams
    /// that still refer to the older one keep no second copy alive.
    pub(crate) fn reusing(&self, older: &Self) -> Self {
        let unchanged_needs = self.needed == older.needed;
        let reuse = |kind| match self.version(kind) == older.version(kind) && unchanged_needs {
            true => older.sets.get(kind).clone(),
            false => Arc::new(self.resources(kind).reusing(older.resources(kind))),
        };
        Self { sets: PerType::new(reuse), needed: self.needed.clone() }
    }
}

/// The resources of one type, sorted by name.
#[derive(Debug)]
pub struct ResourceSet {
    version: ResourceVersion,
    sorted: Vec<Arc<Resource>>,
}

impl ResourceSet {
    /// A hash over all names and versions.
    pub fn version(&self) -> ResourceVersion {
        self.version
    }

    /// The resource of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        let at = self.sorted.binary_search_by(|resource| (**resource.name()).cmp(name)).ok()?;
        self.sorted.get(at)
    }

    /// All resources, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Resource>> {
        self.sorted.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    fn diff(&self, older: &Self) -> ResourceDiff {
        if self.version == older.version {
            return ResourceDiff::default();
        }
        let is_new =
            |r: &&Arc<Resource>| older.get(r.name()).is_none_or(|before| before.version() != r.version());
        ResourceDiff {
            changed: self.iter().filter(is_new).cloned().collect(),
            removed: older
                .iter()
                .filter(|r| self.get(r.name()).is_none())
                .map(|r| r.name().clone())
                .collect(),
        }
    }

    fn reusing(&self, older: &Self) -> Self {
        let reuse = |resource: &Arc<Resource>| match older.get(resource.name()) {
            Some(before) if before.version() == resource.version() && before.needs() == resource.needs() => {
                before.clone()
            }
            _ => resource.clone(),
        };
        Self { version: self.version, sorted: self.sorted.iter().map(reuse).collect() }
    }
}

impl<'a> IntoIterator for &'a ResourceSet {
    type Item = &'a Arc<Resource>;
    type IntoIter = std::slice::Iter<'a, Arc<Resource>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The difference between two sets of one type.
#[derive(Debug, Default)]
pub struct ResourceDiff {
    /// Resources that are new or have a new version, by name.
    pub changed: Vec<Arc<Resource>>,
    /// Names that are gone, sorted.
    pub removed: Vec<Arc<str>>,
}

impl ResourceDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Collects the resources of a [`Snapshot`], in any order.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    resources: BTreeMap<(ResourceType, Arc<str>), Arc<Resource>>,
}

impl SnapshotBuilder {
    /// Adds a resource; returns the one of the same type and name that it replaces, if any.
    pub fn insert(&mut self, resource: impl Into<Arc<Resource>>) -> Option<Arc<Resource>> {
        let resource = resource.into();
        self.resources.insert((resource.resource_type(), resource.name().clone()), resource)
    }

    /// The finished snapshot.
    pub fn build(self) -> Snapshot {
        let needed = self.resources.values().flat_map(|resource| resource.needs()).cloned().collect();
        let mut sets: BTreeMap<ResourceType, Vec<Arc<Resource>>> = BTreeMap::new();
        for ((kind, _), resource) in self.resources {
            sets.entry(kind).or_default().push(resource);
        }
        let set = |kind| {
            let sorted = sets.remove(&kind).unwrap_or_default();
            Arc::new(ResourceSet { version: ResourceVersion::of_set(sorted.iter()), sorted })
        };
        Snapshot { sets: PerType::new(set), needed: Arc::new(needed) }
    }
}

impl<R: Into<Arc<Resource>>> Extend<R> for SnapshotBuilder {
    fn extend<I: IntoIterator<Item = R>>(&mut self, resources: I) {
        for resource in resources {
            self.insert(resource);
        }
    }
}

impl<R: Into<Arc<Resource>>> FromIterator<R> for Snapshot {
    fn from_iter<I: IntoIterator<Item = R>>(resources: I) -> Self {
        let mut builder = Self::builder();
        builder.extend(resources);
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str, body: &str) -> Resource {
        Resource::new(name, ResourceType::Cluster, body.as_bytes(), vec![])
    }

    #[test]
    fn version_depends_on_content_and_not_on_the_order_of_insertion() {
        let one: Snapshot = [cluster("a", "1"), cluster("b", "2")].into_iter().collect();
        let two: Snapshot = [cluster("b", "2"), cluster("a", "1")].into_iter().collect();
        let swapped: Snapshot = [cluster("a", "2"), cluster("b", "1")].into_iter().collect();
        assert!(one.same_versions(&two));
        assert_ne!(one.version(ResourceType::Cluster), swapped.version(ResourceType::Cluster));
    }

    #[test]
    fn diff_names_what_changed_and_what_is_gone() {
        let old: Snapshot = [cluster("a", "1"), cluster("b", "1"), cluster("c", "1")].into_iter().collect();
        let new: Snapshot = [cluster("b", "1"), cluster("c", "2"), cluster("d", "1")].into_iter().collect();
        let diff = new.diff(&old);
        assert_eq!(diff.len(), 1);
        let (kind, diff) = &diff[0];
        assert_eq!(*kind, ResourceType::Cluster);
        assert_eq!(diff.changed.iter().map(|r| &**r.name()).collect::<Vec<_>>(), ["c", "d"]);
        assert_eq!(diff.removed.iter().map(|n| &**n).collect::<Vec<_>>(), ["a"]);
        assert!(new.diff(&new).is_empty());
    }

    #[test]
    fn reusing_keeps_the_older_allocation_of_equal_content() {
        let old: Snapshot = [cluster("a", "1"), cluster("b", "1")].into_iter().collect();
        let new: Snapshot = [cluster("a", "1"), cluster("b", "2")].into_iter().collect();
        let merged = new.reusing(&old);
        let at = |snapshot: &Snapshot, name| snapshot.get(ResourceType::Cluster, name).unwrap().clone();
        assert!(Arc::ptr_eq(&at(&merged, "a"), &at(&old, "a")));
        assert!(Arc::ptr_eq(&at(&merged, "b"), &at(&new, "b")));
    }
}
