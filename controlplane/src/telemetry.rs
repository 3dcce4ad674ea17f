//! Logs and metrics of the control plane itself.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tracing_subscriber::EnvFilter;
use xds::ResourceType;

/// Libraries that tell nothing of use below info, and see the bytes that pass through them. A filter
/// that names one has precedence. Kube's client logs every error that it also returns.
const QUIET: &str = "h2=info,hyper=info,hyper_util=info,mio=info,tonic=info,tower=info,\
                     kube_client=info,kube_client::client::builder=off";

/// Sends logs to stderr: for people on a terminal, as JSON otherwise.
///
/// # Errors
/// The filter is not valid, or logging was set up before.
pub fn init_logs(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .with_context(|| format!("--log: `{filter}` is not a filter"))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Where nobody reads the log any more, a line that cannot be written is no reason to stop serving.
    let logs = logs.log_internal_errors(false);
    let result = match io::stderr().is_terminal() {
        true => logs.compact().with_target(false).try_init(),
        false => logs.json().flatten_event(true).try_init(),
    };
    result.map_err(|error| anyhow::anyhow!("cannot set up logs: {error}"))
}

/// The metrics of the pipeline and the proxies. A clone is the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Seconds that a translation took.
    pub translation_seconds: Histogram,
    /// Translations whose output was equal to the one before.
    pub translations_unchanged: Counter,
    /// Units that were evaluated.
    pub units_evaluated: Counter,
    /// Evaluations that panicked.
    pub translation_panics: Counter,
    /// What proxies refused, by type of resource.
    pub refusals: Family<ResourceLabel, Counter>,
    /// Objects from which something comes that a proxy refuses at this time, by kind.
    pub refused_objects: Family<KindLabel, Gauge>,
    /// Kinds of objects that cannot be read from the API server at this time: 1 for each, 0 once it can be again.
    pub unreadable_kinds: Family<KindLabel, Gauge>,
    /// What is wrong with the input now: problems of files and of objects.
    pub input_problems: Gauge,
    /// Gateways that are served now.
    pub gateways: Gauge,
    /// Statuses written to the cluster.
    pub status_writes: Counter,
    /// Writes of statuses that failed and are tried again.
    pub status_write_failures: Counter,
    /// Envoys that ended without being asked to, per Gateway.
    pub proxy_restarts: Family<GatewayLabel, Counter>,
}

/// The label of what is counted per Gateway.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct GatewayLabel {
    /// `namespace/name`.
    pub gateway: String,
}

/// The label of what is counted per type of resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabel {
    /// Such as `route`.
    pub resource_type: String,
}

/// The label of what is counted per kind of object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// Such as `HTTPRoute`.
    pub kind: String,
}

impl From<ResourceType> for ResourceLabel {
    fn from(kind: ResourceType) -> Self {
        Self { resource_type: kind.to_string() }
    }
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("chancery_build", "The version of the control plane", version);
        let metrics = Self {
            // 0.1 ms to 13 s.
            translation_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            translations_unchanged: Counter::default(),
            units_evaluated: Counter::default(),
            translation_panics: Counter::default(),
            refusals: Family::default(),
            refused_objects: Family::default(),
            unreadable_kinds: Family::default(),
            input_problems: Gauge::default(),
            gateways: Gauge::default(),
            status_writes: Counter::default(),
            status_write_failures: Counter::default(),
            proxy_restarts: Family::default(),
        };
        registry.register(
            "chancery_translation_duration_seconds",
            "Time that the translation of a change took",
            metrics.translation_seconds.clone(),
        );
        registry.register(
            "chancery_translations_unchanged",
            "Translations that changed nothing",
            metrics.translations_unchanged.clone(),
        );
        registry.register(
            "chancery_units_evaluated",
            "Parts of the translation that were evaluated",
            metrics.units_evaluated.clone(),
        );
        registry.register(
            "chancery_translation_panics",
            "Internal errors in translating an object; its status and the log say more",
            metrics.translation_panics.clone(),
        );
        registry.register(
            "chancery_refusals",
            "Responses that proxies refused, by type of resource",
            metrics.refusals.clone(),
        );
        registry.register(
            "chancery_refused_objects",
            "Objects of which proxies refuse something at this time, by kind",
            metrics.refused_objects.clone(),
        );
        registry.register(
            "chancery_unreadable_kinds",
            "Whether objects of a kind cannot be read from the API server at this time, by kind",
            metrics.unreadable_kinds.clone(),
        );
        registry.register(
            "chancery_input_problems",
            "Problems of files and objects at this time",
            metrics.input_problems.clone(),
        );
        registry.register("chancery_gateways", "Gateways served at this time", metrics.gateways.clone());
        registry.register(
            "chancery_status_writes",
            "Statuses written to the cluster",
            metrics.status_writes.clone(),
        );
        registry.register(
            "chancery_status_write_failures",
            "Writes of statuses that failed and are tried again",
            metrics.status_write_failures.clone(),
        );
        registry.register(
            "chancery_proxy_restarts",
            "Envoys that ended unexpectedly and were started again",
            metrics.proxy_restarts.clone(),
        );
        metrics
    }
}
