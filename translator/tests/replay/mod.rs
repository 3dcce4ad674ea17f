//! Deltas, applied one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::{NamespacedName, ObjectRef};
use ir::GatewayName;
use translator::status::Report;
use translator::{Delta, EncodedResource, GatewayChange, Proxy, Selection, Translation, XdsKind};

/// What the receiver of all deltas knows.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    resources: BTreeMap<GatewayName, Resources>,
    proxies: BTreeMap<GatewayName, Arc<Proxy>>,
    unserved: BTreeSet<GatewayName>,
    reports: BTreeMap<ObjectRef, Arc<Report>>,
    selections: BTreeMap<NamespacedName, Arc<Selection>>,
}

impl Replay {
    /// What somebody knows who has seen a translation.
    pub(crate) fn of(translation: &Translation) -> Self {
        let mut replay = Self::default();
        replay.adopt(translation);
        replay
    }

    fn adopt(&mut self, translation: &Translation) {
        self.unserved.clone_from(&translation.unserved);
        for (name, output) in &translation.gateways {
            self.resources.insert(name.clone(), output.resources.clone());
            let (infra, parameters) = (output.infra.clone(), output.parameters.clone());
            self.proxies.insert(name.clone(), Arc::new(Proxy { infra, parameters, is_served: true }));
        }
        self.selections.clone_from(&translation.selections);
        self.reports = translation.reports.iter().map(|it| (it.object.clone(), it.clone())).collect();
    }

    /// Takes a delta in, and sees that nothing stands in it that is known already.
    pub(crate) fn take(&mut self, delta: Delta) {
        for (object, report) in delta.reports {
            let before = match report.clone() {
                Some(report) => self.reports.insert(object.clone(), report),
                None => self.reports.remove(&object),
            };
            assert_ne!(before, report, "{object} is as it was");
        }
        for (backend, selection) in delta.selections {
            let before = match selection.clone() {
                Some(selection) => self.selections.insert(backend.clone(), selection),
                None => self.selections.remove(&backend),
            };
            assert_ne!(before, selection, "{backend} is as it was");
        }
        for (name, change) in delta.gateways {
            match change {
                GatewayChange::Served { proxy, resources, is_complete } => {
                    self.unserved.remove(&name);
                    self.proxies.extend(proxy.map(|proxy| (name.clone(), proxy)));
                    let known = self.resources.entry(name.clone()).or_default();
                    if is_complete {
                        known.clear();
                    }
                    for (key, resource) in resources {
                        let before = match resource.clone() {
                            Some(resource) => known.insert(key.clone(), resource),
                            None => known.remove(&key),
                        };
                        assert!(is_complete || before != resource, "{name} {key:?} is as it was");
                    }
                }
                GatewayChange::Unserved(_) => drop(self.unserved.insert(name)),
                GatewayChange::Gone => {
                    self.unserved.remove(&name);
                    self.resources.remove(&name);
                    self.proxies.remove(&name);
                }
            }
        }
    }

    /// Compares with what there is.
    pub(crate) fn is(&self, translation: &Translation) -> Result<(), String> {
        let reports: BTreeMap<_, _> =
            translation.reports.iter().map(|report| (report.object.clone(), report.clone())).collect();
        if reports != self.reports {
            let differs = |object: &&ObjectRef| self.reports.get(*object) != reports.get(*object);
            let objects = self.reports.keys().chain(reports.keys()).filter(differs);
            let shown = objects
                .map(|object| format!("{:?}\nis not {:?}", self.reports.get(object), reports.get(object)));
            return Err(shown.collect::<Vec<_>>().join("\n"));
        }
        if translation.selections != self.selections {
            return Err(format!("selections: {:?} are not: {:?}", self.selections, translation.selections));
        }
        if translation.unserved != self.unserved {
            return Err(format!("unserved: {:?} are not: {:?}", self.unserved, translation.unserved));
        }
        let is_served = |name: &&GatewayName| !self.unserved.contains(*name);
        let names: Vec<_> = self.resources.keys().filter(is_served).collect();
        if names != translation.gateways.keys().collect::<Vec<_>>() {
            return Err(format!("Gateways: {names:?}"));
        }
        for (name, output) in &translation.gateways {
            if self.resources[name] != output.resources {
                return Err(format!("{name}: {}", differences(&self.resources[name], &output.resources)));
            }
            let proxy = &self.proxies[name];
            if (&proxy.infra, &proxy.parameters) != (&output.infra, &output.parameters) {
                return Err(format!("{name}: {proxy:?}"));
            }
        }
        Ok(())
    }
}

type Resources = BTreeMap<(XdsKind, String), Arc<EncodedResource>>;

/// What differs, and where in its bytes.
fn differences(known: &Resources, there: &Resources) -> String {
    let keys: BTreeSet<_> = known.keys().chain(there.keys()).collect();
    let differs = keys.into_iter().filter(|key| known.get(*key) != there.get(*key));
    let tell = |key: &(XdsKind, String)| {
        let both = [known.get(key), there.get(key)];
        let [Some(one), Some(other)] = both else { return format!("{key:?}: {both:?}") };
        let place = one.bytes.iter().zip(&other.bytes).take_while(|(one, other)| one == other).count();
        let around = |bytes: &[u8]| {
            let window = place.saturating_sub(64)..bytes.len().min(place + 64);
            String::from_utf8_lossy(bytes.get(window).unwrap_or_default()).into_owned()
        };
        format!(
            "{one:?} is not {other:?}, optional {} and {}, versions {:x} and {:x}, at byte {place}:\n{:?}\n{:?}",
            one.is_optional,
            other.is_optional,
            one.version,
            other.version,
            around(&one.bytes),
            around(&other.bytes)
        )
    };
    differs.map(tell).collect::<Vec<_>>().join("\n")
}
