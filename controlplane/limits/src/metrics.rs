//! What is told of the limits.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What became of a request for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(non_camel_case_types, reason = "as the label's values are written")]
pub(crate) enum Verdict {
    /// Within the limit.
    ok,
    /// Over the limit.
    over,
    /// The store could not be reached.
    failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    /// The object that the limit comes from, `namespace/name`.
    pub limit: String,
    pub verdict: Verdict,
}

/// Counters of the service. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    asked: Family<Labels, Counter>,
}

impl Metrics {
    /// Registers them.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Times that a limit was looked at, by what came of it";
        registry.register("chancery_limit_checks", help, self.asked.clone());
    }

    pub(crate) fn count(&self, limit: &str, verdict: Verdict) {
        self.asked.get_or_create(&Labels { limit: limit.to_owned(), verdict }).inc();
    }
}
