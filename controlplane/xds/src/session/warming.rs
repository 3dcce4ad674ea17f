//! The clusters that were sent and are not yet known to be usable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::ledger::{Ledger, Names};
use crate::resource::Resource;
use crate::resource_type::{PerType, ResourceType};
use crate::snapshot::Snapshot;

/// A cluster that was sent and is not yet known to be usable.
#[derive(Debug)]
pub(super) struct Warming {
    /// The response that carried it.
    serial: u64,
    since: Instant,
    cluster: Arc<Resource>,
    /// Whether the snapshot has it. If not, nothing waits for it, unless it comes back.
    is_awaited: bool,
}

/// All clusters that are warming.
///
/// Whether one still is, is looked at only when something of it or of what it needs changed: an answer costs
/// nothing for those that it is not about.
#[derive(Debug)]
pub(super) struct Warmings {
    clusters: BTreeMap<Arc<str>, Warming>,
    by_age: BTreeSet<(Instant, Arc<str>)>,
    /// Which clusters need a resource.
    needed_by: PerType<BTreeMap<String, Vec<Arc<str>>>>,
    /// How many are awaited.
    awaited: usize,
    /// Those to be looked at.
    stale: BTreeSet<Arc<str>>,
}

impl Warmings {
    pub(super) fn new() -> Self {
        Self {
            clusters: BTreeMap::new(),
            by_age: BTreeSet::new(),
            needed_by: PerType::new(|_| BTreeMap::new()),
            awaited: 0,
            stale: BTreeSet::new(),
        }
    }

    /// Waits for a cluster that is sent as response `serial`.
    pub(super) fn begin(&mut self, cluster: &Arc<Resource>, serial: u64, since: Instant) {
        let name = cluster.name();
        self.end(name);
        for (kind, need) in cluster.needs() {
            self.needed_by.get_mut(*kind).entry(need.clone()).or_default().push(name.clone());
        }
        self.by_age.insert((since, name.clone()));
        self.awaited += 1;
        let warming = Warming { serial, since, cluster: cluster.clone(), is_awaited: true };
        self.clusters.insert(name.clone(), warming);
        self.stale.insert(name.clone());
    }

    /// Waits for a cluster that once was sent as response `serial`, unless it is waited for already.
    pub(super) fn resume(&mut self, cluster: &Arc<Resource>, serial: u64, since: Instant) {
        if !self.clusters.contains_key(cluster.name()) {
            self.begin(cluster, serial, since);
        }
    }

    /// Whether there is one that listeners and routes may wait for.
    pub(super) fn is_any_awaited(&self) -> bool {
        self.awaited > 0
    }

    /// Since when the newest is waited for.
    pub(super) fn newest(&self) -> Option<Instant> {
        self.by_age.last().map(|(since, _)| *since)
    }

    /// Those that this stream sent.
    pub(super) fn sent(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.clusters.values().filter(|warming| warming.serial > 0).map(|warming| &warming.cluster)
    }

    /// Gives up on all of them, and names them.
    pub(super) fn take_names(&mut self) -> impl Iterator<Item = Arc<str>> + use<> {
        std::mem::replace(self, Self::new()).clusters.into_keys()
    }

    /// Has those looked at that something which `moved` is about: they themselves, or what they need.
    pub(super) fn note(&mut self, kind: ResourceType, moved: &Names) {
        if self.clusters.is_empty() {
            return;
        }
        if moved.all {
            self.stale.extend(self.clusters.keys().cloned());
        }
        for name in &moved.some {
            if kind == ResourceType::Cluster && self.clusters.contains_key(name) {
                self.stale.insert(name.clone());
            }
            self.stale.extend(self.needed_by.get(kind).get(&**name).into_iter().flatten().cloned());
        }
    }

    /// Ends the wait for those that are usable, refused or given up, of those to be looked at.
    pub(super) fn refresh(&mut self, ledgers: &PerType<Ledger>, snapshot: &Snapshot) {
        for name in std::mem::take(&mut self.stale) {
            let Some(warming) = self.clusters.get_mut(&name) else { continue };
            let was_awaited = warming.is_awaited;
            warming.is_awaited = snapshot.get(ResourceType::Cluster, &name).is_some();
            self.awaited = self.awaited + usize::from(warming.is_awaited) - usize::from(was_awaited);
            if !warming.goes_on(ledgers, snapshot) {
                self.end(&name);
            }
        }
    }

    /// Ends the wait for a cluster, if there is one.
    pub(super) fn end(&mut self, name: &Arc<str>) {
        let Some(Warming { since, cluster, is_awaited, .. }) = self.clusters.remove(name) else { return };
        self.by_age.remove(&(since, name.clone()));
        self.awaited -= usize::from(is_awaited);
        for (kind, need) in cluster.needs() {
            let needed_by = self.needed_by.get_mut(*kind);
            if let Some(clusters) = needed_by.get_mut(need) {
                clusters.retain(|cluster| cluster != name);
                if clusters.is_empty() {
                    needed_by.remove(need);
                }
            }
        }
    }
}

impl Warming {
    fn goes_on(&self, ledgers: &PerType<Ledger>, snapshot: &Snapshot) -> bool {
        let clusters = ledgers.get(ResourceType::Cluster);
        let name = self.cluster.name();
        if clusters.awaits_again(name) == Some(true) {
            // The client cannot use it yet, and gets it again.
            return true;
        }
        // One that was refused or given up is not worth waiting for.
        let is_expected = clusters.held.contains_key(name) && !clusters.rejected.contains_key(name);
        if !self.is_awaited {
            return is_expected;
        }
        let needs = self.cluster.needs();
        let has_need = |(kind, need): &(_, String)| self.has_need(*kind, need, ledgers, snapshot);
        is_expected && !(clusters.is_settled(self.serial) && needs.iter().all(has_need))
    }

    /// Whether the client accepted what the cluster needs (endpoints: not before the cluster). What does
    /// not exist or was refused will not come.
    fn has_need(
        &self,
        kind: ResourceType,
        name: &str,
        ledgers: &PerType<Ledger>,
        snapshot: &Snapshot,
    ) -> bool {
        let ledger = ledgers.get(kind);
        let accepted = ledger.held.get(name).and_then(|held| held.accepted_by());
        snapshot.get(kind, name).is_none()
            || ledger.rejected.contains_key(name)
            || accepted.is_some_and(|by| kind != ResourceType::Endpoint || by >= self.serial)
    }
}
