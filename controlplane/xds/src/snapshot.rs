//! What one fleet of Envoys should hold: an immutable set of resources per type.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::resource::Resource;
use crate::resource_type::{PerType, ResourceType};
use crate::segments::{self, Entry, Segments};
use crate::version::ResourceVersion;

/// All resources for one node group. Immutable; a clone is a handful of reference counts, and a snapshot made
/// by [`SnapshotWriter::update`](crate::SnapshotWriter::update) shares with the one before it what is equal.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Unlike that of every other snapshot of this process, but for clones.
    serial: u64,
    /// The snapshot that this one was made from.
    predecessor: Option<Predecessor>,
    sets: PerType<Arc<ResourceSet>>,
    /// What the resources here name as their needs; see [`Snapshot::is_needed`].
    needed: PerType<Arc<Segments<Need>>>,
}

/// What a snapshot was made from, and how it differs.
#[derive(Clone, Debug)]
struct Predecessor {
    serial: u64,
    /// The names that are new, changed or gone, sorted.
    changed: PerType<Arc<[Arc<str>]>>,
}

/// A name that resources need, and how often it is named.
#[derive(Clone, Debug)]
struct Need {
    name: Arc<str>,
    count: usize,
}

/// What to make of the resource of a type and name: a new one, or none.
pub(crate) type Changes = BTreeMap<(ResourceType, Arc<str>), Option<Arc<Resource>>>;

/// One change of a group's resources.
#[derive(Clone, Debug)]
pub enum ResourceChange {
    /// The resource exists, and replaces any other of its type and name.
    Set(Arc<Resource>),
    /// There is no resource of this type and name.
    Remove(ResourceType, Arc<str>),
}

impl Default for Snapshot {
    /// One without resources.
    fn default() -> Self {
        Self {
            serial: next_serial(),
            predecessor: None,
            sets: PerType::new(|_| Arc::default()),
            needed: PerType::new(|_| Arc::default()),
        }
    }
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
        self.needed.get(kind).get(name).is_some()
    }

    /// Whether both hold the same resources at the same versions.
    pub fn same_versions(&self, other: &Self) -> bool {
        ResourceType::ALL.into_iter().all(|kind| self.version(kind) == other.version(kind))
    }

    /// A number that no other snapshot of this process has, but for clones.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The names of a type that are new, changed or gone since the snapshot with that serial; `None` if this
    /// one was not made from that.
    pub fn changed_since(&self, serial: u64, kind: ResourceType) -> Option<&[Arc<str>]> {
        let predecessor = self.predecessor.as_ref().filter(|predecessor| predecessor.serial == serial)?;
        Some(predecessor.changed.get(kind))
    }

    /// The set of one type, to be kept.
    pub(crate) fn shared_resources(&self, kind: ResourceType) -> &Arc<ResourceSet> {
        self.sets.get(kind)
    }

    /// Whether both need the same of a type for sure. Costs nothing; snapshots that were made from one
    /// another share what is equal.
    pub(crate) fn shares_needs(&self, other: &Self, kind: ResourceType) -> bool {
        Arc::ptr_eq(self.needed.get(kind), other.needed.get(kind))
    }

    /// The changes that lead from `older` to this snapshot. Costs as much as the two have not in common:
    /// everything, if this one was built anew.
    pub(crate) fn changes_from(&self, older: &Self) -> Changes {
        let mut changes = Changes::new();
        for kind in ResourceType::ALL {
            self.resources(kind).differences(older.resources(kind), |old, new| {
                if let Some(resource) = new.or(old) {
                    changes.insert((kind, resource.name().clone()), new.cloned());
                }
            });
        }
        changes
    }

    /// The successor of this snapshot; `None` if it would be equal. A resource that is equal to the present
    /// one is no change, and the present one stays.
    ///
    /// Of k changes in n resources it costs O(k log n), and a reference count for every 64 of a type that
    /// changed.
    pub(crate) fn changed(&self, changes: Changes) -> Option<Self> {
        let mut next = self.clone();
        let mut changed: PerType<Vec<Arc<str>>> = PerType::new(|_| Vec::new());
        for ((kind, name), wanted) in changes {
            let before = self.get(kind, &name);
            let is_equal = match (before, &wanted) {
                (Some(before), Some(wanted)) => before.is_same(wanted),
                (None, None) => true,
                _ => false,
            };
            if is_equal {
                continue;
            }
            let new_needs = wanted.as_deref().map_or(&[][..], Resource::needs);
            let old_needs = before.map_or(&[][..], |before| before.needs());
            if new_needs != old_needs {
                // The new ones first: what both need keeps its place.
                new_needs.iter().for_each(|(kind, name)| next.need(*kind, name));
                old_needs.iter().for_each(|(kind, name)| next.need_no_more(*kind, name));
            }
            Arc::make_mut(next.sets.get_mut(kind)).put(&name, wanted);
            changed.get_mut(kind).push(name);
        }
        if ResourceType::ALL.into_iter().all(|kind| changed.get(kind).is_empty()) {
            return None;
        }
        let changed = PerType::new(|kind| std::mem::take(changed.get_mut(kind)).into());
        next.predecessor = Some(Predecessor { serial: self.serial, changed });
        next.serial = next_serial();
        Some(next)
    }

    fn need(&mut self, kind: ResourceType, name: &str) {
        let needed = Arc::make_mut(self.needed.get_mut(kind));
        let (name, count) = match needed.get(name) {
            Some(need) => (need.name.clone(), need.count),
            None => (name.into(), 0),
        };
        needed.insert(Need { name, count: count + 1 });
    }

    fn need_no_more(&mut self, kind: ResourceType, name: &str) {
        let needed = Arc::make_mut(self.needed.get_mut(kind));
        match needed.get(name).cloned() {
            Some(Need { name, count: count @ 2.. }) => drop(needed.insert(Need { name, count: count - 1 })),
            _ => drop(needed.remove(name)),
        }
    }
}

/// The next serial: 1 is the first.
fn next_serial() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// The resources of one type, sorted by name.
#[derive(Clone, Debug)]
pub struct ResourceSet {
    version: ResourceVersion,
    resources: Segments<Arc<Resource>>,
}

impl Entry for Arc<Resource> {
    fn key(&self) -> &str {
        self.name()
    }
}

impl Entry for Need {
    fn key(&self) -> &str {
        &self.name
    }
}

impl Default for ResourceSet {
    fn default() -> Self {
        Self { version: ResourceVersion::OF_NOTHING, resources: Segments::default() }
    }
}

impl ResourceSet {
    /// A hash over all names and versions.
    pub fn version(&self) -> ResourceVersion {
        self.version
    }

    /// The resource of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.resources.get(name)
    }

    /// All resources, by name.
    pub fn iter(&self) -> ResourceIter<'_> {
        ResourceIter(self.resources.iter())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells `report` of the older and the present resource of every name where they differ.
    pub(crate) fn differences<'a>(
        &'a self,
        older: &'a Self,
        mut report: impl FnMut(Option<&'a Arc<Resource>>, Option<&'a Arc<Resource>>),
    ) {
        self.resources.differences(&older.resources, |old, new| match (old, new) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) || old.is_same(new) => {}
            (old, new) => report(old, new),
        });
    }

    /// Puts `resource` in the place of that name, or nothing.
    fn put(&mut self, name: &str, resource: Option<Arc<Resource>>) {
        let before = match resource {
            Some(resource) => {
                self.version = self.version.with(name, resource.version());
                self.resources.insert(resource)
            }
            None => self.resources.remove(name),
        };
        if let Some(before) = before {
            self.version = self.version.without(name, before.version());
        }
    }
}

/// All resources of a set, by name.
#[derive(Clone, Debug)]
pub struct ResourceIter<'a>(segments::Iter<'a, Arc<Resource>>);

impl<'a> Iterator for ResourceIter<'a> {
    type Item = &'a Arc<Resource>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }
}

impl<'a> IntoIterator for &'a ResourceSet {
    type Item = &'a Arc<Resource>;
    type IntoIter = ResourceIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
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
        let mut counts: PerType<BTreeMap<Arc<str>, usize>> = PerType::new(|_| BTreeMap::new());
        for (kind, name) in self.resources.values().flat_map(|resource| resource.needs()) {
            *counts.get_mut(*kind).entry(name.as_str().into()).or_default() += 1;
        }
        let mut sorted: PerType<Vec<Arc<Resource>>> = PerType::new(|_| Vec::new());
        for ((kind, _), resource) in self.resources {
            sorted.get_mut(kind).push(resource);
        }
        let set = |kind| {
            let sorted = std::mem::take(sorted.get_mut(kind));
            let version = ResourceVersion::OF_NOTHING;
            let version = sorted.iter().fold(version, |sum, r| sum.with(r.name(), r.version()));
            Arc::new(ResourceSet { version, resources: Segments::from_sorted(sorted) })
        };
        let needs = |kind| {
            let counts = std::mem::take(counts.get_mut(kind)).into_iter();
            Arc::new(Segments::from_sorted(counts.map(|(name, count)| Need { name, count }).collect()))
        };
        Snapshot {
            serial: next_serial(),
            predecessor: None,
            sets: PerType::new(set),
            needed: PerType::new(needs),
        }
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
mod tests;
