//! Listeners and routes wait for the clusters they may point at.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::{Session, TRAFFIC, Warming};
use crate::observation::Observation;
use crate::resource::{Resource, ResourceType};
use crate::snapshot::Snapshot;

impl Session {
    /// Starts the wait for clusters that are being sent as response `last_serial`.
    ///
    /// Envoy warms a changed cluster anew and waits for endpoints even if it has them, so they follow at
    /// once (Envoy issues 13009, 28877; go-control-plane issues 526, 583).
    pub(super) fn begin_warming(&mut self, clusters: &[Arc<Resource>], now: Instant) {
        for cluster in clusters {
            let warming = Warming { serial: self.last_serial, since: now, cluster: cluster.clone() };
            self.warming.insert(cluster.name().clone(), warming);
            self.owe_endpoints(cluster);
        }
    }

    /// Waits for clusters that a reconnecting client has, or that return before they left: it may be without
    /// what they need (Envoy issue 9934).
    pub(super) fn resume_warming(&mut self, clusters: Vec<(Arc<Resource>, u64)>, now: Instant) {
        for (cluster, serial) in clusters {
            let name = cluster.name().clone();
            self.warming.entry(name).or_insert(Warming { serial, since: now, cluster });
        }
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

    /// Whether listeners and routes may go out. Gives up waiting when it is time to.
    pub(super) fn is_gate_open(&mut self, snapshot: &Snapshot, now: Instant) -> bool {
        self.end_warming(snapshot);
        let waiting = TRAFFIC.into_iter().any(|kind| self.ledgers.get(kind).has_unsent());
        let is_warming = self.warming.keys().any(|name| snapshot.get(ResourceType::Cluster, name).is_some());
        if !waiting || (!is_warming && !self.has_unsent_clusters()) {
            self.held_since = None;
            return true;
        }
        self.held_since.get_or_insert(now);
        if self.gate_opens_at().is_some_and(|at| now < at) {
            return false;
        }
        let clusters = self.ledgers.get(ResourceType::Cluster);
        let unsent = clusters.outstanding.union(&clusters.owed).cloned();
        let late: BTreeSet<Arc<str>> = std::mem::take(&mut self.warming).into_keys().chain(unsent).collect();
        let clusters = late.iter().map(ToString::to_string).collect();
        self.observations.push(Observation::GateTimeout { clusters });
        self.held_since = None;
        true
    }

    /// When the wait at the gate is over at the latest, if something waits: when the last cluster had its
    /// time, and, so that a stream of new clusters cannot starve the rest, at the end of our own patience.
    pub(super) fn gate_opens_at(&self) -> Option<Instant> {
        let patience = self.held_since? + self.settings.gate_timeout;
        let newest = self.warming.values().map(|warming| warming.since).max();
        match newest {
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

    fn end_warming(&mut self, snapshot: &Snapshot) {
        let warming = std::mem::take(&mut self.warming);
        self.warming =
            warming.into_iter().filter(|(name, warming)| self.is_warming(name, warming, snapshot)).collect();
    }

    fn is_warming(&self, name: &str, warming: &Warming, snapshot: &Snapshot) -> bool {
        let clusters = self.ledgers.get(ResourceType::Cluster);
        // One that was refused or given up is not worth waiting for.
        let is_expected = clusters.held.contains_key(name) && !clusters.rejected.contains_key(name);
        if snapshot.get(ResourceType::Cluster, name).is_none() {
            return is_expected; // Nothing waits for it, unless it comes back.
        }
        let is_ready = clusters.is_settled(warming.serial)
            && warming
                .cluster
                .needs()
                .iter()
                .all(|(kind, need)| self.has_need(*kind, need, warming, snapshot));
        is_expected && !is_ready
    }

    /// Whether the client accepted what a cluster needs (endpoints: not before the cluster). What does
    /// not exist or was refused will not come.
    fn has_need(&self, kind: ResourceType, name: &str, warming: &Warming, snapshot: &Snapshot) -> bool {
        let ledger = self.ledgers.get(kind);
        let accepted = ledger.held.get(name).and_then(|held| held.accepted_by());
        snapshot.get(kind, name).is_none()
            || ledger.rejected.contains_key(name)
            || accepted.is_some_and(|by| kind != ResourceType::Endpoint || by >= warming.serial)
    }
}
