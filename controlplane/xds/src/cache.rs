//! The newest snapshot of every node group: one writer, many readers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::snapshot::Snapshot;

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
        SnapshotWatch { receiver }
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
    /// whether anything differs from the snapshot before.
    pub fn publish(&mut self, group: &NodeGroup, snapshot: Snapshot) -> bool {
        let before = self.cache.snapshot_of(group);
        if before.as_ref().is_some_and(|before| before.is_same(&snapshot)) {
            return false;
        }
        let snapshot = match &before {
            Some(before) => snapshot.reusing(before),
            None => snapshot,
        };
        let mut groups = self.cache.lock();
        // Groups that were only waited for, and no longer are.
        groups.retain(|_, published| published.borrow().is_some() || published.receiver_count() > 0);
        let published = groups.entry(group.clone()).or_insert_with(|| Published::new(None));
        published.send_replace(Some(Arc::new(snapshot)));
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
    use crate::resource::{Resource, ResourceType};

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
}
