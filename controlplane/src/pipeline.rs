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
        && one.translation.unserved == other.translation.unserved
        && gateways(one) == gateways(other)
        && one.translation.gateways.iter().all(|(name, gateway)| {
            let other = other.translation.gateways.get(name);
            other.is_some_and(|other| {
                gateway.ir == other.ir
                    && gateway.xds == other.xds
                    && gateway.infra == other.infra
                    && gateway.parameters == other.parameters
            })
        })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crds::Object;
    use prometheus_client::registry::Registry;
    use serde_json::json;

    use super::*;
    use crate::source::{Change, Place, Severity};

    struct Pipeline {
        updates: mpsc::Sender<Update>,
        settings: watch::Sender<Settings>,
        outputs: watch::Receiver<Option<Arc<Output>>>,
        metrics: Metrics,
    }

    fn start() -> Pipeline {
        let (updates, received) = mpsc::channel(8);
        let settings = Settings { implied_classes: vec!["chancery".to_owned()], ..Settings::default() };
        let (settings, settings_changes) = watch::channel(settings);
        let (sender, outputs) = watch::channel(None);
        let metrics = Metrics::register(&mut Registry::default());
        tokio::spawn(run(received, settings_changes, sender, metrics.clone()));
        Pipeline { updates, settings, outputs, metrics }
    }

    impl Pipeline {
        async fn next(&mut self) -> Arc<Output> {
            tokio::time::timeout(Duration::from_secs(10), self.outputs.changed())
                .await
                .expect("in time")
                .unwrap();
            self.outputs.borrow_and_update().clone().unwrap()
        }

        async fn send(&self, changes: Vec<Change>) {
            self.updates.send(Update { changes, findings: Vec::new() }).await.unwrap();
        }
    }

    fn gateway(name: &str, port: u16) -> Object {
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "Gateway",
            "metadata": {"name": name},
            "spec": {
                "gatewayClassName": "chancery",
                "listeners": [{"name": "http", "protocol": "HTTP", "port": port}],
            },
        });
        Object::decode(gateway).unwrap().object
    }

    #[tokio::test]
    async fn nothing_comes_out_before_the_first_update_and_an_empty_one_counts() {
        let mut pipeline = start();
        assert!(pipeline.outputs.borrow().is_none());
        pipeline.send(Vec::new()).await;
        assert!(pipeline.next().await.translation.gateways.is_empty());
    }

    #[tokio::test]
    async fn every_change_comes_out_and_what_changes_nothing_does_not() {
        let mut pipeline = start();
        pipeline.send(vec![Change::Apply(gateway("a", 80))]).await;
        assert_eq!(pipeline.next().await.translation.gateways.len(), 1);
        pipeline.send(vec![Change::Apply(gateway("a", 80))]).await;
        pipeline.send(vec![Change::Apply(gateway("b", 81))]).await;
        assert_eq!(pipeline.next().await.translation.gateways.len(), 2);
        pipeline.send(vec![Change::Delete(gateway("a", 80).object_ref())]).await;
        assert_eq!(pipeline.next().await.translation.gateways.len(), 1);
    }

    #[tokio::test]
    async fn an_equal_translation_is_counted_and_kept_back() {
        let mut pipeline = start();
        pipeline.send(vec![Change::Apply(gateway("a", 80))]).await;
        pipeline.next().await;
        pipeline.send(vec![Change::Apply(gateway("a", 80))]).await;
        let unchanged = async {
            while pipeline.metrics.translations_unchanged.get() == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), unchanged).await.expect("in time");
        assert!(!pipeline.outputs.has_changed().unwrap());
    }

    #[tokio::test]
    async fn new_findings_and_new_settings_come_out_too() {
        let mut pipeline = start();
        pipeline.send(vec![Change::Apply(gateway("a", 80))]).await;
        pipeline.next().await;
        let finding = Finding {
            place: Place::file("a.yaml"),
            severity: Severity::Problem,
            message: "broken".to_owned(),
        };
        pipeline.updates.send(Update { changes: Vec::new(), findings: vec![finding] }).await.unwrap();
        assert_eq!(pipeline.next().await.findings.len(), 1);
        pipeline.settings.send_modify(|settings| settings.implied_classes.clear());
        assert!(pipeline.next().await.translation.gateways.is_empty());
    }
}
