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
    /// Lists the removals that are due.
    pub(super) fn list_removals(&mut self, snapshot: &Snapshot, now: Instant) {
        // Nothing refers to a listener. Its removal passes the gate like its replacement: one of them may
        // have the other's port.
        let listeners = self.ledgers.get_mut(ResourceType::Listener);
        listeners.removals.extend(listeners.retiring.keys().cloned());
        for kind in REFERENCED {
            self.list_due(kind, snapshot, now);
        }
    }

    /// Moves every retirement on as far as it can go.
    pub(super) fn move_retirements_on(&mut self, now: Instant) {
        for kind in REFERENCED {
            self.move_on(kind, now);
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

    /// A listener or route was rejected: what was thought to be replaced is not.
    pub(super) fn revoke_replacement(&mut self) {
        for kind in REFERENCED {
            let states = self.ledgers.get_mut(kind).retiring.values_mut();
            for state in states.filter(|state| matches!(state, Retirement::AwaitingAck(_))) {
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
        // And a table that is itself about to leave may come back before it does.
        let is_last =
            kind == ResourceType::Route || self.ledgers.get(ResourceType::Route).retiring.is_empty();
        let replaced =
            is_last && traffic.iter().all(|ledger| ledger.rejected.is_empty() && !ledger.has_unsent());
        let oldest_unsettled =
            traffic.iter().filter_map(|ledger| ledger.in_flight.front()).map(|sent| sent.serial).min();
        let is_settled = |serial| oldest_unsettled.is_none_or(|oldest| oldest > serial);

        let last_serial = self.last_serial;
        for state in self.ledgers.get_mut(kind).retiring.values_mut() {
            if *state == Retirement::Referenced && replaced {
                *state = Retirement::AwaitingAck(last_serial);
            }
            if matches!(*state, Retirement::AwaitingAck(serial) if is_settled(serial)) {
                *state = Retirement::Draining(now);
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
