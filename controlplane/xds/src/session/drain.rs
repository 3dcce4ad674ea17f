//! What is gone from the snapshot leaves the client only when nothing there uses it.

use std::time::Instant;

use super::{Session, TRAFFIC};
use crate::ledger::Retirement;
use crate::resource::ResourceType;
use crate::snapshot::Snapshot;

/// Types whose resources are referred to by others.
const REFERENCED: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Secret, ResourceType::Route];

impl Session {
    /// Moves every retirement on as far as it can go, and lists the removals that are due.
    pub(super) fn retire(&mut self, snapshot: &Snapshot, now: Instant) {
        // Nothing refers to a listener. Its removal passes the gate like its replacement: one of them may
        // have the other's port.
        let listeners = self.ledgers.get_mut(ResourceType::Listener);
        listeners.removals.extend(listeners.retiring.keys().cloned());

        for kind in REFERENCED {
            self.move_on(kind, now);
        }
        for kind in REFERENCED {
            self.list_due(kind, snapshot, now);
        }
    }

    /// Starts over: references may have come up that we did not know of.
    pub(super) fn postpone_retirement(&mut self) {
        for kind in REFERENCED {
            for state in self.ledgers.get_mut(kind).retiring.values_mut() {
                *state = Retirement::Referenced;
            }
        }
    }

    /// When the next drain delay ends.
    pub(super) fn drained_at(&self) -> Option<Instant> {
        let states = REFERENCED.into_iter().flat_map(|kind| self.ledgers.get(kind).retiring.values());
        let ends = states.filter_map(|state| match state {
            Retirement::Draining(since) => Some(*since + self.settings.drain_delay),
            Retirement::Referenced | Retirement::AwaitingAck(_) => None,
        });
        ends.filter(|at| self.advanced_at.is_none_or(|last| last < *at)).min()
    }

    fn move_on(&mut self, kind: ResourceType, now: Instant) {
        let traffic = TRAFFIC.map(|kind| self.ledgers.get(kind));
        // A client that rejected a listener or route goes on with the old one, which may need anything.
        let replaced = traffic.iter().all(|ledger| ledger.rejected.is_empty() && !ledger.has_unsent());
        let rejected = traffic.iter().any(|ledger| !ledger.rejected.is_empty());
        let oldest_unsettled =
            traffic.iter().filter_map(|ledger| ledger.in_flight.front()).map(|sent| sent.serial).min();
        let is_settled = |serial| oldest_unsettled.is_none_or(|oldest| oldest > serial);

        let last_serial = self.last_serial;
        for state in self.ledgers.get_mut(kind).retiring.values_mut() {
            if *state == Retirement::Referenced && replaced {
                *state = Retirement::AwaitingAck(last_serial);
            }
            match *state {
                Retirement::AwaitingAck(serial) if is_settled(serial) && rejected => {
                    *state = Retirement::Referenced;
                }
                Retirement::AwaitingAck(serial) if is_settled(serial) => *state = Retirement::Draining(now),
                _ => {}
            }
        }
    }

    fn list_due(&mut self, kind: ResourceType, snapshot: &Snapshot, now: Instant) {
        let delay = self.settings.drain_delay;
        let clusters = self.ledgers.get(ResourceType::Cluster);
        let clusters_are_gone = clusters.retiring.is_empty() && clusters.in_flight.is_empty();
        let belongs_to_cluster = matches!(kind, ResourceType::Endpoint | ResourceType::Secret);
        if belongs_to_cluster && !clusters_are_gone {
            return;
        }
        let ledger = self.ledgers.get_mut(kind);
        for (name, state) in &ledger.retiring {
            let is_due = matches!(state, Retirement::Draining(since) if *since + delay <= now);
            if is_due && !snapshot.is_needed(kind, name) {
                ledger.removals.insert(name.clone());
            }
        }
    }
}
