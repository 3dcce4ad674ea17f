//! Listeners and routes wait for the clusters they may point at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::{Session, TRAFFIC};
use crate::ledger::{Aside, Revived};
use crate::observation::Observation;
use crate::resource::Resource;
use crate::resource_type::ResourceType;
use crate::snapshot::Snapshot;

impl Session {
    /// Starts the wait for clusters that are being sent as response `last_serial`.
    ///
    /// Envoy warms a changed cluster anew and waits for endpoints even if it has them, so they follow at
    /// once (Envoy issues 13009, 28877; go-control-plane issues 526, 583).
    pub(super) fn begin_warming(&mut self, clusters: &[Arc<Resource>], now: Instant) {
        for cluster in clusters {
            let again = self.ledgers.get(ResourceType::Cluster).awaits_again(cluster.name());
            match again {
                // The client could not use it for so long that nothing may wait for it any more.
                Some(false) => self.warmings.end(cluster.name()),
                Some(true) | None => self.warmings.begin(cluster, self.last_serial, now),
            }
            self.owe_endpoints(cluster);
        }
    }

    /// Waits for clusters that a reconnecting client has, or that return before they left: it may be without
    /// what they need (Envoy issue 9934). Costs as much as there is in `clusters`: nothing, as a rule.
    pub(super) fn resume_warming(&mut self, clusters: Vec<Revived>, now: Instant) {
        for (cluster, serial) in clusters {
            self.warmings.resume(&cluster, serial, now);
        }
    }

    /// Takes out of what is to be sent the filters whose clusters the client was not heard about. Costs as much as there are
    /// filters to be sent.
    pub(super) fn set_filters_aside(&mut self, snapshot: &Snapshot) -> Aside {
        let clusters = self.ledgers.get(ResourceType::Cluster);
        let is_pending = |(kind, name): &(ResourceType, String)| {
            let cluster = (*kind == ResourceType::Cluster).then(|| snapshot.get(*kind, name)).flatten();
            cluster.is_some_and(|cluster| clusters.is_pending(cluster))
        };
        let filter = |name: &Arc<str>| snapshot.get(ResourceType::Extension, name);
        let waits =
            |name: &&Arc<str>| filter(name).is_some_and(|filter| filter.needs().iter().any(is_pending));
        let filters = self.ledgers.get(ResourceType::Extension);
        let waiting: BTreeSet<Arc<str>> = filters.unsent().filter(waits).cloned().collect();
        self.ledgers.get_mut(ResourceType::Extension).set_aside(&waiting)
    }

    /// Has the endpoints of `cluster` sent again if the client subscribed to them; else it will ask.
    pub(super) fn owe_endpoints(&mut self, cluster: &Resource) {
        let ledger = self.ledgers.get_mut(ResourceType::Endpoint);
        for (_, name) in cluster.needs().iter().filter(|(kind, _)| *kind == ResourceType::Endpoint) {
            if ledger.subscription.covers(name) {
                ledger.owed.insert(name.as_str().into());
            }
        }
    }

    /// Whether listeners and routes may go out. Gives up waiting when it is time to. Costs as much as moved
    /// since it was asked before; at the end of the patience, as much as is waited for.
    pub(super) fn is_gate_open(&mut self, snapshot: &Snapshot, now: Instant) -> bool {
        self.end_warming(snapshot);
        let waiting = TRAFFIC.into_iter().any(|kind| self.ledgers.get(kind).has_unsent());
        if !waiting || (!self.warmings.is_any_awaited() && !self.has_unsent_clusters()) {
            self.held_since = None;
            return true;
        }
        self.held_since.get_or_insert(now);
        if self.gate_opens_at().is_some_and(|at| now < at) {
            return false;
        }
        let clusters = self.ledgers.get(ResourceType::Cluster);
        let unsent = clusters.outstanding.union(&clusters.owed).cloned();
        let late: BTreeSet<Arc<str>> = self.warmings.take_names().chain(unsent).collect();
        let clusters = late.iter().map(ToString::to_string).collect();
        self.observations.push(Observation::GateTimeout { clusters });
        self.held_since = None;
        true
    }

    /// When the wait at the gate is over at the latest, if something waits: when the last cluster had its
    /// time, and, so that a stream of new clusters cannot starve the rest, at the end of our own patience.
    pub(super) fn gate_opens_at(&self) -> Option<Instant> {
        let patience = self.held_since? + self.settings.gate_timeout;
        match self.warmings.newest() {
            Some(since) if !self.has_unsent_clusters() => {
                Some(patience.min(since + self.settings.gate_timeout))
            }
            _ => Some(patience),
        }
    }

    fn has_unsent_clusters(&self) -> bool {
        let clusters = self.ledgers.get(ResourceType::Cluster);
        !clusters.outstanding.is_empty() || !clusters.owed.is_empty()
    }

    /// Ends the wait for clusters of which something moved that makes them usable, or not worth the wait.
    fn end_warming(&mut self, snapshot: &Snapshot) {
        for kind in ResourceType::ALL {
            let moved = std::mem::take(&mut self.ledgers.get_mut(kind).moved);
            self.warmings.note(kind, &moved);
        }
        self.warmings.refresh(&self.ledgers, snapshot);
    }
}
