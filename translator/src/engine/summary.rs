//! What is served, in short, for a person; and all of it at once, for whoever translates once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use crds::core::EndpointSlice;
use crds::{NamespacedName, ObjectRef};
use ir::{GatewayName, Hostname, L4Share, PathMatch, Transport};

use super::Translator;
use super::key::Key;
use super::value::{OfValue as _, Value};
use crate::gateway::backend::Selection;
use crate::gateway::facts::{
    BackendKey, GatewayKey, HostFace, HostKey, PortValue, Proxy, RouteVersion, gateway_name,
};
use crate::resources::Group;
use crate::status::Report;
use crate::{GatewayOutput, Translation};

/// A port on which a Gateway is served.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedListener {
    /// The name of the listener that the proxies open.
    pub name: String,
    /// Where it listens.
    pub addresses: Vec<IpAddr>,
    /// The port.
    pub port: u16,
    /// How its connections begin.
    pub transport: Transport,
    /// The virtual hosts, the most specific hostname first.
    pub hosts: Vec<ServedHost>,
    /// What is not HTTP: where connections or datagrams go, by the server name (SNI) that they ask for.
    pub forwards: Vec<(Hostname, Vec<L4Share>)>,
}

/// A virtual host.
#[derive(Clone, Debug, PartialEq)]
pub struct ServedHost {
    /// The hosts that it serves.
    pub hostname: Hostname,
    /// The paths of its routes, in the order in which they are tried.
    pub paths: Vec<PathMatch>,
}

impl Translator {
    /// All that there is at this time.
    pub fn translation(&mut self) -> Translation {
        let mut listeners = self.listeners();
        let (mut gateways, mut unserved) = (BTreeMap::new(), std::collections::BTreeSet::new());
        let keys: Vec<GatewayKey> = self.outputs.keys().cloned().collect();
        for key in keys {
            let name = gateway_name(&key);
            let proxy = self.graph.value(&Key::Proxy(key.clone())).and_then(Proxy::of).cloned();
            let resources =
                self.outputs.resources(&key, &self.graph, &self.index, &mut self.tables, &self.settings);
            let (Some(proxy), Some(resources)) = (proxy, resources) else {
                unserved.insert(name);
                continue;
            };
            let Proxy { infra, parameters, .. } = Proxy::clone(&proxy);
            let listeners = listeners.remove(&name).unwrap_or_default();
            gateways.insert(name, GatewayOutput { resources, infra, parameters, listeners });
        }
        let reports = self.reports().into_values().collect();
        Translation { gateways, unserved, reports, selections: self.selections() }
    }

    /// What there is to tell about every object.
    pub fn reports(&self) -> BTreeMap<ObjectRef, Arc<Report>> {
        let objects = self.resources.iter().map(crds::Object::key);
        let reports = objects.filter_map(|key| {
            let report = self.failures.overlay(&key, self.report(&key), self.resources.object(&key))?;
            Some((key.to_ref(), report))
        });
        reports.collect()
    }

    /// The Gateways of ours.
    pub fn gateways(&self) -> Vec<GatewayName> {
        self.outputs.keys().map(gateway_name).collect()
    }

    /// The objects whose status tells of a cluster: the backend itself or, of a Service, the routes that lead to it.
    /// Looks at every route, since it is asked for what proxies refuse only.
    pub fn objects_of_cluster(&self, cluster: &str) -> std::collections::BTreeSet<ObjectRef> {
        let mut objects = std::collections::BTreeSet::new();
        for (key, value) in self.graph.units() {
            let Value::Backend(backend) = value else { continue };
            let is_meant = backend
                .result
                .as_ref()
                .is_ok_and(|backend| backend.routing.iter().any(|name| name.as_str() == cluster));
            match key {
                Key::Backend(BackendKey::Object(object)) if is_meant => drop(objects.insert(object.to_ref())),
                Key::Backend(backend @ BackendKey::XBackend(..)) if is_meant => {
                    objects.extend(backend.object().map(|object| object.to_ref()));
                }
                Key::Backend(service) if is_meant => objects.extend(self.routes_to(service)),
                _ => {}
            }
        }
        objects
    }

    /// The Services that routes lead to and of which no EndpointSlice says where they run. Outside a cluster nobody
    /// writes these but the user.
    pub fn services_without_endpoints(&self) -> std::collections::BTreeSet<ObjectRef> {
        let services = self.graph.units().filter_map(|(key, value)| {
            let (Key::Backend(BackendKey::Service(name, ..)), Value::Backend(backend)) = (key, value) else {
                return None;
            };
            let is_unknown = backend.result.is_ok()
                && self.resources.members::<EndpointSlice>(&Group::SlicesOf(name.clone())).next().is_none();
            is_unknown.then(|| ObjectRef::namespaced("", "Service", &name.namespace, &name.name))
        });
        services.collect()
    }

    /// Every XBackend with pods for which somebody must keep EndpointSlices.
    pub fn selections(&self) -> BTreeMap<NamespacedName, Arc<Selection>> {
        let selections = self.graph.units().filter_map(|(key, value)| match (key, value) {
            (Key::Selection(backend), Value::Selection(selection)) => {
                Some((backend.clone(), selection.clone()))
            }
            _ => None,
        });
        selections.collect()
    }

    fn routes_to<'a>(&'a self, backend: &'a BackendKey) -> impl Iterator<Item = ObjectRef> + 'a {
        self.graph.units().filter_map(move |(key, value)| {
            let (Key::Served(_), Value::Served(version)) = (key, value) else { return None };
            let is_user = version.uses().iter().any(|(_, used)| used == backend);
            is_user.then(|| key.object()).flatten().map(|object| object.to_ref())
        })
    }

    /// What is served, in short. Looks at everything: for one machine and a person.
    pub fn listeners(&self) -> BTreeMap<GatewayName, Vec<ServedListener>> {
        let mut listeners: BTreeMap<(GatewayKey, u16, bool), ServedListener> = BTreeMap::new();
        let mut paths: BTreeMap<Arc<HostKey>, Vec<_>> = BTreeMap::new();
        for (key, value) in self.graph.units() {
            match (key, value) {
                (Key::Port(gateway, port), Value::Port(value)) => {
                    let PortValue { face, .. } = &**value;
                    for (listener, forwards) in face.summary() {
                        let served = ServedListener {
                            name: listener.name.to_string(),
                            addresses: listener.bind.addresses.clone(),
                            port: *port,
                            transport: listener.transport,
                            hosts: Vec::new(),
                            forwards,
                        };
                        let is_udp = listener.transport == Transport::Udp;
                        listeners.insert((gateway.clone(), *port, is_udp), served);
                    }
                }
                (Key::Host(host), Value::Host(face)) if matches!(**face, HostFace::Of { .. }) => {
                    paths.entry(host.clone()).or_default();
                }
                (Key::Entry(host, route), Value::Entry(entries)) => {
                    let version = self.graph.value(&Key::Served(route.clone())).and_then(RouteVersion::of);
                    let path = |rule: usize, rule_match: usize| {
                        let routes = &version?.route.routes;
                        let found =
                            routes.iter().find(|it| (it.rule, it.rule_match) == (rule, rule_match))?;
                        Some(found.path.clone())
                    };
                    let entries = entries.0.iter().filter_map(|(order, _)| {
                        let (rule, rule_match) = order.place();
                        Some((order.clone(), path(rule, rule_match)?))
                    });
                    paths.entry(host.clone()).or_default().extend(entries);
                }
                _ => {}
            }
        }
        for (host, mut routes) in paths {
            let HostKey { gateway, table, hostname } = HostKey::clone(&host);
            routes.sort_by(|(left, _), (right, _)| left.cmp(right));
            let paths = routes.into_iter().map(|(_, path)| path).collect();
            if let Some(listener) = listeners.get_mut(&(gateway, table.port, false)) {
                listener.hosts.push(ServedHost { hostname, paths });
            }
        }
        let mut all: BTreeMap<GatewayName, Vec<ServedListener>> = BTreeMap::new();
        for ((gateway, ..), mut listener) in listeners {
            listener.hosts.sort_by(|left, right| left.hostname.cmp(&right.hostname));
            let name = gateway_name(&gateway);
            all.entry(name).or_default().push(listener);
        }
        all
    }
}
