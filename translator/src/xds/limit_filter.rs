//! The filter that has a service of the user's count requests (`envoy.filters.http.ratelimit`).
//!
//! Where the service is and what happens if it is away can be said by the filter's own configuration alone, so that each service is
//! a branch of a [chosen filter](super::chosen_filter). What the service is told stands in the route.

use ir::{DescriptorEntry, GlobalLimit, GrpcServiceIr, LimitService};
use proto::core::{ApiVersion, TypedExtensionConfig};
use proto::ratelimit::rate_limit::XRateLimitHeadersRfcVersion;
use proto::ratelimit::{RateLimit, RateLimitPerRoute};
use proto::ratelimit_config::RateLimitServiceConfig;
use proto::route::rate_limit::Action;
use proto::route::rate_limit::action::{ActionSpecifier, GenericKey, RemoteAddress, RequestHeaders};
use proto::types::{HttpStatus, StatusCode};
use proto::wkt::Any;
use proto::{duration, pack};

use super::chosen_filter::{self, Chosen};
use super::grpc_service::build_grpc_service;

/// The filter, with what chooses the service.
pub(super) const FILTER: Chosen =
    Chosen { name: "chancery.global_rate_limit", key: "chancery.limit_service" };

/// The key of an entry with the path.
const PATH_KEY: &str = "path";

/// What a route says beside the name of the service.
pub(super) fn descriptors(ir: &GlobalLimit) -> Any {
    let descriptors = ir.descriptors.iter().map(|entries| {
        let actions = entries.iter().map(|entry| Action { action_specifier: Some(action(entry)) });
        proto::route::RateLimit { actions: actions.collect(), ..proto::route::RateLimit::default() }
    });
    pack(&RateLimitPerRoute { rate_limits: descriptors.collect(), ..RateLimitPerRoute::default() })
}

/// The filter that listeners name.
pub(super) fn extension<'a>(services: impl IntoIterator<Item = &'a LimitService>) -> TypedExtensionConfig {
    let branches = services.into_iter().map(|service| {
        (service.name.to_string(), "envoy.filters.http.ratelimit", pack(&build_filter(service)))
    });
    chosen_filter::extension(FILTER, branches)
}

fn build_filter(ir: &LimitService) -> RateLimit {
    let service = GrpcServiceIr::plain(ir.cluster.clone(), ir.authority.clone(), None);
    let headers = match ir.tells_clients {
        true => XRateLimitHeadersRfcVersion::DraftVersion03,
        false => XRateLimitHeadersRfcVersion::Off,
    };
    RateLimit {
        domain: ir.domain.clone(),
        timeout: Some(duration(ir.timeout)),
        failure_mode_deny: !ir.fails_open,
        // As where our own service is away.
        status_on_error: Some(HttpStatus { code: StatusCode::ServiceUnavailable.into() }),
        // Calls of gRPC hear RESOURCE_EXHAUSTED, not the UNAVAILABLE after which clients try again at once.
        rate_limited_as_resource_exhausted: true,
        enable_retry_after_header: true,
        enable_x_ratelimit_headers: headers.into(),
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(build_grpc_service(&service)),
            transport_api_version: ApiVersion::V3.into(),
        }),
        ..RateLimit::default()
    }
}

/// Of a descriptor for which the request lacks an entry, Envoy does not tell the service.
fn action(entry: &DescriptorEntry) -> ActionSpecifier {
    let header = |name: &str, key: &str| {
        ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: name.to_owned(),
            descriptor_key: key.to_owned(),
            ..RequestHeaders::default()
        })
    };
    match entry {
        DescriptorEntry::Constant { key, value } => ActionSpecifier::GenericKey(GenericKey {
            descriptor_key: key.clone(),
            descriptor_value: value.clone(),
            ..GenericKey::default()
        }),
        DescriptorEntry::Header(name) => header(name, name),
        DescriptorEntry::RemoteAddress => ActionSpecifier::RemoteAddress(RemoteAddress {}),
        DescriptorEntry::Path => header(":path", PATH_KEY),
    }
}
