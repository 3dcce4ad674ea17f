//! What the snapshot says, against what is held.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Held, Ledger, Revision};
use crate::resource::Resource;
use crate::snapshot::{ResourceSet, Snapshot};
use crate::version::ResourceVersion;

/// Names to be looked at.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// All there are, besides these.
    pub(crate) all: bool,
    pub(crate) some: BTreeSet<Arc<str>>,
}

impl Names {
    pub(super) fn add(&mut self, name: &Arc<str>) {
        if !self.all {
            self.some.insert(name.clone());
        }
    }

    pub(super) fn add_all(&mut self) {
        *self = Self { all: true, some: BTreeSet::new() };
    }
}

/// A resource that counts as held again although nothing was sent, and the response that once carried it.
pub(crate) type Revived = (Arc<Resource>, u64);

impl Ledger {
    /// Compares what is held with `snapshot`. Returns what is revived by that.
    ///
    /// Costs as much as changed since the snapshot seen before, plus the names whose state changed by an
    /// answer of the client. Everything is compared only when the client opens the type or when its wildcard
    /// comes or goes.
    pub(crate) fn scan(&mut self, snapshot: &Snapshot) -> Vec<Revived> {
        self.note_changes(snapshot);
        if !self.opened {
            return Vec::new();
        }
        let set = snapshot.resources(self.kind);
        let stale = std::mem::take(&mut self.stale);
        if stale.all {
            return self.scan_all(set);
        }
        stale.some.iter().filter_map(|name| self.scan_one(name, set)).collect()
    }

    /// Marks as stale what changed since the snapshot that was seen last.
    fn note_changes(&mut self, snapshot: &Snapshot) {
        let set = snapshot.shared_resources(self.kind);
        let Some((serial, before)) = self.seen.replace((snapshot.serial(), set.clone())) else {
            self.touch_all();
            return;
        };
        if serial == snapshot.serial() {
            return;
        }
        self.relist |= before.version() != set.version();
        match snapshot.changed_since(serial, self.kind) {
            Some(names) => names.iter().for_each(|name| self.touch(name)),
            // Several were skipped, or it was built anew. What they share is skipped here, too.
            None => set.differences(&before, |old, new| {
                if let Some(resource) = new.or(old) {
                    self.touch(resource.name());
                }
            }),
        }
    }

    fn scan_one(&mut self, name: &Arc<str>, set: &ResourceSet) -> Option<Revived> {
        let resource = set.get(name);
        if self.rejected.get(name).is_some_and(|refused| resource.is_none_or(|r| r.version() != *refused)) {
            self.rejected.remove(name);
            self.deferrals.end(name);
        }
        let Some(resource) = resource else {
            self.outstanding.remove(name);
            match self.held.contains_key(name) {
                true => self.retirements.begin(name),
                false => drop(self.retirements.end(name)),
            }
            return None;
        };
        let returns = self.retirements.end(name);
        let revived = self.held.get(name).filter(|held| returns && held.is_at(resource.version()));
        let revived = revived.map(|held| (resource.clone(), held.serial));
        let is_wanted = self.subscription.covers(name) && !self.apart.contains(name);
        match is_wanted && self.is_news(resource) {
            true => self.outstanding.insert(name.clone()),
            false => self.outstanding.remove(name),
        };
        revived
    }

    fn scan_all(&mut self, set: &ResourceSet) -> Vec<Revived> {
        self.resume_with(set);
        let adopted = std::mem::take(&mut self.adopted);
        let brought = |(name, held): (&Arc<str>, &Held)| {
            let resource =
                set.get(name).filter(|r| adopted && held.serial == 0 && held.is_at(r.version()))?;
            Some((resource.clone(), 0))
        };
        let mut revived: Vec<Revived> = self.held.iter().filter_map(brought).collect();
        let brought: BTreeSet<Arc<str>> =
            revived.iter().map(|(resource, _)| resource.name().clone()).collect();

        let mut names: BTreeSet<Arc<str>> = self.wanted(set).map(|r| r.name().clone()).collect();
        names.extend(self.held.keys().chain(self.rejected.keys()).chain(&self.outstanding).cloned());
        names.extend(self.retirements.names().cloned());
        for name in names {
            revived.extend(self.scan_one(&name, set).filter(|_| !brought.contains(&name)));
        }
        revived
    }

    /// Takes over everything a state-of-the-world client says it holds, if that is all there is now.
    fn resume_with(&mut self, set: &ResourceSet) {
        let Some(version) = self.resume.take() else { return };
        let wanted: Vec<Arc<Resource>> = self.wanted(set).cloned().collect();
        if version_of(&wanted) != version {
            return;
        }
        for resource in wanted {
            self.owed.remove(resource.name());
            self.held.insert(resource.name().clone(), Held::adopted(Revision::of(&resource)));
        }
        self.answered = true;
        self.adopted = true;
        self.has_unknown = false;
    }

    /// The part of `set` that the client subscribed to, by name.
    pub(crate) fn wanted<'a>(
        &'a self,
        set: &'a ResourceSet,
    ) -> Box<dyn Iterator<Item = &'a Arc<Resource>> + 'a> {
        match self.subscription.is_wildcard() {
            true => Box::new(set.iter()),
            false => Box::new(self.subscription.names().iter().filter_map(|name| set.get(name))),
        }
    }

    pub(super) fn is_news(&self, resource: &Arc<Resource>) -> bool {
        !self.is_rejected(resource)
            && self.held.get(resource.name()).is_none_or(|held| !held.is_at(resource.version()))
    }

    /// Has the name looked at by the next [`scan`](Self::scan), and by whoever follows what is held.
    pub(super) fn touch(&mut self, name: &Arc<str>) {
        self.stale.add(name);
        self.note(name);
    }

    pub(super) fn touch_all(&mut self) {
        self.stale.add_all();
        self.moved.add_all();
        self.recoverable.clone_from(&self.reported);
    }

    /// Has the name looked at by whoever follows what is held, on its way or refused.
    pub(super) fn note(&mut self, name: &Arc<str>) {
        self.moved.add(name);
        if self.reported.contains(name) {
            self.recoverable.insert(name.clone());
        }
    }
}

/// The version of a list in full.
pub(crate) fn version_of(listing: &[Arc<Resource>]) -> ResourceVersion {
    listing.iter().fold(ResourceVersion::OF_NOTHING, |sum, r| sum.with(r.name(), r.version()))
}
