//! The filters that stand in every listener, so that a route never changes a listener, and are disabled but for the
//! routes that enable them.
//!
//! A route enables a filter by a configuration of its own (`typed_per_filter_config`). There are two sorts:
//!
//! - filters of which a route's configuration says everything: what they do by themselves is nothing;
//! - filters of which all routes of a Gateway share one configuration, since Envoy has no other place for what they need.
//!   It comes apart from the listener ([`discovered`](super::discovered)), is put together from what the Gateway's routes
//!   name ([`ir::FilterPart`]), and a route only says by its metadata which part of it is meant.
//!
//! Envoy builds the filters of a request from its first route. Where another route may follow (a route is chosen by its
//! model, or by what an authorization service adds), the first one enables them all. So each filter must let a request
//! pass whose route has no configuration for it.
//!
//! Envoy's own filter of filters (`envoy.filters.http.filter_chain`) is not used: it could carry whole filters in routes,
//! but until Envoy 1.39.4 a worker could free what another one used when a route table was replaced, and it is not known
//! to be mended in 1.40.0.

use std::collections::HashMap;

use ai_config::COUNTED_KEY;
use ir::{Access, Coding, Credentials, Csrf, RoutePolicy};
use proto::buffer::{Buffer, BufferPerRoute, buffer_per_route};
use proto::composite::Composite;
use proto::csrf::CsrfPolicy;
use proto::hcm::{HttpFilter, http_filter};
use proto::route::{FilterConfig, Route};
use proto::wkt::{Any, Value, value};
use proto::{pack, u32_value};

use super::chosen_filter::{self, Chosen};
use super::discovered::discovered_filter;
use super::matcher::{FRACTION_DENOMINATOR, runtime_fraction, text_matcher};
use super::{
    auth_filter, compression, credential_filter, engine, fault, key_filter, limit_filter, local_rate_limit,
    processor_filter, rate_limit, rights_filter, target_filter, token_filter,
};
use crate::Settings;

/// The names of the filters, in the order in which a request passes them.
pub(super) const NAMES: [&str; 21] = [
    // It chooses the route, on which all others depend.
    engine::NAME,
    // Costs nothing, and what a page of another origin has sent must not use up what is counted below.
    CSRF,
    // Before those that read it.
    chosen_filter::CHOICES,
    // Answers pass it last: what others say of them is there.
    compression::COMPRESSOR.name,
    // Both look something up in a list, which costs less than what tokens and services do.
    credential_filter::USERS.name,
    credential_filter::API_KEYS.name,
    token_filter::NAME,
    // Asks another program, which learns what the tokens say, and is spared what they do not let in.
    auth_filter::NAME,
    // Behind the service that may choose another route, which may ask for other keys, and before the one that reads it.
    key_filter::CLAIMS_NAME,
    // Likewise behind that service.
    key_filter::NAME,
    // Reads what the tokens say.
    rights_filter::NAME,
    // What is refused is not to be counted.
    local_rate_limit::NAME,
    // Before those that read it, and behind the service that may choose another route, which may want others.
    LATER_CHOICES,
    // Before the one that reads it.
    rate_limit::NO_TOKENS,
    // Asks another program, which what is refused before spares.
    rate_limit::NAME,
    limit_filter::FILTER.name,
    // How large a body is, the next one measures without compression.
    compression::DECOMPRESSOR.name,
    // Holds the request until its body is there: nothing that will be refused is to take memory.
    BUFFER,
    // Another program sees what goes on, and what comes back.
    processor_filter::FILTER.name,
    // Stands for a backend that fails.
    fault::NAME,
    // Changes the path as it goes to the backend, which no other filter is to see.
    target_filter::NAME,
];

/// Those of which a route chooses a branch.
const CHOSEN: [Chosen; 4] =
    [compression::COMPRESSOR, credential_filter::USERS, credential_filter::API_KEYS, auth_filter::FILTER];

/// Those of which a route chooses a branch that may be another one than that which was found first.
const CHOSEN_LATER: [Chosen; 3] = [limit_filter::FILTER, compression::DECOMPRESSOR, processor_filter::FILTER];

/// Those that come apart from the listener.
pub(super) const DISCOVERED: [&str; 8] = [
    compression::COMPRESSOR.name,
    credential_filter::USERS.name,
    credential_filter::API_KEYS.name,
    token_filter::NAME,
    auth_filter::NAME,
    local_rate_limit::NAME,
    limit_filter::FILTER.name,
    processor_filter::FILTER.name,
];

/// The filter that notes what the route has chosen of [`CHOSEN_LATER`].
const LATER_CHOICES: &str = "chancery.later_choices";

/// The check of origins.
const CSRF: &str = "chancery.csrf";

/// The limit of bodies.
const BUFFER: &str = "chancery.buffer";

/// The namespace of a route's metadata that are for these filters.
pub(super) const METADATA_NAMESPACE: &str = "chancery.policy";

/// The filters as they stand in a listener.
pub(super) fn build_optional_filters(settings: &Settings) -> Vec<HttpFilter> {
    let build = |name: &str| match name {
        engine::NAME => engine::of(settings).map(|_| engine::listener_filter()),
        CSRF => Some(disabled(CSRF, pack(&csrf_policy(0, 0, Vec::new())))),
        token_filter::NAME => Some(token_filter::listener_filter()),
        key_filter::CLAIMS_NAME => {
            engine::of(settings).map(|_| disabled(key_filter::CLAIMS_NAME, key_filter::no_claims()))
        }
        key_filter::NAME => engine::of(settings).map(|_| key_filter::listener_filter()),
        chosen_filter::CHOICES => Some(disabled(name, chosen_filter::choices(&CHOSEN, &[]))),
        LATER_CHOICES => Some(disabled(name, chosen_filter::choices(&CHOSEN_LATER, &[]))),
        _ if name == compression::DECOMPRESSOR.name => Some(compression::decompressor()),
        fault::NAME => Some(disabled(name, fault::no_faults())),
        _ if CHOSEN.iter().chain(&CHOSEN_LATER).any(|chosen| chosen.name == name) => {
            Some(discovered_filter::<Composite>(name))
        }
        rights_filter::NAME => Some(disabled(rights_filter::NAME, rights_filter::nothing_refused())),
        local_rate_limit::NAME => Some(local_rate_limit::listener_filter()),
        rate_limit::NO_TOKENS => Some(disabled(rate_limit::NO_TOKENS, pack(&rate_limit::no_tokens()))),
        rate_limit::NAME => Some(disabled(rate_limit::NAME, pack(&rate_limit::filter(settings)))),
        // A request that passes it only because its first route did not know better is not limited.
        BUFFER => Some(disabled(BUFFER, pack(&buffer(u32::MAX)))),
        target_filter::NAME => Some(target_filter::build_target_filter()),
        _ => None,
    };
    NAMES.iter().filter_map(|name| build(name)).collect()
}

/// Has filters do what a policy asks for with the requests of an Envoy route.
pub(super) fn apply(policy: &RoutePolicy, route: &mut Route) {
    let RoutePolicy {
        access,
        question,
        csrf,
        rate_limit,
        shared_limits,
        global_limit: _,
        max_request_bytes,
        decompresses_requests: _,
        compresses_responses,
        processing: _,
        fault,
    } = policy;
    let Access { tokens, rights, keys: _, claims: _, offers: _, credentials } = access;
    let Credentials { users, api_keys } = credentials;
    let mut configs: HashMap<String, Any> = HashMap::new();
    let lists = [(credential_filter::USERS, users), (credential_filter::API_KEYS, api_keys)];
    let lists = lists.iter().filter_map(|(filter, list)| Some((*filter, list.as_ref()?.as_str())));
    let mut chosen: Vec<_> = lists.collect();
    chosen.iter().for_each(|(filter, _)| configs.extend(enabled(&[filter.name])));
    if let Some(question) = question {
        chosen.push((auth_filter::FILTER, question.service.as_str()));
        configs.insert(auth_filter::NAME.to_owned(), auth_filter::question(question));
        // Of a body that is sent in part, Envoy holds no more than it holds anyway, and answers 413.
        let partial = question.body.filter(|body| body.is_partial_allowed);
        if let Some(bytes) = partial.map(|body| u64::from(body.max_bytes)) {
            let limit = route.request_body_buffer_limit.get_or_insert_default();
            limit.value = limit.value.max(bytes);
        }
    }
    if let Some(name) = compresses_responses {
        chosen.push((compression::COMPRESSOR, name));
        configs.extend(enabled(&[compression::COMPRESSOR.name]));
    }
    if let Some(fault) = fault {
        configs.insert(fault::NAME.to_owned(), fault::faults(fault));
    }
    configs.extend(chosen_later(policy, route));
    if !chosen.is_empty() {
        configs.insert(chosen_filter::CHOICES.to_owned(), chosen_filter::choices(&CHOSEN, &chosen));
    }
    if let Some(tokens) = tokens {
        configs.insert(token_filter::NAME.to_owned(), token_filter::demand(tokens));
    }
    if let Some(rights) = rights {
        configs.insert(rights_filter::NAME.to_owned(), rights_filter::rights(rights, tokens.as_ref()));
    }
    configs.extend(key_filter::demand(access, route));
    if let Some(csrf) = csrf {
        configs.insert(CSRF.to_owned(), pack(&csrf_of(csrf)));
    }
    if let Some(bytes) = max_request_bytes {
        let limit = buffer_per_route::Override::Buffer(buffer(*bytes));
        configs.insert(BUFFER.to_owned(), pack(&BufferPerRoute { r#override: Some(limit) }));
    }
    let budgets = key_filter::budgets(access);
    if rate_limit::is_counted_later(shared_limits) {
        configs.extend(enabled(&[rate_limit::NO_TOKENS]));
        note(route, ai_config::METADATA_NAMESPACE, COUNTED_KEY, "tokens".to_owned());
    }
    if !shared_limits.is_empty() || !budgets.is_empty() {
        configs.insert(
            rate_limit::NAME.to_owned(),
            pack(&rate_limit::of_route(shared_limits, &budgets, key_filter::falls_back(access))),
        );
    }
    if let Some(bucket) = rate_limit {
        configs.extend(enabled(&[local_rate_limit::NAME]));
        note(route, METADATA_NAMESPACE, local_rate_limit::BUCKET_KEY, bucket.to_string());
    }
    route.typed_per_filter_config.extend(configs);
    if question.as_ref().is_some_and(|question| question.chooses_route) {
        follow(auth_filter::NAME, route);
    }
    if policy.processing.as_ref().is_some_and(|processing| processing.may_choose_route) {
        follow(processor_filter::FILTER.name, route);
    }
}

/// What a route says of the filters of which it chooses a branch late.
fn chosen_later(policy: &RoutePolicy, route: &mut Route) -> HashMap<String, Any> {
    let mut configs = HashMap::new();
    let mut chosen = Vec::new();
    if let Some(limit) = &policy.global_limit {
        chosen.push((limit_filter::FILTER, limit.service.as_str()));
        configs.insert(limit_filter::FILTER.name.to_owned(), limit_filter::descriptors(limit));
    }
    let codings = Coding::names(&policy.decompresses_requests);
    if !codings.is_empty() {
        chosen.push((compression::DECOMPRESSOR, &codings));
        configs.extend(enabled(&[compression::DECOMPRESSOR.name]));
    }
    if let Some(processing) = &policy.processing {
        chosen.push((processor_filter::FILTER, processing.processor.as_str()));
        let config = processor_filter::processing(processing, route);
        configs.insert(processor_filter::FILTER.name.to_owned(), config);
    }
    if !chosen.is_empty() {
        configs.insert(LATER_CHOICES.to_owned(), chosen_filter::choices(&CHOSEN_LATER, &chosen));
    }
    configs
}

/// Another route may follow behind the filter of that name, and the filters of a request are those that its first route enables.
fn follow(name: &str, route: &mut Route) {
    for (name, enabled) in enabled(after(name)) {
        route.typed_per_filter_config.entry(name).or_insert(enabled);
    }
}

/// A configuration that enables them all, and lets requests pass whose route says nothing.
pub(super) fn enabled_for_any_route() -> HashMap<String, Any> {
    let mut configs = enabled(&NAMES);
    // By itself it holds any body until it is there as a whole.
    let disabled = BufferPerRoute { r#override: Some(buffer_per_route::Override::Disabled(true)) };
    configs.insert(BUFFER.to_owned(), pack(&disabled));
    configs
}

/// The filters that a request passes after one.
fn after(name: &str) -> &'static [&'static str] {
    let at = NAMES.iter().position(|other| *other == name);
    at.and_then(|at| NAMES.get(at + 1..)).unwrap_or_default()
}

/// A route's configuration that enables these filters, as they are.
pub(super) fn enabled(names: &[&str]) -> HashMap<String, Any> {
    let enabled = FilterConfig { config: Some(Any::default()), ..FilterConfig::default() };
    names.iter().map(|name| ((*name).to_owned(), pack(&enabled))).collect()
}

/// A filter that is disabled but for the routes that enable it.
pub(super) fn disabled(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        disabled: true,
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}

/// Writes something into a route's metadata for the filters.
pub(super) fn note(route: &mut Route, namespace: &str, key: &str, text: String) {
    let metadata = route.metadata.get_or_insert_default();
    let namespace = metadata.filter_metadata.entry(namespace.to_owned());
    let fields = &mut namespace.or_default().fields;
    fields.insert(key.to_owned(), Value { kind: Some(value::Kind::StringValue(text)) });
}

fn csrf_of(ir: &Csrf) -> CsrfPolicy {
    let share = ir.per_million.min(FRACTION_DENOMINATOR);
    let (enforced, shadowed) = if ir.is_enforced { (share, 0) } else { (0, share) };
    csrf_policy(enforced, shadowed, ir.additional_origins.iter().map(text_matcher).collect())
}

/// Each share is of [`FRACTION_DENOMINATOR`] requests.
fn csrf_policy(
    enforced: u32,
    shadowed: u32,
    additional_origins: Vec<proto::matcher::StringMatcher>,
) -> CsrfPolicy {
    CsrfPolicy {
        filter_enabled: Some(runtime_fraction(enforced)),
        shadow_enabled: (shadowed > 0).then(|| runtime_fraction(shadowed)),
        additional_origins,
    }
}

fn buffer(max_request_bytes: u32) -> Buffer {
    Buffer { max_request_bytes: Some(u32_value(max_request_bytes)) }
}
