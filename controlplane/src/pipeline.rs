//! The owner of the state: changes come in, what they change goes out, at once when idle, joined while one is at work.
//!
//! ```text
//! source ──► changes ──► Translator ──► Delta ─┬─► snapshots ──► Envoys
//! settings ──────────────►  ▲                  ├─► reports ────► reporter, status writer, console
//!                           │ holds            └─► proxies ────► deployer
//! Envoys' answers ──► Fleet, Isolation ──► refusals ──► reporter
//! ```
//!
//! Everything here is one thread's: an update is taken in, translated and published as a whole before the next one is
//! looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use crds::{NamespacedName, ObjectRef};
use ir::GatewayName;
use tokio::sync::{mpsc, watch};
use translator::status::Report;
use translator::xds::XdsKind;
use translator::{
    AiRoute, Change, Delta, GatewayChange, Hold, Proxy, Selection, ServedListener, Settings, Translator,
};
use xds::{ClientEvent, ResourceType, ResourceVersion};

use crate::fleet::{Fleet, Heard};
use crate::isolation::{Holds, Isolation, TableKey};
use crate::mailbox;
use crate::publish::{Publisher, gateway_name};
use crate::source::{Finding, Update};
use crate::telemetry::{KindLabel, Metrics};
use crate::vital::Vitals;

/// Reports of objects; `None` is nothing to tell any more.
pub type ReportChanges = BTreeMap<ObjectRef, Option<Arc<Report>>>;

/// What deployers must provide; `None` is nothing any more.
pub type ProxyChanges = BTreeMap<GatewayName, Option<Arc<Proxy>>>;

/// What is served, in short.
#[derive(Debug, Default)]
pub struct Served {
    /// Where each Gateway listens.
    pub listeners: BTreeMap<GatewayName, Vec<ServedListener>>,
    /// Which providers the routes lead to.
    pub ai_routes: Vec<AiRoute>,
    /// Services that routes lead to and of which nothing says where they run.
    pub without_endpoints: BTreeSet<ObjectRef>,
}

/// Where what comes out goes.
#[derive(Debug)]
pub struct Outlets {
    /// What there is to tell about objects.
    pub reports: mailbox::Sender<ObjectRef, Option<Arc<Report>>>,
    /// What must be provided, for each who has to know.
    pub proxies: Vec<mailbox::Sender<GatewayName, Option<Arc<Proxy>>>>,
    /// Pods for which EndpointSlices are needed; `None` where nobody makes any.
    pub selections: Option<mailbox::Sender<NamespacedName, Option<Arc<Selection>>>>,
    /// What there is to say about the places that objects come from.
    pub findings: watch::Sender<Arc<Vec<Finding>>>,
    /// What the Envoys say.
    pub heard: watch::Sender<Arc<Heard>>,
    /// What is served, in short; `None` where nobody looks, since it is not kept but made anew.
    pub served: Option<watch::Sender<Arc<Served>>>,
    /// Whether the first update, which is everything that there is, has been published.
    pub is_published: watch::Sender<bool>,
}

/// Owns the translator, and publishes what it gives.
#[derive(Debug)]
pub struct Pipeline {
    settings: Settings,
    translator: Translator,
    publisher: Publisher,
    fleet: Fleet,
    isolation: Isolation,
    outlets: Outlets,
    metrics: Metrics,
    vitals: Vitals,
}

impl Pipeline {
    /// A pipeline that has published nothing.
    pub fn new(
        settings: Settings,
        publisher: Publisher,
        outlets: Outlets,
        metrics: Metrics,
        vitals: Vitals,
    ) -> Self {
        let translator = Translator::new(settings.clone());
        let (fleet, isolation) = (Fleet::new(publisher.cache()), Isolation::default());
        Self { settings, translator, publisher, fleet, isolation, outlets, metrics, vitals }
    }

    /// Starts it on a thread of its own, until the source ends.
    ///
    /// `events` has no bound and needs none: an Envoy answers what it was sent, of which a stream has a few responses
    /// on their way at most, and nothing is sent but what this thread publishes.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(
        self,
        updates: mpsc::Receiver<Update>,
        settings: watch::Receiver<Settings>,
        events: mpsc::UnboundedReceiver<ClientEvent>,
    ) -> anyhow::Result<()> {
        let (runtime, vitals) = (tokio::runtime::Handle::current(), self.vitals.clone());
        let work = move || {
            let run = AssertUnwindSafe(|| runtime.block_on(self.run(updates, settings, events)));
            if catch_unwind(run).is_err() {
                vitals.fail("translation");
            }
        };
        std::thread::Builder::new()
            .name("translation".to_owned())
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(())
    }

    async fn run(
        mut self,
        mut updates: mpsc::Receiver<Update>,
        mut settings: watch::Receiver<Settings>,
        mut events: mpsc::UnboundedReceiver<ClientEvent>,
    ) {
        let Some(first) = updates.recv().await else { return };
        self.set_settings(settings.borrow_and_update().clone());
        self.take(first, &mut updates);
        self.outlets.is_published.send_replace(true);
        loop {
            tokio::select! {
                biased;
                // What proxies say comes first: it tells what may be served.
                Some(event) = events.recv() => {
                    let mut all = vec![event];
                    while let Ok(event) = events.try_recv() {
                        all.push(event);
                    }
                    self.hear(all);
                }
                Ok(()) = settings.changed() => {
                    let settings = settings.borrow_and_update().clone();
                    self.set_settings(settings);
                }
                update = updates.recv() => match update {
                    Some(update) => self.take(update, &mut updates),
                    None => return,
                },
            }
        }
    }

    /// Takes an update in, and those that have come meanwhile.
    fn take(&mut self, update: Update, more: &mut mpsc::Receiver<Update>) {
        let Update { mut changes, mut findings } = update;
        while let Ok(next) = more.try_recv() {
            changes.extend(next.changes);
            findings = next.findings.or(findings);
        }
        if let Some(findings) = findings {
            self.outlets.findings.send_replace(Arc::new(findings));
        }
        let delta = self.translate(|translator| translator.update(changes));
        self.publish(delta);
    }

    fn set_settings(&mut self, settings: Settings) {
        if self.settings != settings {
            self.settings = settings.clone();
            let delta = self.translate(|translator| translator.set_settings(settings));
            self.publish(delta);
        }
    }

    /// Works with the translator. Units that panic are its own business; if more than that fails, it starts over with
    /// the objects that it had, and if that fails, too, it is over: nobody may believe that all is well then.
    fn translate(&mut self, work: impl FnOnce(&mut Translator) -> Delta) -> Delta {
        let started = Instant::now();
        let worked = catch_unwind(AssertUnwindSafe(|| work(&mut self.translator)));
        let delta = worked.unwrap_or_else(|_| {
            tracing::error!("an internal error: translating everything anew");
            self.metrics.translation_panics.inc();
            self.start_over()
        });
        self.metrics.translation_seconds.observe(started.elapsed().as_secs_f64());
        self.metrics.units_evaluated.inc_by(u64::try_from(delta.evaluated()).unwrap_or(u64::MAX));
        self.metrics.translation_panics.inc_by(u64::try_from(delta.panics).unwrap_or(u64::MAX));
        if delta.is_empty() {
            self.metrics.translations_unchanged.inc();
        }
        delta
    }

    fn start_over(&mut self) -> Delta {
        let before = mem::replace(&mut self.translator, Translator::new(self.settings.clone()));
        let (reported, gateways, selected) = (before.reports(), before.gateways(), before.selections());
        let objects: Vec<_> = before.into_resources().iter().cloned().map(Change::Apply).collect();
        let mut delta = self.translator.update(objects);
        for object in reported.into_keys() {
            delta.reports.entry(object).or_insert(None);
        }
        for backend in selected.into_keys() {
            delta.selections.entry(backend).or_insert(None);
        }
        for gateway in gateways {
            delta.gateways.entry(gateway).or_insert(GatewayChange::Gone);
        }
        delta
    }

    /// Publishes, and looks after what follows from it.
    fn publish(&mut self, delta: Delta) {
        let mut delta = Some(delta);
        let mut affected = BTreeSet::new();
        while let Some(current) = delta.take() {
            let holds = self.publish_once(current, &mut affected);
            Self::log_holds(&holds);
            if !holds.is_empty() {
                delta = Some(self.translate(|translator| translator.hold(holds)));
            }
        }
        self.tell_heard(&affected);
        if let Some(served) = &self.outlets.served {
            let (listeners, ai_routes) = (self.translator.listeners(), self.translator.ai_routes());
            let without_endpoints = self.translator.services_without_endpoints();
            served.send_replace(Arc::new(Served { listeners, ai_routes, without_endpoints }));
        }
    }

    fn publish_once(&mut self, delta: Delta, affected: &mut BTreeSet<GatewayName>) -> Holds {
        let Delta { gateways, reports, selections, routes, edited, .. } = delta;
        let started = Instant::now();
        // The proxies first: they start while we publish.
        let proxies: ProxyChanges = gateways
            .iter()
            .filter_map(|(name, change)| {
                let proxy = match change {
                    GatewayChange::Served { proxy, .. } => Some(proxy.clone()?),
                    GatewayChange::Unserved(proxy) => Some(proxy.clone()),
                    GatewayChange::Gone => None,
                };
                Some((name.clone(), proxy))
            })
            .collect();
        self.outlets.proxies.iter().for_each(|outlet| outlet.put(proxies.clone()));
        if let Some(outlet) = &self.outlets.selections {
            outlet.put(selections);
        }

        let mut tables: BTreeMap<TableKey, Option<ResourceVersion>> = BTreeMap::new();
        for (gateway, change) in &gateways {
            match change {
                GatewayChange::Served { resources, is_complete, .. } => {
                    let changed = match is_complete {
                        true => self.publisher.publish(gateway, resources),
                        false => self.publisher.update(gateway, resources),
                    };
                    if changed {
                        tracing::debug!(%gateway, took = ?started.elapsed(), "published");
                    }
                    let of_routes = resources.iter().filter(|((kind, _), _)| *kind == XdsKind::Route);
                    tables.extend(of_routes.map(|((_, name), table)| {
                        let version = table.as_ref().map(|table| ResourceVersion::from_u128(table.version));
                        ((gateway.clone(), name.clone()), version)
                    }));
                }
                // What exists and cannot be served stays as it was.
                GatewayChange::Unserved(_) => {}
                GatewayChange::Gone => {
                    self.publisher.forget(gateway);
                    self.fleet.forget(gateway);
                }
            }
            affected.insert(gateway.clone());
        }
        self.outlets.reports.put(reports);
        let mut holds = self.isolation.on_published(&tables, &routes);
        holds.extend(self.isolation.on_edited(&edited));
        holds
    }

    /// Tells how the narrowing of a refused route table goes on.
    fn log_holds(holds: &Holds) {
        for (route, hold) in holds {
            let served = match hold {
                None => "its newest version",
                Some(Hold::Version(_)) => "its last good version",
                Some(Hold::Errors) => "errors",
                Some(Hold::Nothing) => "nothing",
            };
            tracing::debug!(route = %route.to_ref(), served, "narrowing down what proxies refuse");
        }
    }

    /// Takes in what Envoys say.
    fn hear(&mut self, events: Vec<ClientEvent>) {
        let mut affected = BTreeSet::new();
        let mut holds = Holds::new();
        for event in events {
            holds.extend(self.judge(&event));
            affected.extend(self.fleet.on_event(event));
        }
        Self::log_holds(&holds);
        if holds.is_empty() {
            self.tell_heard(&affected);
        } else {
            let delta = self.translate(|translator| translator.hold(holds));
            self.publish(delta);
            self.tell_heard(&affected);
        }
    }

    /// What an answer says of routes.
    fn judge(&mut self, event: &ClientEvent) -> Holds {
        let mut holds = Holds::new();
        match event {
            ClientEvent::Accepted { client, resource_type: ResourceType::Route, resources } => {
                let Some(gateway) = gateway_name(&client.group) else { return holds };
                holds.extend(self.isolation.on_build(&gateway, &client.build));
                for (name, version) in resources {
                    holds.extend(self.isolation.on_accepted(&(gateway.clone(), name.clone()), *version));
                }
            }
            // A client that came with everything was sent nothing that it could accept.
            ClientEvent::Ack { client, resource_type: ResourceType::Route, version } => {
                let Some(gateway) = gateway_name(&client.group) else { return holds };
                for (name, version) in self.fleet.tables_at(&gateway, *version) {
                    holds.extend(self.isolation.on_accepted(&(gateway.clone(), name), version));
                }
            }
            ClientEvent::Nack { client, rejection } => {
                self.metrics.refusals.get_or_create(&rejection.resource_type.into()).inc();
                let Some(gateway) = gateway_name(&client.group) else { return holds };
                if rejection.resource_type == ResourceType::Route {
                    for (name, version) in &rejection.resources {
                        let key = (gateway.clone(), name.clone());
                        let found =
                            self.isolation.on_refused(&key, *version, &rejection.message, &client.build);
                        holds.extend(found.unwrap_or_default());
                    }
                }
            }
            _ => {}
        }
        holds
    }

    /// Counts the objects of which something is refused. Kinds that have none any more stay, at zero.
    fn count_refused(&self, heard: &Heard) {
        let mut objects: BTreeMap<&str, BTreeSet<String>> = BTreeMap::from([
            ("HTTPRoute", BTreeSet::new()),
            ("GRPCRoute", BTreeSet::new()),
            ("Backend", BTreeSet::new()),
            ("Upstream", BTreeSet::new()),
            ("Gateway", BTreeSet::new()),
        ]);
        for (gateway, refusals) in &heard.refused {
            for refusal in refusals {
                for object in &refusal.objects {
                    objects.entry(&object.kind).or_default().insert(object.to_string());
                }
                if refusal.objects.is_empty() {
                    objects.entry("Gateway").or_default().insert(gateway.to_string());
                }
            }
        }
        for (kind, objects) in objects {
            let label = KindLabel { kind: kind.to_owned() };
            let count = i64::try_from(objects.len()).unwrap_or(i64::MAX);
            self.metrics.refused_objects.get_or_create(&label).set(count);
        }
    }

    /// Tells what the Envoys of some Gateways say, if that is another.
    fn tell_heard(&mut self, gateways: &BTreeSet<GatewayName>) {
        let (isolation, translator) = (&self.isolation, &self.translator);
        let heard = self.fleet.heard(gateways, isolation, |cluster| translator.objects_of_cluster(cluster));
        if let Some(heard) = heard {
            self.count_refused(&heard);
            self.outlets.heard.send_replace(Arc::new(heard));
        }
    }
}

#[cfg(test)]
mod tests;
