//! What the proxies of each Gateway are to have, and what of it an update has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ir::{GatewayName, RouteTableId};

use super::delta::{GatewayChange, RouteChange};
use super::graph::Graph;
use super::index::{Index, TableKey};
use super::key::Key;
use super::value::OfValue as _;
use crate::gateway::facts::{
    BackendKey, BackendValue, EncodedBackend, GatewayFace, GatewayKey, GatewaySecrets, OrderKey, PortValue,
    PriceBook, Proxy, RouteKey, RouteVersion, gateway_name,
};
use crate::xds::{self, EncodedResource, Table, XdsKind};
use crate::{Addressing, Settings};

type ResourceKey = (XdsKind, String);

/// What may be another than before.
#[derive(Debug, Default)]
pub(super) struct Touched {
    gateways: BTreeMap<GatewayKey, TouchedGateway>,
    pub(super) routes: BTreeMap<RouteKey, RouteChange>,
    versions: BTreeMap<RouteKey, Option<Arc<RouteVersion>>>,
}

#[derive(Debug, Default)]
struct TouchedGateway {
    proxy: bool,
    secrets: bool,
    filters: bool,
    engine: bool,
    ports: BTreeSet<u16>,
    tables: BTreeSet<Arc<RouteTableId>>,
    backends: BTreeSet<BackendKey>,
}

impl Touched {
    pub(super) fn proxy(&mut self, gateway: &GatewayKey) {
        self.gateway(gateway).proxy = true;
    }

    pub(super) fn secrets(&mut self, gateway: &GatewayKey) {
        self.gateway(gateway).secrets = true;
    }

    /// Notes that routes name other parts of the filters that the Gateway has one of.
    pub(super) fn filters(&mut self, gateway: &GatewayKey) {
        self.gateway(gateway).filters = true;
    }

    /// Notes that the parameters of a Gateway ask for other labels of the AI engine's metrics.
    pub(super) fn engine(&mut self, gateway: &GatewayKey) {
        self.gateway(gateway).engine = true;
    }

    pub(super) fn port(&mut self, gateway: &GatewayKey, port: u16) {
        self.gateway(gateway).ports.insert(port);
    }

    pub(super) fn table(&mut self, gateway: &GatewayKey, table: &Arc<RouteTableId>) {
        self.gateway(gateway).tables.insert(table.clone());
    }

    pub(super) fn backend(&mut self, gateway: &GatewayKey, backend: &BackendKey) {
        self.gateway(gateway).backends.insert(backend.clone());
    }

    /// Notes which version of a route was served before.
    pub(super) fn version(&mut self, route: &RouteKey, before: Option<Arc<RouteVersion>>) {
        self.versions.entry(route.clone()).or_insert(before);
    }

    /// Notes that a route adds something else to a table.
    pub(super) fn entry(&mut self, gateway: &GatewayKey, table: &Arc<RouteTableId>, route: &RouteKey) {
        self.table(gateway, table);
        let change = self.routes.entry(route.clone()).or_insert_with(|| RouteChange {
            tables: Vec::new(),
            before: self.versions.get(route).cloned().flatten(),
            is_gone: false,
        });
        let table = (gateway_name(gateway), table.name().to_string());
        if !change.tables.contains(&table) {
            change.tables.reserve_exact(1);
            change.tables.push(table);
        }
    }

    fn gateway(&mut self, gateway: &GatewayKey) -> &mut TouchedGateway {
        // Looked up before: nearly always it is there, and a key costs two strings.
        if !self.gateways.contains_key(gateway) {
            self.gateways.insert(gateway.clone(), TouchedGateway::default());
        }
        self.gateways.entry(gateway.clone()).or_default()
    }
}

/// What the proxies of every Gateway have.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    gateways: BTreeMap<GatewayKey, Output>,
}

#[derive(Debug, Default)]
struct Output {
    is_served: bool,
    /// The versions of all that was sent.
    versions: BTreeMap<ResourceKey, u128>,
    /// What each port gave.
    ports: BTreeMap<u16, BTreeSet<ResourceKey>>,
    /// The secrets of the Gateway itself. No backend has one of these.
    own_secrets: BTreeSet<String>,
    /// What each backend gave.
    backends: BTreeMap<BackendKey, Sent>,
    /// How many backends name a secret. Some share one.
    secrets: BTreeMap<String, usize>,
}

/// What was sent for a backend.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    clusters: Vec<Arc<EncodedResource>>,
    secrets: Vec<Arc<EncodedResource>>,
    endpoints: Option<Arc<EncodedResource>>,
}

/// A Gateway's resources, or what changes them.
type Resources = BTreeMap<ResourceKey, Option<Arc<EncodedResource>>>;

/// What an update changes. A resource may go with one backend and come back with another one.
#[derive(Debug, Default)]
struct Changes(BTreeMap<ResourceKey, Change>);

/// The version before the update, and the last word on the resource.
type Change = (Option<u128>, Option<Arc<EncodedResource>>);

impl Changes {
    /// Those that are another than before.
    fn real(self) -> Resources {
        let is_other = |(_, (before, resource)): &(ResourceKey, Change)| {
            *before != resource.as_ref().map(|resource| resource.version)
        };
        self.0.into_iter().filter(is_other).map(|(key, (_, resource))| (key, resource)).collect()
    }
}

impl Outputs {
    /// How many Gateways there are.
    pub(super) fn len(&self) -> usize {
        self.gateways.len()
    }

    /// Has all that is served sent as a whole.
    pub(super) fn send_again(&mut self, touched: &mut Touched) {
        for (gateway, output) in &mut self.gateways {
            output.is_served = false;
            touched.proxy(gateway);
        }
    }

    /// What is another than before, of what was touched.
    pub(super) fn take(
        &mut self,
        touched: Touched,
        graph: &Graph,
        index: &Index,
        tables: &mut BTreeMap<TableKey, Table<OrderKey>>,
        settings: &Settings,
    ) -> BTreeMap<GatewayName, GatewayChange> {
        let mut changes = BTreeMap::new();
        for (gateway, touched) in touched.gateways {
            let proxy = graph.value(&Key::Proxy(gateway.clone())).and_then(Proxy::of);
            let output = self.gateways.entry(gateway.clone()).or_default();
            let resources = output.update(&gateway, &touched, graph, index, tables, settings);
            let was_served =
                std::mem::replace(&mut output.is_served, proxy.is_some_and(|proxy| proxy.is_served));
            let change = match proxy {
                None => {
                    self.gateways.remove(&gateway);
                    Some(GatewayChange::Gone)
                }
                Some(proxy) if !proxy.is_served => {
                    touched.proxy.then(|| GatewayChange::Unserved(proxy.clone()))
                }
                Some(proxy) if !was_served => Some(GatewayChange::Served {
                    proxy: Some(proxy.clone()),
                    resources: output.complete(&gateway, graph, index, tables, settings),
                    is_complete: true,
                }),
                Some(proxy) => {
                    let proxy = touched.proxy.then(|| proxy.clone());
                    let is_other = proxy.is_some() || !resources.is_empty();
                    is_other.then_some(GatewayChange::Served { proxy, resources, is_complete: false })
                }
            };
            changes.extend(change.map(|change| (gateway_name(&gateway), change)));
        }
        changes
    }

    /// Every resource of a Gateway that is served; `None` if it is not.
    pub(super) fn resources(
        &self,
        gateway: &GatewayKey,
        graph: &Graph,
        index: &Index,
        tables: &mut BTreeMap<TableKey, Table<OrderKey>>,
        settings: &Settings,
    ) -> Option<BTreeMap<ResourceKey, Arc<EncodedResource>>> {
        let output = self.gateways.get(gateway).filter(|output| output.is_served)?;
        let complete = output.complete(gateway, graph, index, tables, settings);
        Some(complete.into_iter().filter_map(|(key, resource)| Some((key, resource?))).collect())
    }

    /// The Gateways.
    pub(super) fn keys(&self) -> impl Iterator<Item = &GatewayKey> {
        self.gateways.keys()
    }
}

impl Output {
    fn update(
        &mut self,
        gateway: &GatewayKey,
        touched: &TouchedGateway,
        graph: &Graph,
        index: &Index,
        tables: &mut BTreeMap<TableKey, Table<OrderKey>>,
        settings: &Settings,
    ) -> Resources {
        let mut changes = Changes::default();
        for port in &touched.ports {
            let resources = of_port(graph, gateway, *port);
            let names: BTreeSet<ResourceKey> = resources.iter().map(key).collect();
            // What is spoken on the port may be another than before, and its listener has another name then.
            let before = self.ports.insert(*port, names.clone()).unwrap_or_default();
            for gone in before.difference(&names) {
                self.note(gone.clone(), None, &mut changes);
            }
            for resource in resources {
                self.note(key(resource), Some(resource.clone()), &mut changes);
            }
            if names.is_empty() {
                self.ports.remove(port);
            }
        }
        for table in &touched.tables {
            let name = table.name().to_string();
            let table = tables.get_mut(&(gateway.clone(), table.clone()));
            let table = table.map(|table| Arc::new(table.encode()));
            self.note((XdsKind::Route, name), table, &mut changes);
        }
        if touched.secrets {
            let secrets = gateway_secrets(graph, gateway);
            let names = secrets.iter().map(|secret| secret.name.clone()).collect();
            let before = std::mem::replace(&mut self.own_secrets, names);
            for name in before.difference(&self.own_secrets.clone()) {
                self.note((XdsKind::Secret, name.clone()), None, &mut changes);
            }
            for secret in secrets {
                self.note(key(secret), Some(secret.clone()), &mut changes);
            }
        }
        if touched.filters {
            for resource in filters(index, gateway, settings) {
                self.note(key(&resource), Some(resource), &mut changes);
            }
        }
        if touched.engine
            && let Some(resource) = engine(graph, index, gateway, settings)
        {
            self.note(key(&resource), Some(resource), &mut changes);
        }
        for backend in &touched.backends {
            let is_used = index.users.get(backend).is_some_and(|users| users.get(gateway) > 0);
            let after = is_used.then(|| sent(graph, gateway, backend)).flatten();
            let before = match after.clone() {
                Some(after) => self.backends.insert(backend.clone(), after),
                None => self.backends.remove(backend),
            };
            if before != after {
                self.replace(before.as_ref(), after.as_ref(), &mut changes);
            }
        }
        changes.real()
    }

    /// Notes a resource, if it is another.
    fn note(&mut self, key: ResourceKey, resource: Option<Arc<EncodedResource>>, changes: &mut Changes) {
        let before = match &resource {
            Some(resource) => self.versions.insert(key.clone(), resource.version),
            None => self.versions.remove(&key),
        };
        if before != resource.as_ref().map(|resource| resource.version) {
            changes.0.entry(key).or_insert((before, None)).1 = resource;
        }
    }

    /// Notes what is another for a backend. Of the resources that two backends share, the last one counts.
    fn replace(&mut self, before: Option<&Sent>, after: Option<&Sent>, changes: &mut Changes) {
        let of = |sent: Option<&Sent>| -> BTreeMap<ResourceKey, Arc<EncodedResource>> {
            sent.into_iter()
                .flat_map(Sent::resources)
                .map(|resource| (key(resource), resource.clone()))
                .collect()
        };
        let (before, after) = (of(before), of(after));
        for name in after.keys().filter(|key| key.0 == XdsKind::Secret).map(|key| &key.1) {
            *self.secrets.entry(name.clone()).or_default() += 1;
        }
        for name in before.keys().filter(|key| key.0 == XdsKind::Secret).map(|key| &key.1) {
            if let Some(count) = self.secrets.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.secrets.remove(name);
                }
            }
        }
        for key in before.into_keys().filter(|key| !after.contains_key(key)) {
            let is_shared = key.0 == XdsKind::Secret && self.secrets.contains_key(&key.1);
            if !is_shared {
                self.note(key, None, changes);
            }
        }
        for (key, resource) in after {
            self.note(key, Some(resource), changes);
        }
    }

    fn complete(
        &self,
        gateway: &GatewayKey,
        graph: &Graph,
        index: &Index,
        tables: &mut BTreeMap<TableKey, Table<OrderKey>>,
        settings: &Settings,
    ) -> Resources {
        let mut all = Vec::new();
        if settings.addressing == Addressing::Service {
            all.push(Arc::new(xds::encode_readiness_listener(settings.families)));
        }
        all.extend(xds::encode_module_cluster(settings).map(Arc::new));
        all.extend(engine(graph, index, gateway, settings));
        all.extend(filters(index, gateway, settings));
        all.extend(self.ports.keys().flat_map(|port| of_port(graph, gateway, *port)).cloned());
        let first = (gateway.clone(), Arc::new(RouteTableId { port: 0, https: None }));
        let of_gateway = tables.range_mut(first..).take_while(|((owner, _), _)| owner == gateway);
        all.extend(of_gateway.map(|(_, table)| Arc::new(table.encode())));
        all.extend(gateway_secrets(graph, gateway).iter().cloned());
        all.extend(self.backends.values().flat_map(Sent::resources).cloned());
        all.into_iter().map(|resource| (key(&resource), Some(resource))).collect()
    }
}

impl Sent {
    fn resources(&self) -> impl Iterator<Item = &Arc<EncodedResource>> {
        let Self { clusters, secrets, endpoints } = self;
        clusters.iter().chain(endpoints).chain(secrets)
    }
}

fn key(resource: &Arc<EncodedResource>) -> ResourceKey {
    (resource.kind, resource.name.clone())
}

fn gateway_secrets<'a>(graph: &'a Graph, gateway: &GatewayKey) -> &'a [Arc<EncodedResource>] {
    let secrets = graph.value(&Key::Secrets(gateway.clone())).and_then(GatewaySecrets::of);
    secrets.map(|secrets| secrets.secrets.as_slice()).unwrap_or_default()
}

/// The filters that all listeners of a Gateway share, with what its routes name of them.
fn filters(
    index: &Index,
    gateway: &GatewayKey,
    settings: &Settings,
) -> impl Iterator<Item = Arc<EncodedResource>> + use<> {
    let parts = index.parts.get(gateway).into_iter().flat_map(|parts| parts.keys());
    xds::encode_filters(parts, settings).into_iter().map(Arc::new)
}

/// The filter of the AI engine that the listeners of a Gateway name. It knows the price lists of the namespaces in which there are
/// backends of the Gateway.
fn engine(
    graph: &Graph,
    index: &Index,
    gateway: &GatewayKey,
    settings: &Settings,
) -> Option<Arc<EncodedResource>> {
    let face = graph.value(&Key::Gateway(gateway.clone())).and_then(GatewayFace::of);
    let labels = face.map(|face| face.parameters.metric_labels.as_slice()).unwrap_or_default();
    let namespaces = index.namespaces.get(gateway).into_iter().flat_map(|namespaces| namespaces.keys());
    let prices = namespaces.filter_map(|namespace| {
        let book = graph.value(&Key::Prices(namespace.to_string())).and_then(PriceBook::of)?;
        Some((namespace.to_string(), book.lists.clone()))
    });
    xds::encode_engine(settings, labels, prices.collect()).map(Arc::new)
}

fn of_port<'a>(graph: &'a Graph, gateway: &GatewayKey, port: u16) -> &'a [Arc<EncodedResource>] {
    let value = graph.value(&Key::Port(gateway.clone(), port)).and_then(PortValue::of);
    value.map(|value| value.encoded.as_slice()).unwrap_or_default()
}

fn sent(graph: &Graph, gateway: &GatewayKey, backend: &BackendKey) -> Option<Sent> {
    let value = graph.value(&Key::Backend(backend.clone())).and_then(BackendValue::of)?;
    let endpoints = graph.value(&Key::Endpoints(backend.clone())).and_then(EncodedResource::of);
    let EncodedBackend { clusters, with_client_certificate, secrets } = value.encoded.clone()?;
    let shows_certificate = graph.value(&Key::Secrets(gateway.clone())).and_then(GatewaySecrets::of);
    let shows_certificate = shows_certificate.is_some_and(|secrets| secrets.has_client_certificate);
    let clusters = match shows_certificate && !with_client_certificate.is_empty() {
        true => with_client_certificate,
        false => clusters,
    };
    Some(Sent { clusters, secrets, endpoints: endpoints.cloned() })
}
