//! One edit, measured.

use std::time::Instant;

use anyhow::{Result, bail};
use controlplane::publish::Publisher;
use controlplane::status::{Statuses, Style};
use crds::Object;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use translator::{Change, Delta, GatewayChange, Settings, Translator};

use crate::world::{self, Shape};

/// The kinds of edits.
pub(crate) const EDITS: &[&str] = &["route", "endpoints", "service", "secret", "object of nobody"];

/// How often an edit is measured.
const REPEATS: usize = 41;

/// What an edit costs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The median.
    pub(crate) milliseconds: f64,
    /// Of the resources that are sent.
    pub(crate) bytes: usize,
    /// Units that are evaluated.
    pub(crate) units: usize,
}

/// All that a replica keeps.
pub(crate) struct Bench {
    shape: Shape,
    size: usize,
    translator: Translator,
    publisher: Publisher,
    statuses: Statuses,
    version: usize,
}

impl Bench {
    pub(crate) fn new(shape: Shape, size: usize) -> Self {
        let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
        let mut bench = Self {
            shape,
            size,
            translator: Translator::new(settings),
            publisher: Publisher::new(),
            statuses: Statuses::default(),
            version: 0,
        };
        let objects: Vec<_> = world::objects(shape, size).filter_map(decode).collect();
        let delta = bench.translator.update(objects);
        bench.publish(delta);
        bench
    }

    /// Measures an edit.
    pub(crate) fn measure(&mut self, edit: &str) -> Result<Figures> {
        let mut times = Vec::new();
        let mut figures = (0, 0);
        for _ in 0..REPEATS {
            let document = self.next(edit)?;
            let started = Instant::now();
            figures = measured_edit(self, document);
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let (bytes, units) = figures;
        Ok(Figures { milliseconds: times.get(REPEATS / 2).copied().unwrap_or_default(), bytes, units })
    }

    /// An edit, for whoever counts what `measured_edit` does. It is made warm by others of its kind, which are not
    /// counted.
    pub(crate) fn run_once(mut self, edit: &str) -> Result<()> {
        for _ in 0..3 {
            let document = self.next(edit)?;
            self.take(document);
        }
        let document = self.next(edit)?;
        measured_edit(&mut self, document);
        Ok(())
    }

    fn next(&mut self, edit: &str) -> Result<Value> {
        self.version += 1;
        let version = self.version;
        Ok(match edit {
            "route" => world::route(self.shape, self.size / 2, version),
            "endpoints" => world::slice(0, &format!("10.0.1.{}", version % 250)),
            "service" => {
                world::service(0, if version.is_multiple_of(2) { "http" } else { "kubernetes.io/h2c" })
            }
            "secret" => world::secret(&format!("key-{version}")),
            "object of nobody" => world::nobodys(&version.to_string()),
            other => bail!("there is no edit {other}"),
        })
    }

    fn take(&mut self, document: Value) -> (usize, usize) {
        let delta = self.translator.update(decode(document));
        let units = delta.evaluated();
        (self.publish(delta), units)
    }

    /// Takes changes in, as one update.
    pub(crate) fn update(&mut self, changes: Vec<Change>) {
        let delta = self.translator.update(changes);
        self.publish(delta);
    }

    /// Publishes; gives the bytes of what is sent.
    fn publish(&mut self, delta: Delta) -> usize {
        let mut bytes = 0;
        for (gateway, change) in &delta.gateways {
            let GatewayChange::Served { resources, is_complete, .. } = change else { continue };
            bytes += resources.values().flatten().map(|resource| resource.bytes.len()).sum::<usize>();
            match is_complete {
                true => self.publisher.publish(gateway, resources),
                false => self.publisher.update(gateway, resources),
            };
        }
        let origins = controlplane::source::Origins::default();
        self.statuses.update(&delta.reports, &controlplane::clock::now(), Some(Style::Ascii), &origins);
        bytes
    }
}

/// What is counted: from the document to the published snapshot and the status.
#[inline(never)]
fn measured_edit(bench: &mut Bench, document: Value) -> (usize, usize) {
    bench.take(document)
}

fn decode(document: Value) -> Option<Change> {
    Object::decode(document).ok().map(|decoded| Change::Apply(decoded.object))
}
