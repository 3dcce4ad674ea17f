//! Limits that a service counts, which all proxies share (`envoy.filters.http.ratelimit`).
//!
//! What limits there are travels with each request ([`limit_rule`]), so that the filter is the same for all routes, and a
//! route's own configuration has the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use ai_config::{SETTLED_KEY, SHARED_KEY as TIMES_KEY, SPENDING_NAMESPACE, slot_key, spent_key};
use ir::{Counted, LimitEntry, LimitHeader, RateLimit};
use limit_rule::{BUDGET_KEY, DOMAIN, Mode, REQUEST_KEY, RULES_KEY, Rules, SHARED_KEY, STEP_KEY, Step};
use proto::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use proto::core::{ApiVersion, GrpcService};
use proto::metadata::MetadataKey;
use proto::metadata::metadata_key::{PathSegment, path_segment};
use proto::ratelimit::{RateLimit as Filter, RateLimitPerRoute};
use proto::ratelimit_config::RateLimitServiceConfig;
use proto::route::header_matcher::HeaderMatchSpecifier;
use proto::route::rate_limit::action::{
    ActionSpecifier, DestinationCluster, GenericKey, HeaderValueMatch, MetaData, RemoteAddress,
    RequestHeaders, meta_data::Source,
};
use proto::route::rate_limit::{Action, HitsAddend};
use proto::route::{HeaderMatcher, RateLimit as RouteRateLimit};
use proto::set_metadata::{Config as SetMetadata, Metadata};
use proto::types::{HttpStatus, StatusCode};
use proto::wkt::{Struct, Value, value};
use proto::{bool_value, duration, u64_value};

use super::matcher::text_matcher;
use crate::Settings;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.rate_limit";

/// How long the service may take. It waits for its own store for less.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Where the AI engine says, in dynamic metadata, how many tokens a request has come to.
const TOKENS_NAMESPACE: &str = "ai.kgateway.io";
const TOKENS_KEY: &str = "rate_limited_tokens";

/// The name of the filter that says, before anything is known, that nothing was spent: of a request that has no number Envoy would
/// write a warning.
pub(super) const NO_TOKENS: &str = "chancery.no_tokens";

/// That filter.
pub(super) fn no_tokens() -> SetMetadata {
    let zero = Value { kind: Some(value::Kind::NumberValue(0.0)) };
    let metadata = Metadata {
        metadata_namespace: TOKENS_NAMESPACE.to_owned(),
        value: Some(Struct { fields: [(TOKENS_KEY.to_owned(), zero)].into() }),
        ..Metadata::default()
    };
    SetMetadata { metadata: vec![metadata], ..SetMetadata::default() }
}

/// Whether a route has limits of what is known at the end alone: it needs that filter.
pub(super) fn is_counted_later(limits: &[RateLimit]) -> bool {
    limits.iter().any(|limit| limit.counted == Some(Counted::Tokens))
}

/// How many budgets keys have at most, by what they count.
pub(super) type Budgets = BTreeMap<Counted, usize>;

/// The filter, which asks nothing for a route without limits.
pub(super) fn filter(settings: &Settings) -> Filter {
    let service = GrpcService {
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: settings.control_plane_cluster.clone(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    };
    Filter {
        domain: DOMAIN.to_owned(),
        timeout: Some(duration(TIMEOUT)),
        // Never does a request pass that was to be counted.
        failure_mode_deny: true,
        status_on_error: Some(HttpStatus { code: StatusCode::ServiceUnavailable.into() }),
        enable_retry_after_header: true,
        rate_limit_service: Some(RateLimitServiceConfig {
            grpc_service: Some(service),
            transport_api_version: ApiVersion::V3.into(),
        }),
        ..Filter::default()
    }
}

/// What a route adds: its questions. A limit of tokens is two: whether anything is left, and what was spent. So is a budget of tokens or money:
/// what the request may come to is reserved, and settled in the end.
pub(super) fn of_route(limits: &[RateLimit], budgets: &Budgets, falls_back: bool) -> RateLimitPerRoute {
    let reserve = if falls_back { Step::ReserveOrFallBack } else { Step::Reserve };
    let of_budgets = budgets
        .iter()
        .flat_map(|(counted, most)| (0..*most).flat_map(move |number| budget(*counted, number, reserve)));
    let rate_limits = limits.iter().flat_map(|limit| match limit.counted {
        Some(Counted::Tokens) => {
            let none = HitsAddend { number: Some(u64_value(0)), ..HitsAddend::default() };
            let amount = of_metadata(TOKENS_NAMESPACE, TOKENS_KEY);
            let charge =
                RouteRateLimit { apply_on_stream_done: true, ..question(limit, Mode::Charge, Some(amount)) };
            vec![question(limit, Mode::Check, Some(none)), charge]
        }
        // No policy limits money: budgets do.
        None | Some(Counted::Requests | Counted::Money) => vec![question(limit, Mode::Count, None)],
    });
    RateLimitPerRoute { rate_limits: rate_limits.chain(of_budgets).collect(), ..RateLimitPerRoute::default() }
}

/// The questions of the budget of that number. Envoy asks none of them if the key of the request has no such budget, or if the request
/// shares what another one has reserved.
fn budget(counted: Counted, number: usize, reserve: Step) -> Vec<RouteRateLimit> {
    let question = |step: Step, name: &str, shared: Option<&str>, amount: Option<HitsAddend>| {
        let actions = [
            spending(BUDGET_KEY, slot_key(counted.name(), number), false),
            ActionSpecifier::GenericKey(GenericKey {
                descriptor_key: STEP_KEY.to_owned(),
                descriptor_value: step.name().to_owned(),
                ..GenericKey::default()
            }),
            spending(REQUEST_KEY, name.to_owned(), false),
        ];
        let shared = shared.map(|shared| spending(SHARED_KEY, shared.to_owned(), true));
        let actions = actions.into_iter().chain(shared);
        let actions = actions.map(|action| Action { action_specifier: Some(action) });
        RouteRateLimit { actions: actions.collect(), hits_addend: amount, ..RouteRateLimit::default() }
    };
    let reserve = |shared, amount| question(reserve, "request", shared, amount);
    match counted {
        Counted::Requests => vec![reserve(None, None)],
        Counted::Tokens | Counted::Money => {
            let reserved = of_metadata(SPENDING_NAMESPACE, counted.name());
            let spent = of_metadata(SPENDING_NAMESPACE, &spent_key(counted.name()));
            let settle = question(Step::Settle, SETTLED_KEY, None, Some(spent));
            let settle = RouteRateLimit { apply_on_stream_done: true, ..settle };
            vec![reserve(Some(TIMES_KEY), Some(reserved)), settle]
        }
    }
}

/// An entry with what the filter of keys has left. Where that is absent, there is no question, or, with `skip_if_absent`, one without
/// this entry.
fn spending(descriptor_key: &str, key: String, skip_if_absent: bool) -> ActionSpecifier {
    ActionSpecifier::Metadata(MetaData {
        descriptor_key: descriptor_key.to_owned(),
        metadata_key: Some(MetadataKey {
            key: SPENDING_NAMESPACE.to_owned(),
            path: vec![PathSegment { segment: Some(path_segment::Segment::Key(key)) }],
        }),
        source: Source::Dynamic.into(),
        skip_if_absent,
        ..MetaData::default()
    })
}

/// An amount that stands in dynamic metadata.
fn of_metadata(namespace: &str, key: &str) -> HitsAddend {
    HitsAddend { format: format!("%DYNAMIC_METADATA({namespace}:{key})%"), ..HitsAddend::default() }
}

fn question(limit: &RateLimit, mode: Mode, hits_addend: Option<HitsAddend>) -> RouteRateLimit {
    let rules = Rules { mode, ..limit.rules.clone() };
    let first = ActionSpecifier::GenericKey(GenericKey {
        descriptor_key: RULES_KEY.to_owned(),
        descriptor_value: rules.to_text(),
        ..GenericKey::default()
    });
    // Of a set, what the request does not have is left out; without an entry for each level, a tree is not walked.
    let skip_if_absent = !limit.rules.sets.is_empty();
    let actions =
        std::iter::once(first).chain(limit.entries.iter().map(|entry| action(entry, skip_if_absent)));
    let actions = actions.map(|action| Action { action_specifier: Some(action) });
    RouteRateLimit { actions: actions.collect(), hits_addend, ..RouteRateLimit::default() }
}

fn action(entry: &LimitEntry, skip_if_absent: bool) -> ActionSpecifier {
    match entry {
        LimitEntry::Constant { key, value } => ActionSpecifier::GenericKey(GenericKey {
            descriptor_key: key.clone(),
            descriptor_value: value.clone(),
            ..GenericKey::default()
        }),
        LimitEntry::RemoteAddress => ActionSpecifier::RemoteAddress(RemoteAddress {}),
        LimitEntry::DestinationCluster => ActionSpecifier::DestinationCluster(DestinationCluster {}),
        LimitEntry::Header { key, header } => ActionSpecifier::RequestHeaders(RequestHeaders {
            header_name: header.clone(),
            descriptor_key: key.clone(),
            skip_if_absent,
        }),
        LimitEntry::HeaderMatch { value, is_expected, headers } => {
            ActionSpecifier::HeaderValueMatch(HeaderValueMatch {
                descriptor_value: value.clone(),
                expect_match: Some(bool_value(*is_expected)),
                headers: headers.iter().map(header_matcher).collect(),
                ..HeaderValueMatch::default()
            })
        }
        LimitEntry::Metadata { key, namespace, path, default, is_of_route } => {
            let path =
                path.iter().map(|key| PathSegment { segment: Some(path_segment::Segment::Key(key.clone())) });
            let source = if *is_of_route { Source::RouteEntry } else { Source::Dynamic };
            ActionSpecifier::Metadata(MetaData {
                descriptor_key: key.clone(),
                metadata_key: Some(MetadataKey { key: namespace.clone(), path: path.collect() }),
                default_value: default.clone().unwrap_or_default(),
                source: source.into(),
                skip_if_absent,
            })
        }
    }
}

fn header_matcher(LimitHeader { name, value, is_inverted }: &LimitHeader) -> HeaderMatcher {
    let specifier = match value {
        Some(text) => HeaderMatchSpecifier::StringMatch(text_matcher(text)),
        None => HeaderMatchSpecifier::PresentMatch(true),
    };
    HeaderMatcher {
        name: name.clone(),
        invert_match: *is_inverted,
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    }
}
