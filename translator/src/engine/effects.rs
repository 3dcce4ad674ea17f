//! What follows from a unit's new value, beyond those that read it: the index, the route tables, units that come to
//! be, and what there is to send.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::backend_config_policy::BackendConfigPolicy;
use crds::budget::Budget;
use crds::{Kind, NamespacedName, Object, ObjectKey};
use ir::{Hostname, RouteTableId};

use super::index::L4Row;
use super::key::Key;
use super::value::{OfValue, Value};
use super::{Translator, Update};
use crate::gateway::address::AddressPlan;
use crate::gateway::backend::Selection;
use crate::gateway::facts::{
    Attachment, BackendKey, BackendValue, ClassFace, Entries, GatewayFace, GatewayKey, GatewaySecrets,
    HostFace, HostKey, Placed, PolicyFact, PortValue, RouteKey, RouteVersion, Row, TranslatedRoute, is_l4,
    named_objects,
};
use crate::gateway::listener::set_of;
use crate::resources::Group;
use crate::xds::{HostRole, Table};

/// Both values of a unit as its type.
fn both<'a, T: OfValue + 'a>(
    before: Option<&'a Value>,
    after: Option<&'a Value>,
) -> (Option<&'a Arc<T>>, Option<&'a Arc<T>>) {
    (before.and_then(T::of), after.and_then(T::of))
}

/// The namespace whose price lists are for a backend, if there may be any.
fn priced_namespace(backend: &BackendKey) -> Option<&Arc<str>> {
    match backend {
        BackendKey::Object(object) => Some(&object.name.namespace),
        _ => None,
    }
}

/// What is in one set and not in the other: what was lost, and what is new.
fn changes<T: Ord>(before: BTreeSet<T>, after: BTreeSet<T>) -> (Vec<T>, Vec<T>) {
    let (before, after) = (&mut before.into_iter().peekable(), &mut after.into_iter().peekable());
    let (mut lost, mut new) = (Vec::new(), Vec::new());
    loop {
        let order = match (before.peek(), after.peek()) {
            (Some(left), Some(right)) => left.cmp(right),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return (lost, new),
        };
        match order {
            Ordering::Less => lost.extend(before.next()),
            Ordering::Greater => new.extend(after.next()),
            Ordering::Equal => drop((before.next(), after.next())),
        }
    }
}

impl Translator {
    /// Carries on from a unit that has come to something else.
    pub(super) fn take_effect(
        &mut self,
        key: &Key,
        before: Option<&Value>,
        after: Option<&Value>,
        update: &mut Update,
    ) {
        if before.and_then(Value::report) != after.and_then(Value::report) {
            update.reported.extend(key.object());
        }
        match key {
            Key::Class(name) => {
                let (before, after) = both::<ClassFace>(before, after);
                self.on_class(name, before, after);
            }
            Key::Gateway(gateway) => {
                let (before, after) = both::<GatewayFace>(before, after);
                let labels = |face: Option<&Arc<GatewayFace>>| {
                    face.map(|face| face.parameters.metric_labels.clone()).unwrap_or_default()
                };
                if labels(before) != labels(after) {
                    update.touched.engine(gateway);
                }
                self.on_gateway(gateway, before, after);
            }
            Key::Placement(gateway) => {
                let (before, after) = both::<Placed>(before, after);
                let placed = before.into_iter().chain(after);
                placed.for_each(|placed| self.on_placed(gateway, placed));
            }
            Key::Proxy(gateway) => update.touched.proxy(gateway),
            Key::Secrets(gateway) => {
                update.touched.secrets(gateway);
                let (before, after) = both::<GatewaySecrets>(before, after);
                let has_certificate = |secrets: Option<&Arc<GatewaySecrets>>| {
                    secrets.is_some_and(|secrets| secrets.has_client_certificate)
                };
                if has_certificate(before) != has_certificate(after) {
                    let users = self.index.users.iter().filter(|(_, users)| users.get(gateway) > 0);
                    users.for_each(|(backend, _)| update.touched.backend(gateway, backend));
                }
            }
            Key::Backend(backend) => {
                let (before, after) = both::<BackendValue>(before, after);
                let endpoints = Key::Endpoints(backend.clone());
                if before.is_some() != after.is_some() || !self.graph.is_evaluated(&endpoints) {
                    self.graph.schedule(endpoints);
                }
                self.touch_users(backend, update);
            }
            Key::Endpoints(backend) => self.touch_users(backend, update),
            Key::Prices(namespace) => {
                let gateways = self.index.namespaces.iter();
                gateways
                    .filter(|(_, namespaces)| namespaces.get(&namespace.as_str().into()) > 0)
                    .for_each(|(gateway, _)| update.touched.engine(gateway));
            }
            Key::Selection(backend) => {
                let selection = after.and_then(Selection::of).cloned();
                update.selections.insert(backend.clone(), selection);
            }
            Key::Route(route) => {
                self.note_edit(route, update);
                let (before, after) = both::<TranslatedRoute>(before, after);
                self.on_route(before, after);
            }
            Key::Attachment(route) => {
                self.note_edit(route, update);
                let (before, after) = both::<Attachment>(before, after);
                self.on_attachment(route, before, after);
            }
            Key::Served(route) => {
                let (before, after) = both::<RouteVersion>(before, after);
                self.on_served(route, before, after, update);
            }
            Key::Port(gateway, port) => {
                let (before, after) = both::<PortValue>(before, after);
                self.on_port(gateway, before, after, update);
                update.touched.port(gateway, *port);
            }
            Key::Host(host) => {
                let HostKey { gateway, table, hostname } = &**host;
                let key = (gateway.clone(), table.clone());
                self.index.set_host(&key, hostname, after.is_some());
                let role = after.and_then(HostFace::of).map(|face| match &**face {
                    HostFace::Of { places, .. } => HostRole::Routes(places.clone()),
                    HostFace::Misdirected => HostRole::Misdirected,
                });
                if let Some(table) = self.tables.get_mut(&key) {
                    match role {
                        Some(role) => table.set_host(hostname, role),
                        None => table.remove_host(hostname),
                    }
                }
                for route in self.index.routes_over(&key, hostname) {
                    self.graph.schedule(Key::Entry(host.clone(), route));
                }
                update.touched.table(gateway, table);
            }
            Key::Entry(host, route) => {
                let HostKey { gateway, table, hostname } = &**host;
                let (before, after) = both::<Entries>(before, after);
                let entries =
                    |entries: Option<&Arc<Entries>>| entries.map_or(Vec::new(), |entries| entries.0.clone());
                if let Some(table) = self.tables.get_mut(&(gateway.clone(), table.clone())) {
                    table.replace(hostname, &entries(before), &entries(after));
                }
                update.touched.entry(gateway, table, route);
            }
            _ => {}
        }
    }

    fn on_class(&mut self, name: &str, before: Option<&Arc<ClassFace>>, after: Option<&Arc<ClassFace>>) {
        let is_new = match after {
            Some(_) => self.index.classes.insert(name.to_owned()),
            None => self.index.classes.remove(name),
        };
        if is_new && self.graph.is_evaluated(&Key::Classes) {
            self.graph.schedule(Key::Classes);
        }
        let named = |class: Option<&Arc<ClassFace>>| class.and_then(|class| class.named_parameters.clone());
        self.count_parameters(named(before), named(after));
    }

    fn on_gateway(
        &mut self,
        key: &GatewayKey,
        before: Option<&Arc<GatewayFace>>,
        after: Option<&Arc<GatewayFace>>,
    ) {
        match after {
            Some(_) => drop(self.index.gateways.insert(key.clone())),
            None => drop(self.index.gateways.remove(key)),
        }
        let named = |face: Option<&Arc<GatewayFace>>| face.and_then(|face| face.named_parameters.clone());
        self.count_parameters(named(before), named(after));
        if AddressPlan::is_needed(&self.settings) {
            self.graph.schedule(Key::AddressPlan);
        }
        self.graph.schedule(Key::Placement(key.clone()));
        self.graph.schedule(Key::Proxy(key.clone()));
        self.graph.schedule(Key::Secrets(key.clone()));
    }

    fn count_parameters(&mut self, before: Option<ObjectKey>, after: Option<ObjectKey>) {
        if before == after {
            return;
        }
        if let Some(before) = before
            && self.index.parameters.remove(&before)
        {
            self.graph.schedule(Key::ParametersReport(before));
        }
        if let Some(after) = after
            && self.index.parameters.add(&after)
        {
            self.graph.schedule(Key::ParametersReport(after));
        }
    }

    fn on_placed(&mut self, gateway: &GatewayKey, placed: &Placed) {
        let on_ports = || placed.on_ports().filter_map(|listener| Some((listener, listener.port?)));
        let https = on_ports().filter_map(|(listener, port)| {
            let table = listener.table.as_ref().filter(|table| table.https.is_some())?;
            Some(((port, &listener.hostname), table))
        });
        let https: BTreeMap<_, _> = https.collect();
        for (listener, port) in on_ports() {
            self.graph.schedule(Key::Port(gateway.clone(), port));
            if let Some(table) = &listener.table {
                self.graph.schedule(Key::host(gateway, table, &listener.hostname));
                if table.https.is_some() {
                    self.graph.schedule(Key::host(gateway, table, &Hostname::Any));
                }
            }
            // Where a wider listener answers 421 for its host; one without HTTP is such a host as well.
            for wider in listener.hostname.covering() {
                if let Some(table) = https.get(&(port, &wider)) {
                    self.graph.schedule(Key::host(gateway, table, &listener.hostname));
                }
            }
        }
    }

    fn on_port(
        &mut self,
        gateway: &GatewayKey,
        before: Option<&Arc<PortValue>>,
        after: Option<&Arc<PortValue>>,
        update: &mut Update,
    ) {
        let tables = |value: Option<&Arc<PortValue>>| -> BTreeSet<Arc<RouteTableId>> {
            value.into_iter().flat_map(|value| value.face.listener.tables()).cloned().collect()
        };
        let (lost, new) = changes(tables(before), tables(after));
        for table in lost {
            self.tables.remove(&(gateway.clone(), table.clone()));
            update.touched.table(gateway, &table);
        }
        for table in new {
            self.tables.insert((gateway.clone(), table.clone()), Table::new(table.name()));
            update.touched.table(gateway, &table);
        }
        let named = |value: Option<&Arc<PortValue>>| -> BTreeSet<BackendKey> {
            value.into_iter().flat_map(|value| value.face.named.iter().cloned()).collect()
        };
        let naming = |value| named_objects(&[gateway].into(), named(value).iter());
        self.change_naming(naming(before), naming(after));
        self.change_named(named(before), named(after));
        let uses = |value: Option<&Arc<PortValue>>| -> BTreeSet<(GatewayKey, BackendKey)> {
            let backends = value.into_iter().flat_map(|value| &value.face.backends);
            backends.map(|backend| (gateway.clone(), backend.clone())).collect()
        };
        self.change_users(uses(before), uses(after), update);
    }

    fn on_route(&mut self, before: Option<&Arc<TranslatedRoute>>, after: Option<&Arc<TranslatedRoute>>) {
        let named = |route: Option<&Arc<TranslatedRoute>>| -> BTreeSet<BackendKey> {
            route.into_iter().flat_map(|route| route.named.iter().cloned()).collect()
        };
        self.change_named(named(before), named(after));
        let told = |route: Option<&Arc<TranslatedRoute>>| -> BTreeSet<PolicyFact> {
            route.into_iter().flat_map(|route| route.policies.iter().cloned()).collect()
        };
        let (lost, new) = changes(told(before), told(after));
        let lost: Vec<_> = lost.into_iter().filter(|fact| self.index.policy_facts.remove(fact)).collect();
        let new: Vec<_> = new.into_iter().filter(|fact| self.index.policy_facts.add(fact)).collect();
        for fact in lost.into_iter().chain(new) {
            match fact.policy.kind {
                Kind::Budget => self.schedule_budgets(&fact.policy.name.namespace),
                _ => self.graph.schedule(Key::PolicyReport(fact.policy)),
            }
        }
    }

    /// Whether requests are counted in the budgets over claims of a namespace may be another.
    fn schedule_budgets(&mut self, namespace: &str) {
        let budgets = self.resources.members(&Group::InNamespace(Kind::Budget, namespace.into()));
        let names: Vec<_> =
            budgets.map(|budget: &Arc<Budget>| NamespacedName::of(&budget.metadata)).collect();
        names.into_iter().for_each(|name| self.graph.schedule(Key::BudgetReport(name)));
    }

    fn on_attachment(
        &mut self,
        route: &RouteKey,
        before: Option<&Arc<Attachment>>,
        after: Option<&Arc<Attachment>>,
    ) {
        let counted = |attachment: Option<&Arc<Attachment>>| {
            attachment.map(|attachment| attachment.counted()).unwrap_or_default()
        };
        let (lost, new) = changes(counted(before), counted(after));
        for (gateway, listener) in lost {
            self.index.attached.remove(&gateway, &listener);
            self.schedule_report_of_listener(gateway, &listener);
        }
        for (gateway, listener) in new {
            self.index.attached.add(&gateway, &listener);
            self.schedule_report_of_listener(gateway, &listener);
        }
        self.graph.schedule(Key::Served(route.clone()));
    }

    /// Has the status told anew in which a listener stands.
    fn schedule_report_of_listener(&mut self, gateway: GatewayKey, listener: &str) {
        self.graph.schedule(match set_of(listener) {
            Some(set) => Key::ListenerSetReport(set),
            None => Key::GatewayReport(gateway),
        });
    }

    fn on_served(
        &mut self,
        route: &RouteKey,
        before: Option<&Arc<RouteVersion>>,
        after: Option<&Arc<RouteVersion>>,
        update: &mut Update,
    ) {
        update.touched.version(route, before.cloned());
        if is_l4(route.kind) {
            self.on_served_l4(route, before, after);
        }
        let rows = |version: Option<&Arc<RouteVersion>>| -> BTreeSet<Row> {
            version.into_iter().flat_map(|version| version.rows.iter().cloned()).collect()
        };
        let (lost, new) = changes(rows(before), rows(after));
        for (row, is_there) in
            lost.into_iter().map(|row| (row, false)).chain(new.into_iter().map(|row| (row, true)))
        {
            self.index.set_row(route, &row, is_there);
            let Some(table) = &row.table else { continue };
            self.graph.schedule(Key::host(&row.gateway, table, &row.effective));
            for hostname in self.index.hosts_below(&(row.gateway.clone(), table.clone()), &row.effective) {
                let host = HostKey { gateway: row.gateway.clone(), table: table.clone(), hostname };
                self.graph.schedule(Key::Entry(Arc::new(host), route.clone()));
            }
        }
        let named = |version: Option<&Arc<RouteVersion>>| {
            version.map(|version| version.named_objects()).unwrap_or_default()
        };
        self.change_naming(named(before), named(after));
        let uses =
            |version: Option<&Arc<RouteVersion>>| version.map(|version| version.uses()).unwrap_or_default();
        self.change_users(uses(before), uses(after), update);
        let parts =
            |version: Option<&Arc<RouteVersion>>| version.map(|version| version.parts()).unwrap_or_default();
        let (lost, new) = changes(parts(before), parts(after));
        for (gateway, part) in lost {
            if self.index.parts.remove(&gateway, &part) {
                update.touched.filters(&gateway);
            }
        }
        for (gateway, part) in new {
            if self.index.parts.add(&gateway, &part) {
                update.touched.filters(&gateway);
            }
        }
    }

    /// Notes which backends are named now.
    fn change_named(&mut self, before: BTreeSet<BackendKey>, after: BTreeSet<BackendKey>) {
        let (lost, new) = changes(before, after);
        let lost: Vec<_> = lost.into_iter().filter(|backend| self.index.named.remove(backend)).collect();
        let new: Vec<_> = new.into_iter().filter(|backend| self.index.named.add(backend)).collect();
        for backend in lost.into_iter().chain(new) {
            if let BackendKey::Object(object) = backend {
                self.graph.schedule(Key::BackendReport(object));
            }
        }
    }

    /// Notes at which Gateways which Services, Backends and XBackends are named now.
    fn change_naming(
        &mut self,
        before: BTreeSet<(GatewayKey, ObjectKey)>,
        after: BTreeSet<(GatewayKey, ObjectKey)>,
    ) {
        let (lost, new) = changes(before, after);
        for (gateway, object) in lost {
            if self.index.naming.remove(&object, &gateway) {
                self.schedule_what_names_gateways_of(&object);
            }
        }
        for (gateway, object) in new {
            if self.index.naming.add(&object, &gateway) {
                self.schedule_what_names_gateways_of(&object);
            }
        }
    }

    /// Notes which Gateways have a use for which backends now.
    fn change_users(
        &mut self,
        before: BTreeSet<(GatewayKey, BackendKey)>,
        after: BTreeSet<(GatewayKey, BackendKey)>,
        update: &mut Update,
    ) {
        let (lost, new) = changes(before, after);
        for (gateway, backend) in &lost {
            if self.index.users.remove(backend, gateway) {
                update.touched.backend(gateway, backend);
                if let Some(namespace) = priced_namespace(backend)
                    && self.index.namespaces.remove(gateway, namespace)
                {
                    self.touch_prices(gateway, namespace, update);
                }
            }
        }
        for (gateway, backend) in &new {
            if self.index.users.add(backend, gateway) {
                update.touched.backend(gateway, backend);
                if let Some(namespace) = priced_namespace(backend)
                    && self.index.namespaces.add(gateway, namespace)
                {
                    self.touch_prices(gateway, namespace, update);
                }
            }
        }
    }

    /// Has made anew what depends on the Gateways at which a backend is named: the statuses of a Service's
    /// BackendTLSPolicies, those of the BackendConfigPolicies of its namespace, or what there is to tell and to do about an XBackend.
    fn schedule_what_names_gateways_of(&mut self, backend: &ObjectKey) {
        let own = Group::InNamespace(Kind::BackendConfigPolicy, (&*backend.name.namespace).into());
        let configs = self.resources.members::<BackendConfigPolicy>(&own);
        let configs: Vec<_> =
            configs.map(|policy| Object::BackendConfigPolicy(Arc::clone(policy)).key()).collect();
        configs.into_iter().for_each(|policy| self.graph.schedule(Key::PolicyReport(policy)));
        if backend.kind == Kind::XBackend {
            self.graph.schedule(Key::BackendReport(backend.clone()));
            self.graph.schedule(Key::Selection(backend.name.clone()));
            return;
        }
        if backend.kind != Kind::Service {
            return;
        }
        let policies = self.resources.members(&Group::TlsPoliciesOf(backend.name.clone()));
        let names = policies.map(|policy| Object::BackendTlsPolicy(Arc::clone(policy)).key());
        names.for_each(|policy| self.graph.schedule(Key::PolicyReport(policy)));
    }

    fn on_served_l4(
        &mut self,
        route: &RouteKey,
        before: Option<&Arc<RouteVersion>>,
        after: Option<&Arc<RouteVersion>>,
    ) {
        type Place = (GatewayKey, Arc<str>, u16);
        let rows = |version: Option<&Arc<RouteVersion>>| -> BTreeSet<(Place, L4Row)> {
            let rows = version.into_iter().flat_map(|version| {
                version.rows.iter().filter_map(|row| {
                    let place = (row.gateway.clone(), row.listener.clone(), row.port?);
                    let RouteKey { kind, name } = route.clone();
                    let (effective, original) = (row.effective.clone(), row.original.clone());
                    Some((place, L4Row { effective, original, created: version.route.created, name, kind }))
                })
            });
            rows.collect()
        };
        let (lost, new) = changes(rows(before), rows(after));
        let lost = lost.into_iter().map(|row| (row, false));
        for (((gateway, listener, port), row), is_there) in lost.chain(new.into_iter().map(|row| (row, true)))
        {
            self.index.set_l4_row(&gateway, &listener, &row, is_there);
            self.graph.schedule(Key::Port(gateway, port));
        }
    }

    /// Has a Gateway sent other prices, if there are any in a namespace.
    fn touch_prices(&self, gateway: &GatewayKey, namespace: &str, update: &mut Update) {
        if self.graph.value(&Key::Prices(namespace.to_owned())).is_some() {
            update.touched.engine(gateway);
        }
    }

    fn note_edit(&self, route: &RouteKey, update: &mut Update) {
        if self.holds.contains_key(route) {
            update.edited.insert(route.clone());
        }
    }

    fn touch_users(&self, backend: &BackendKey, update: &mut Update) {
        let users = self.index.users.get(backend);
        users
            .iter()
            .flat_map(|users| users.keys())
            .for_each(|gateway| update.touched.backend(gateway, backend));
    }
}
