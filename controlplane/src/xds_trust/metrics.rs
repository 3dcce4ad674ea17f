//! What trust costs, and when it ends.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of the xDS port's trust. A clone is the same metrics.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    reviews: Family<ReviewLabel, Counter>,
    refusals: Family<RefusalLabel, Counter>,
    authority_expiry: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabel {
    result: ReviewResult,
}

/// How a review ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(super) enum ReviewResult {
    Genuine,
    Rejected,
    Unavailable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    code: String,
}

impl Metrics {
    /// Registers all metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "chancery_xds_token_reviews",
            "Tokens that the API server was asked about",
            self.reviews.clone(),
        );
        registry.register(
            "chancery_xds_refused_calls",
            "Calls of the xDS port that were refused, by gRPC code",
            self.refusals.clone(),
        );
        registry.register(
            "chancery_xds_authority_expiry_timestamp_seconds",
            "When the authority expires that signs the certificate of the xDS port",
            self.authority_expiry.clone(),
        );
    }

    pub(super) fn count_review(&self, result: ReviewResult) {
        self.reviews.get_or_create(&ReviewLabel { result }).inc();
    }

    pub(super) fn count_refusal(&self, code: tonic::Code) {
        self.refusals.get_or_create(&RefusalLabel { code: format!("{code:?}") }).inc();
    }

    pub(super) fn set_authority_expiry(&self, at: SystemTime) {
        let since_epoch = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.authority_expiry.set(since_epoch.as_secs_f64());
    }
}
