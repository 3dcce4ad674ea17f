//! What is known across units: kept up to date as the values of units change, so that nobody has to walk over all.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

use crds::{Kind, NamespacedName, ObjectKey};
use ir::{FilterPart, Hostname, RouteTableId};

use crate::gateway::facts::{BackendKey, GatewayKey, PolicyEffect, PolicyFact, RouteKey, Row};

/// A route table of a Gateway.
pub(crate) type TableKey = (GatewayKey, Arc<RouteTableId>);

/// What is known across units.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// The classes that are ours.
    pub classes: BTreeSet<String>,
    /// The Gateways that are ours.
    pub gateways: BTreeSet<GatewayKey>,
    /// How many classes and Gateways name parameters.
    pub parameters: Counts<ObjectKey>,
    /// How many routes name a backend.
    pub named: Counts<BackendKey>,
    /// How many routes of a Gateway name a Service, a Backend or an XBackend, whether it can be used or not.
    pub naming: GroupedCounts<ObjectKey, GatewayKey>,
    /// How many routes of a Gateway need a backend.
    pub users: GroupedCounts<BackendKey, GatewayKey>,
    /// How many backends in a namespace routes of a Gateway need: their prices are for its proxies.
    pub namespaces: GroupedCounts<GatewayKey, Arc<str>>,
    /// How many routes of a Gateway name a part of a filter that the Gateway has one of.
    pub parts: GroupedCounts<GatewayKey, FilterPart>,
    /// How many routes count as attached to a listener.
    pub attached: GroupedCounts<GatewayKey, Arc<str>>,
    /// How many routes tell what about a policy.
    pub policy_facts: Counts<PolicyFact>,
    tables: BTreeMap<TableKey, TableIndex>,
    /// The routes of connections or datagrams at each listener.
    l4: BTreeMap<(GatewayKey, Arc<str>), BTreeSet<L4Row>>,
}

/// A route of connections or datagrams at a listener, under one hostname. Of those with the same one, the first serves: that
/// with the more specific hostname as written, then the older, then by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct L4Row {
    pub effective: Hostname,
    pub original: Hostname,
    /// Absent counts as oldest.
    pub created: Option<i64>,
    pub name: NamespacedName,
    pub kind: Kind,
}

/// The routes and hosts of a route table.
#[derive(Debug, Default)]
struct TableIndex {
    /// The hostname under which a route is served, the route, the listener, and the hostname as the route writes it:
    /// a listener may narrow several to the same one, and each is a reason to stand there.
    rows: BTreeSet<(Hostname, RouteKey, Arc<str>, Hostname)>,
    /// The virtual hosts, each after its name with the labels in reverse (`com.example.a`), so that those below a
    /// wildcard stand together.
    hosts: BTreeSet<(String, Hostname)>,
}

impl Index {
    /// Notes or forgets a row of a route.
    pub(crate) fn set_row(&mut self, route: &RouteKey, row: &Row, is_there: bool) {
        let Some(table) = &row.table else { return };
        let key = (row.gateway.clone(), table.clone());
        let index = self.tables.entry(key.clone()).or_default();
        let entry = (row.effective.clone(), route.clone(), row.listener.clone(), row.original.clone());
        match is_there {
            true => index.rows.insert(entry),
            false => index.rows.remove(&entry),
        };
        self.forget_if_empty(&key);
    }

    /// Notes or forgets a route of connections or datagrams.
    pub(crate) fn set_l4_row(
        &mut self,
        gateway: &GatewayKey,
        listener: &Arc<str>,
        row: &L4Row,
        is_there: bool,
    ) {
        let key = (gateway.clone(), listener.clone());
        let rows = self.l4.entry(key.clone()).or_default();
        match is_there {
            true => rows.insert(row.clone()),
            false => rows.remove(row),
        };
        if rows.is_empty() {
            self.l4.remove(&key);
        }
    }

    /// The route that serves each hostname of a listener.
    pub(crate) fn l4_routes(&self, gateway: &GatewayKey, listener: &Arc<str>) -> Vec<(Hostname, RouteKey)> {
        let rows = self.l4.get(&(gateway.clone(), listener.clone())).into_iter().flatten();
        let mut routes: Vec<(Hostname, RouteKey)> = Vec::new();
        for row in rows {
            if routes.last().is_none_or(|(hostname, _)| *hostname != row.effective) {
                routes.push((row.effective.clone(), RouteKey { kind: row.kind, name: row.name.clone() }));
            }
        }
        routes
    }

    /// Notes or forgets a virtual host.
    pub(crate) fn set_host(&mut self, table: &TableKey, hostname: &Hostname, is_there: bool) {
        let index = self.tables.entry(table.clone()).or_default();
        let host = (reversed(hostname), hostname.clone());
        match is_there {
            true => index.hosts.insert(host),
            false => index.hosts.remove(&host),
        };
        self.forget_if_empty(table);
    }

    /// The routes that are served under exactly this hostname, each with its listener; one may stand there several
    /// times.
    pub(crate) fn routes_at(
        &self,
        table: &TableKey,
        hostname: &Hostname,
    ) -> impl Iterator<Item = (&RouteKey, &Arc<str>)> + use<'_> {
        // No route has this name: all that stand under the hostname come after it.
        let first = (hostname.clone(), no_route(), Arc::from(""), Hostname::Any);
        let rows = self.tables.get(table).map(|index| index.rows.range(first.clone()..));
        let is_here = move |row: &&(Hostname, RouteKey, Arc<str>, Hostname)| row.0 == first.0;
        rows.into_iter().flatten().take_while(is_here).map(|(_, route, listener, _)| (route, listener))
    }

    /// Whether a virtual host exists.
    pub(crate) fn has_host(&self, table: &TableKey, hostname: &Hostname) -> bool {
        let host = (reversed(hostname), hostname.clone());
        self.tables.get(table).is_some_and(|index| index.hosts.contains(&host))
    }

    /// Whether a route may stand in a virtual host.
    pub(crate) fn is_over(&self, table: &TableKey, hostname: &Hostname, route: &RouteKey) -> bool {
        let is_at = |wider: Hostname| self.routes_at(table, &wider).any(|(at, _)| at == route);
        hostname.covering().any(is_at)
    }

    /// The routes that may stand in a virtual host: those under a hostname that covers it.
    pub(crate) fn routes_over(&self, table: &TableKey, hostname: &Hostname) -> BTreeSet<RouteKey> {
        let covering = hostname.covering();
        covering.flat_map(|wider| self.routes_at(table, &wider)).map(|(route, _)| route.clone()).collect()
    }

    /// The virtual hosts that a hostname covers, itself included.
    pub(crate) fn hosts_below(&self, table: &TableKey, hostname: &Hostname) -> Vec<Hostname> {
        let Some(index) = self.tables.get(table) else { return Vec::new() };
        let name = reversed(hostname);
        let itself = || self.has_host(table, hostname).then(|| hostname.clone());
        match hostname {
            Hostname::Any => index.hosts.iter().map(|(_, host)| host.clone()).collect(),
            Hostname::Exact(_) => itself().into_iter().collect(),
            Hostname::Wildcard(_) => {
                // The names that begin with `a.`: what comes after them in the order of bytes is `a/`.
                let bound = |end: char| (format!("{name}{end}"), Hostname::Any);
                let below = index.hosts.range(bound('.')..bound('/')).map(|(_, host)| host.clone());
                itself().into_iter().chain(below).collect()
            }
        }
    }

    /// What routes tell about a policy.
    pub(crate) fn policy_facts(&self, policy: &ObjectKey) -> Vec<(GatewayKey, PolicyEffect)> {
        let first = PolicyFact {
            policy: policy.clone(),
            gateway: GatewayKey::new("", ""),
            what: PolicyEffect::Applies,
        };
        let facts = self.policy_facts.from(first).take_while(|fact| fact.policy == *policy);
        facts.map(|fact| (fact.gateway.clone(), fact.what.clone())).collect()
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        let Self {
            classes,
            gateways,
            parameters,
            named,
            naming,
            users,
            namespaces,
            parts,
            attached,
            policy_facts,
            tables,
            l4,
        } = self;
        classes.is_empty()
            && gateways.is_empty()
            && parameters.is_empty()
            && named.is_empty()
            && naming.is_empty()
            && users.is_empty()
            && namespaces.is_empty()
            && parts.is_empty()
            && attached.is_empty()
            && policy_facts.is_empty()
            && tables.is_empty()
            && l4.is_empty()
    }

    fn forget_if_empty(&mut self, table: &TableKey) {
        let is_empty = |index: &TableIndex| index.rows.is_empty() && index.hosts.is_empty();
        if self.tables.get(table).is_some_and(is_empty) {
            self.tables.remove(table);
        }
    }
}

/// What stands before every route.
fn no_route() -> RouteKey {
    RouteKey { kind: Kind::Namespace, name: NamespacedName::new("", "") }
}

/// A hostname with its labels from behind: `b.a.com` is `com.a.b`.
fn reversed(hostname: &Hostname) -> String {
    match hostname {
        Hostname::Exact(name) | Hostname::Wildcard(name) => name.rsplit('.').collect::<Vec<_>>().join("."),
        Hostname::Any => String::new(),
    }
}

/// How often something is there. What is there zero times is forgotten.
#[derive(Debug)]
pub(crate) struct Counts<K> {
    counts: BTreeMap<K, usize>,
}

/// Counts in groups. A group without any is not kept.
#[derive(Debug)]
pub(crate) struct GroupedCounts<G, K>(BTreeMap<G, Counts<K>>);

impl<G, K> Default for GroupedCounts<G, K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<G: Ord + Clone, K: Ord + Clone> GroupedCounts<G, K> {
    /// Once more; says whether it was not there before.
    pub(crate) fn add(&mut self, group: &G, key: &K) -> bool {
        self.0.entry(group.clone()).or_default().add(key)
    }

    /// Once less; says whether it is not there any more.
    pub(crate) fn remove(&mut self, group: &G, key: &K) -> bool {
        let Some(counts) = self.0.get_mut(group) else { return false };
        let is_gone = counts.remove(key);
        if counts.is_empty() {
            self.0.remove(group);
        }
        is_gone
    }
}

impl<G, K> Deref for GroupedCounts<G, K> {
    type Target = BTreeMap<G, Counts<K>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { counts: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Counts<K> {
    /// Once more; says whether it was not there before.
    pub(crate) fn add(&mut self, key: &K) -> bool {
        let count = self.counts.entry(key.clone()).or_default();
        *count += 1;
        *count == 1
    }

    /// Once less; says whether it is not there any more.
    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let Some(count) = self.counts.get_mut(key) else { return false };
        *count -= 1;
        let is_gone = *count == 0;
        if is_gone {
            self.counts.remove(key);
        }
        is_gone
    }

    /// How often it is there.
    pub(crate) fn get(&self, key: &K) -> usize {
        self.counts.get(key).copied().unwrap_or_default()
    }

    /// All that is there from some place in their order on.
    pub(crate) fn from(&self, first: K) -> impl Iterator<Item = &K> {
        self.counts.range(first..).map(|(key, _)| key)
    }

    /// All that is there.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.counts.keys()
    }

    /// Whether nothing is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_below_a_hostname_are_those_that_it_covers() {
        let texts = [
            "",
            "*.com",
            "a.com",
            "*.a.com",
            "b.a.com",
            "c.b.a.com",
            "*.b.a.com",
            "xa.com",
            "a-b.com",
            "com",
        ];
        let hosts = texts.map(Hostname::parse);
        let mut index = Index::default();
        let table = (GatewayKey::new("default", "web"), Arc::new(RouteTableId { port: 80, https: None }));
        hosts.iter().for_each(|host| index.set_host(&table, host, true));
        for hostname in &hosts {
            let below: BTreeSet<_> =
                index.hosts_below(&table, hostname).into_iter().map(|host| host.to_string()).collect();
            let covered = hosts.iter().filter(|host| hostname.covers(host)).map(ToString::to_string);
            assert_eq!(below, covered.collect(), "below {hostname}");
        }
        hosts.iter().for_each(|host| index.set_host(&table, host, false));
        assert!(index.is_empty());
    }
}
