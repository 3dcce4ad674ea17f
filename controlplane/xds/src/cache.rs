//! The newest snapshot of every node group: one writer, many readers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::snapshot::{Changes, ResourceChange, Snapshot};

/// A fleet of Envoys that share a snapshot: one per Gateway.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeGroup(String);

impl NodeGroup {
    /// The group of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

type Published = watch::Sender<Option<Arc<Snapshot>>>;

/// Reads snapshots. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SnapshotCache {
    /// Locked for a look-up or an insertion, never across an await. A group with `None` is waited for.
    groups: Arc<Mutex<BTreeMap<NodeGroup, Published>>>,
}

impl SnapshotCache {
    /// The published snapshot of `group`, for debugging and readiness.
    pub fn snapshot_of(&self, group: &NodeGroup) -> Option<Arc<Snapshot>> {
        self.lock().get(group).and_then(|published| published.borrow().clone())
    }

    /// The groups with a published snapshot, sorted.
    pub fn groups(&self) -> Vec<NodeGroup> {
        let groups = self.lock();
        groups.iter().filter(|(_, published)| published.borrow().is_some()).map(|(g, _)| g.clone()).collect()
    }

    /// Follows the snapshots of `group`, which need not be published yet.
    pub fn subscribe(&self, group: &NodeGroup) -> SnapshotWatch {
        let mut groups = self.lock();
        let mut receiver = groups.entry(group.clone()).or_insert_with(|| Published::new(None)).subscribe();
        receiver.mark_changed();
        let waiting = Waiting { cache: self.clone(), group: group.clone() };
        SnapshotWatch { receiver, _waiting: waiting }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeGroup, Published>> {
        // The map is whole after every statement below, so a panic elsewhere cannot have torn it.
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one group. Only the newest snapshot counts: a slow reader skips, it never queues.
#[derive(Debug)]
pub struct SnapshotWatch {
    receiver: watch::Receiver<Option<Arc<Snapshot>>>,
    /// Dropped after the receiver.
    _waiting: Waiting,
}

/// Forgets a group that nobody published and nobody waits for any more.
#[derive(Debug)]
struct Waiting {
    cache: SnapshotCache,
    group: NodeGroup,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut groups = self.cache.lock();
        let is_idle = |published: &Published| published.borrow().is_none() && published.receiver_count() == 0;
        if groups.get(&self.group).is_some_and(is_idle) {
            groups.remove(&self.group);
        }
    }
}

impl SnapshotWatch {
    /// Waits for a snapshot not seen yet (at first, for any); `None` when the group is removed.
    ///
    /// Cancel safe.
    pub async fn next(&mut self) -> Option<Arc<Snapshot>> {
        loop {
            self.receiver.changed().await.ok()?;
            if let Some(snapshot) = self.receiver.borrow_and_update().clone() {
                return Some(snapshot);
            }
        }
    }
}

/// Publishes snapshots. There is one per cache.
#[derive(Debug, Default)]
pub struct SnapshotWriter {
    cache: SnapshotCache,
}

impl SnapshotWriter {
    /// A writer for a new, empty cache.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader of what is written.
    pub fn cache(&self) -> SnapshotCache {
        self.cache.clone()
    }

    /// Makes `snapshot` the newest of `group` and wakes its streams; it never waits for them. Returns
    /// whether anything differs from the snapshot before; what does not keeps its older allocation.
    ///
    /// Compares all resources, unless `snapshot` was made from the one before:
    /// [`update`](Self::update) is for whoever knows what changed.
    pub fn publish(&mut self, group: &NodeGroup, snapshot: Snapshot) -> bool {
        let next = match self.cache.snapshot_of(group) {
            Some(before) => before.changed(snapshot.changes_from(&before)),
            None => Some(snapshot),
        };
        self.replace(group, next)
    }

    /// Applies all of `changes`, of which the last counts for each resource, to the newest snapshot of
    /// `group` and wakes its streams; it never waits for them. Returns whether anything differs. A group
    /// that was never published begins empty, and is published even if there are no changes.
    ///
    /// Costs what [`Snapshot`] says for the changes, however many resources there are.
    pub fn update(&mut self, group: &NodeGroup, changes: impl IntoIterator<Item = ResourceChange>) -> bool {
        let wanted = |change| match change {
            ResourceChange::Set(resource) => {
                ((resource.resource_type(), resource.name().clone()), Some(resource))
            }
            ResourceChange::Remove(kind, name) => ((kind, name), None),
        };
        let changes: Changes = changes.into_iter().map(wanted).collect();
        let next = match self.cache.snapshot_of(group) {
            Some(before) => before.changed(changes),
            None => {
                let empty = Snapshot::default();
                Some(empty.changed(changes).unwrap_or(empty))
            }
        };
        self.replace(group, next)
    }

    /// Makes `next` the newest snapshot of `group`, if there is one.
    fn replace(&mut self, group: &NodeGroup, next: Option<Snapshot>) -> bool {
        let Some(next) = next else { return false };
        let mut groups = self.cache.lock();
        let published = groups.entry(group.clone()).or_insert_with(|| Published::new(None));
        published.send_replace(Some(Arc::new(next)));
        true
    }

    /// Forgets `group`; its streams end, and its clients keep what they have.
    pub fn remove(&mut self, group: &NodeGroup) {
        self.cache.lock().remove(group);
    }

    /// Removes the published groups for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&NodeGroup) -> bool) {
        self.cache.lock().retain(|group, published| published.borrow().is_none() || keep(group));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Resource;
    use crate::resource_type::ResourceType;

    fn snapshot(body: &str) -> Snapshot {
        [Resource::new("a", ResourceType::Cluster, body.as_bytes(), vec![])].into_iter().collect()
    }

    #[tokio::test]
    async fn a_reader_of_an_unpublished_group_waits_and_then_sees_only_the_newest() {
        let mut writer = SnapshotWriter::new();
        let group = NodeGroup::new("g");
        let mut watch = writer.cache().subscribe(&group);
        assert!(tokio::time::timeout(std::time::Duration::ZERO, watch.next()).await.is_err());
        writer.publish(&group, snapshot("1"));
        writer.publish(&group, snapshot("2"));
        assert!(watch.next().await.unwrap().same_versions(&snapshot("2")));
        assert!(tokio::time::timeout(std::time::Duration::ZERO, watch.next()).await.is_err());
    }

    #[tokio::test]
    async fn a_late_reader_sees_the_present_snapshot() {
        let mut writer = SnapshotWriter::new();
        writer.publish(&NodeGroup::new("g"), snapshot("1"));
        assert!(writer.cache().subscribe(&NodeGroup::new("g")).next().await.is_some());
    }

    fn names(cache: &SnapshotCache) -> usize {
        cache.lock().len()
    }

    #[tokio::test]
    async fn a_group_that_is_waited_for_no_longer_is_forgotten() {
        let mut writer = SnapshotWriter::new();
        let (one, two) = (NodeGroup::new("1"), NodeGroup::new("2"));
        let watches = [&one, &one, &two].map(|group| writer.cache().subscribe(group));
        assert_eq!(names(&writer.cache()), 2);
        writer.publish(&two, snapshot("1"));
        drop(watches);
        assert_eq!(writer.cache().groups(), [two]);
        assert_eq!(names(&writer.cache()), 1);
    }

    #[tokio::test]
    async fn removal_ends_the_watch() {
        let mut writer = SnapshotWriter::new();
        let (one, two) = (NodeGroup::new("1"), NodeGroup::new("2"));
        writer.publish(&one, snapshot("1"));
        writer.publish(&two, snapshot("1"));
        let mut watch = writer.cache().subscribe(&one);
        assert!(watch.next().await.is_some());
        writer.retain(|group| *group == two);
        assert!(watch.next().await.is_none());
        assert_eq!(writer.cache().groups(), [two]);
    }

    #[test]
    fn equal_content_is_not_published_again() {
        let mut writer = SnapshotWriter::new();
        let group = NodeGroup::new("g");
        assert!(writer.publish(&group, snapshot("1")));
        let first = writer.cache().snapshot_of(&group).unwrap();
        assert!(!writer.publish(&group, snapshot("1")));
        assert!(Arc::ptr_eq(&first, &writer.cache().snapshot_of(&group).unwrap()));
        assert!(writer.publish(&group, snapshot("2")));
    }

    #[test]
    fn an_update_of_an_unknown_group_publishes_even_nothing() {
        let mut writer = SnapshotWriter::new();
        let group = NodeGroup::new("g");
        assert!(writer.update(&group, []));
        assert_eq!(writer.cache().snapshot_of(&group).unwrap().iter().count(), 0);
        assert!(!writer.update(&group, []));
    }

    #[test]
    fn an_update_says_whether_anything_differs_and_equals_a_publication() {
        let cluster = |name: &str, body: &str, needs: &[&str]| {
            let needs = needs.iter().map(|name| (ResourceType::Secret, (*name).to_owned())).collect();
            Arc::new(Resource::new(name, ResourceType::Cluster, body.as_bytes(), needs))
        };
        let remove = |name: &str| ResourceChange::Remove(ResourceType::Cluster, name.into());
        let set = |resource: &Arc<Resource>| ResourceChange::Set(resource.clone());
        let group = NodeGroup::new("g");
        let mut writer = SnapshotWriter::new();
        let first = cluster("a", "1", &["s"]);
        assert!(writer.update(&group, [set(&first), set(&cluster("b", "1", &[])), remove("c")]));
        let before = writer.cache().snapshot_of(&group).unwrap();
        assert!(!writer.update(&group, [set(&cluster("a", "1", &["s"])), remove("c")]));
        assert!(!writer.update(&group, [set(&cluster("a", "2", &["s"])), set(&first)]), "the last counts");
        assert!(Arc::ptr_eq(&before, &writer.cache().snapshot_of(&group).unwrap()));

        assert!(writer.update(&group, [set(&cluster("a", "1", &["t"]))]), "other needs are a change");
        assert!(writer.update(&group, [remove("b"), set(&cluster("d", "1", &[])), set(&first)]));
        let updated = writer.cache().snapshot_of(&group).unwrap();
        assert!(
            updated.is_needed(ResourceType::Secret, "s") && !updated.is_needed(ResourceType::Secret, "t")
        );
        let whole: Snapshot = [first, cluster("d", "1", &[])].into_iter().collect();
        assert!(updated.same_versions(&whole));
        assert!(!writer.publish(&group, whole), "equal, however it came about");
        assert!(Arc::ptr_eq(&updated, &writer.cache().snapshot_of(&group).unwrap()));
    }

    #[test]
    fn a_publication_keeps_the_older_allocation_of_equal_content_and_knows_what_changed() {
        let of = |bodies: [&str; 2]| -> Snapshot {
            let new = |(name, body): (&str, &str)| {
                Resource::new(name, ResourceType::Cluster, body.as_bytes(), vec![])
            };
            ["a", "b"].into_iter().zip(bodies).map(new).collect()
        };
        let group = NodeGroup::new("g");
        let mut writer = SnapshotWriter::new();
        writer.publish(&group, of(["1", "1"]));
        let old = writer.cache().snapshot_of(&group).unwrap();
        writer.publish(&group, of(["1", "2"]));
        let new = writer.cache().snapshot_of(&group).unwrap();
        let at = |snapshot: &Snapshot, name| snapshot.get(ResourceType::Cluster, name).unwrap().clone();
        assert!(Arc::ptr_eq(&at(&new, "a"), &at(&old, "a")) && !Arc::ptr_eq(&at(&new, "b"), &at(&old, "b")));
        assert_eq!(new.changed_since(old.serial(), ResourceType::Cluster), Some(&["b".into()][..]));
    }
}
