//! What is gone from the snapshot leaves the client only when nothing there uses it.
//!
//! Nothing here costs anything for what merely waits: see [`Retirements`](crate::ledger::Retirements).

use std::time::Instant;

use super::{Session, TRAFFIC};
use crate::resource_type::ResourceType;
use crate::snapshot::Snapshot;

/// Types whose resources are referred to by others.
fn referenced() -> impl Iterator<Item = ResourceType> {
    ResourceType::ALL.into_iter().filter(|kind| kind.is_referenced())
}

impl Session {
    /// Lists the removals that are due. Costs as much as there are.
    pub(super) fn list_removals(&mut self, snapshot: &Snapshot, now: Instant) {
        for kind in ResourceType::ALL {
            if kind.is_referenced() {
                self.list_drained(kind, snapshot, now);
            } else {
                // Nothing refers to a listener. Its removal passes the gate like its replacement: one of
                // them may have the other's port.
                self.ledgers.get_mut(kind).retirements.list_unreferenced();
            }
        }
    }

    /// Moves every retirement on as far as it can go. Costs as much as moves.
    pub(super) fn move_retirements_on(&mut self, now: Instant) {
        for kind in referenced() {
            self.move_on(kind, now);
        }
    }

    /// Starts over: references may have come up that we did not know of. Costs as much as was on its way out.
    pub(super) fn postpone_retirement(&mut self) {
        for kind in referenced() {
            self.ledgers.get_mut(kind).retirements.postpone();
        }
    }

    /// A listener or route was rejected: what was thought to be replaced is not.
    pub(super) fn revoke_replacement(&mut self) {
        for kind in referenced() {
            self.ledgers.get_mut(kind).retirements.revoke();
        }
    }

    /// A new snapshot may no longer need what an older one did. Costs as much as is kept for that reason,
    /// and only if needs changed.
    pub(super) fn recheck_needs(&mut self, older: &Snapshot, newer: &Snapshot) {
        for kind in referenced().filter(|kind| !newer.shares_needs(older, *kind)) {
            self.ledgers.get_mut(kind).retirements.recheck_needs();
        }
    }

    /// When the next drain delay ends.
    pub(super) fn drained_at(&self) -> Option<Instant> {
        let drained_at =
            |kind| self.ledgers.get(kind).retirements.drained_at(self.settings.drain_delay, self.advanced_at);
        referenced().filter_map(drained_at).min()
    }

    fn move_on(&mut self, kind: ResourceType, now: Instant) {
        let traffic = TRAFFIC.map(|kind| self.ledgers.get(kind));
        // A client that rejected a listener or route goes on with the old one, which may need anything.
        // And a table that is itself about to leave may come back before it does.
        let is_last =
            kind == ResourceType::Route || self.ledgers.get(ResourceType::Route).retirements.is_empty();
        let replaced =
            is_last && traffic.iter().all(|ledger| ledger.rejected.is_empty() && !ledger.has_unsent());
        let oldest_unsettled =
            traffic.iter().filter_map(|ledger| ledger.in_flight.front()).map(|sent| sent.serial).min();

        let last_serial = self.last_serial;
        let retirements = &mut self.ledgers.get_mut(kind).retirements;
        if replaced {
            retirements.await_ack(last_serial);
        }
        retirements.drain(oldest_unsettled, now);
    }

    fn list_drained(&mut self, kind: ResourceType, snapshot: &Snapshot, now: Instant) {
        let clusters = self.ledgers.get(ResourceType::Cluster);
        let clusters_are_gone = clusters.retirements.is_empty() && clusters.in_flight.is_empty();
        if kind.belongs_to_cluster() && !clusters_are_gone {
            return;
        }
        let is_needed = |name: &str| snapshot.is_needed(kind, name);
        let delay = self.settings.drain_delay;
        self.ledgers.get_mut(kind).retirements.list_drained(delay, now, is_needed);
    }
}
