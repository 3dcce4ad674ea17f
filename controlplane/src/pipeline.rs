//! Changes come in, translations go out: at once when idle, joined while a translation is under way.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use translator::{Settings, Translation, translate};

use crate::source::{Finding, Update};
use crate::store::Store;
use crate::telemetry::Metrics;

/// What the input as a whole comes to.
#[derive(Clone, Debug)]
pub struct Output {
    /// What the objects come to.
    pub translation: Translation,
    /// What there is to say about the places that they come from.
    pub findings: Vec<Finding>,
}

/// Translates until the source ends.
///
/// `outputs` holds `None` until the source's first update, which is everything that there is, has been
/// translated; after that it changes only when its content does.
pub async fn run(
    mut updates: mpsc::Receiver<Update>,
    mut settings: watch::Receiver<Settings>,
    outputs: watch::Sender<Option<Arc<Output>>>,
    metrics: Metrics,
) {
    let mut store = Store::default();
    let Some(first) = updates.recv().await else { return };
    store.apply(first);
    loop {
        while let Ok(update) = updates.try_recv() {
            store.apply(update);
        }
        let current = settings.borrow_and_update().clone();
        let Some(output) = translate_apart(&store, current, &metrics).await else { return };
        let changed = outputs.send_if_modified(|previous| {
            let is_new = previous.as_deref().is_none_or(|previous| !is_same(previous, &output));
            if is_new {
                *previous = Some(Arc::new(output));
            }
            is_new
        });
        if !changed {
            metrics.translations_unchanged.inc();
        }
        tokio::select! {
            update = updates.recv() => match update {
                Some(update) => store.apply(update),
                None => return,
            },
            Ok(()) = settings.changed() => {}
        }
    }
}

/// Translates on a thread for blocking work: a large input takes a while, and streams go on.
async fn translate_apart(store: &Store, settings: Settings, metrics: &Metrics) -> Option<Output> {
    let resources = store.resources().clone();
    let started = Instant::now();
    let translation = tokio::task::spawn_blocking(move || translate(&resources, &settings)).await.ok()?;
    metrics.translation_seconds.observe(started.elapsed().as_secs_f64());
    Some(Output { translation, findings: store.findings().to_vec() })
}

fn is_same(one: &Output, other: &Output) -> bool {
    let gateways = |output: &Output| output.translation.gateways.len();
    one.findings == other.findings
        && one.translation.reports == other.translation.reports
        && gateways(one) == gateways(other)
        && one.translation.gateways.iter().all(|(name, gateway)| {
            let other = other.translation.gateways.get(name);
            other.is_some_and(|other| gateway.ir == other.ir && gateway.xds == other.xds && gateway.infra == other.infra)
        })
}
