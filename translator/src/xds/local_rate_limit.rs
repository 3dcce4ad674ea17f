//! The limit of requests that each proxy counts for itself.
//!
//! The buckets stand in the filter's own configuration, which comes apart from the listeners, and a route names one by
//! its metadata. So all routes that a policy applies to share a bucket, and a bucket is not filled anew when a
//! route table is replaced, as it would be if it stood in a route. Each listener of each proxy has buckets of its own.

use std::collections::BTreeMap;

use ir::{BucketName, TokenBucket};
use proto::core::TypedExtensionConfig;
use proto::hcm::HttpFilter;
use proto::local_ratelimit::LocalRateLimit;
use proto::metadata::MetadataKey;
use proto::metadata::metadata_key::{PathSegment, path_segment};
use proto::ratelimit_common::{LocalRateLimitDescriptor, rate_limit_descriptor};
use proto::route::rate_limit::action::{ActionSpecifier, MetaData, meta_data};
use proto::route::{RateLimit, rate_limit};
use proto::{duration, pack, types, u32_value};

use super::discovered::discovered_filter;
use super::matcher::{FRACTION_DENOMINATOR, runtime_fraction};
use super::optional_filters::METADATA_NAMESPACE;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.local_rate_limit";

/// The key of a route's metadata that holds the name of its bucket, and of the descriptor that the bucket is found by.
pub(super) const BUCKET_KEY: &str = "bucket";

/// The filter as it stands in a listener.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<LocalRateLimit>(NAME)
}

/// The filter with the buckets of a Gateway. A request whose route names none of them passes.
pub(super) fn extension(buckets: &BTreeMap<&BucketName, TokenBucket>) -> TypedExtensionConfig {
    let descriptors = buckets.iter().map(|(name, tokens)| LocalRateLimitDescriptor {
        entries: vec![rate_limit_descriptor::Entry { key: BUCKET_KEY.to_owned(), value: name.to_string() }],
        token_bucket: Some(token_bucket(tokens)),
        ..LocalRateLimitDescriptor::default()
    });
    let filter = LocalRateLimit {
        stat_prefix: "chancery".to_owned(),
        // Unset would be never.
        filter_enabled: Some(runtime_fraction(FRACTION_DENOMINATOR)),
        filter_enforced: Some(runtime_fraction(FRACTION_DENOMINATOR)),
        // Calls of gRPC hear RESOURCE_EXHAUSTED, not the UNAVAILABLE after which clients try again at once.
        rate_limited_as_resource_exhausted: true,
        enable_retry_after_header: true,
        rate_limits: vec![bucket_of_route()],
        descriptors: descriptors.collect(),
        ..LocalRateLimit::default()
    };
    TypedExtensionConfig { name: NAME.to_owned(), typed_config: Some(pack(&filter)) }
}

fn token_bucket(ir: &TokenBucket) -> types::TokenBucket {
    types::TokenBucket {
        max_tokens: ir.max_tokens,
        tokens_per_fill: Some(u32_value(ir.tokens_per_fill)),
        fill_interval: Some(duration(ir.fill_interval)),
    }
}

/// The descriptor of a request: the bucket that its route names.
fn bucket_of_route() -> RateLimit {
    let segment = path_segment::Segment::Key(BUCKET_KEY.to_owned());
    let metadata = MetaData {
        descriptor_key: BUCKET_KEY.to_owned(),
        metadata_key: Some(MetadataKey {
            key: METADATA_NAMESPACE.to_owned(),
            path: vec![PathSegment { segment: Some(segment) }],
        }),
        source: meta_data::Source::RouteEntry.into(),
        ..MetaData::default()
    };
    RateLimit {
        actions: vec![rate_limit::Action { action_specifier: Some(ActionSpecifier::Metadata(metadata)) }],
        ..RateLimit::default()
    }
}
