//! From the intermediate representation to Envoy's messages.
//!
//! Total and pure: whatever stands in the representation is valid, so nothing here can fail, and the
//! same input always gives the same bytes ([`XdsResources::encode`]).
//!
//! ```text
//! ListenerIr ──► Listener ─── HttpConnectionManager ─── access log, tracing
//!        └─────► RouteConfiguration ─── VirtualHost (the unit) ─── Route*
//! ClusterIr  ──► Cluster ─── upstream filters, TLS
//!        └─────► ClusterLoadAssignment
//! SecretIr   ──► Secret
//! Settings   ──► TypedExtensionConfig (the AI engine in listeners)
//! FilterPart ──► TypedExtensionConfig (filters of which a Gateway has one)
//! ```
//!
//! A field of Envoy's that is left unset is a default of Envoy's, not "none". `unset_fields.md`, beside this
//! file, has a row for each: what the default does, and why it is wanted. `tests/unset_fields.rs` holds the
//! table against all golden translations.

mod access_log;
mod auth_filter;
mod chosen_filter;
mod cluster;
mod compression;
mod config_source;
mod cors;
mod credential_filter;
mod discovered;
mod downstream_tls;
mod endpoint;
mod engine;
mod fault;
mod filter_state;
mod forward;
mod grpc_service;
mod hcm;
mod header;
mod header_case;
mod keepalive;
mod key_filter;
mod l4;
mod limit_filter;
mod listener;
mod listener_auth;
mod local_rate_limit;
mod local_route;
mod matcher;
mod mirror;
mod model_guard;
mod optional_filters;
mod pack;
mod priority_groups;
mod processor_filter;
mod rate_limit;
mod readiness;
mod redirect;
mod references;
mod resources;
mod retry;
mod rewrite;
mod rights_filter;
mod route;
mod secret;
mod spoil;
mod static_config;
mod target_filter;
mod tls_socket;
mod token_filter;
mod tracing;
mod tuning;
mod upstream_filter;
mod upstream_tls;

#[cfg(test)]
mod tests;

pub(crate) use auth_filter::is_known_status;
pub use references::dangling_references;
pub use resources::{EncodedResource, XdsKind, XdsResources};
pub use static_config::to_static_bootstrap;

use std::collections::BTreeMap;

use ai_config::{MetricLabel, PriceList};
use ir::{
    ClusterIr, ClusterName, Discovery, Endpoint, FilterPart, Hostname, IpFamilies, L4FilterIr,
    ListenerAuthIr, ListenerIr, RouteIr, SecretIr, TokenKeys, TokenSet,
};
use proto::route::VirtualHost;

use crate::Settings;
use crate::settings::TestHooks;
use local_route::Origin;

pub(crate) use pack::{HostRole, Table};

/// A key of Envoy's runtime that nobody sets, where one is required.
const NO_RUNTIME_KEY: &str = "chancery.never";

/// The listener, which names its route tables.
pub(crate) fn encode_listener(listener: &ListenerIr, settings: &Settings) -> EncodedResource {
    let tables = listener.tables().map(|table| (XdsKind::Route, table.name().to_string()));
    let secrets = listener.secrets().map(|secret| (XdsKind::Secret, secret.to_string()));
    let filters = listener.filters().map(|filter| (XdsKind::Extension, filter.to_string()));
    let has_http = listener.tables().next().is_some();
    let engine = engine::of(settings).filter(|_| has_http);
    let shared = if has_http { optional_filters::DISCOVERED.as_slice() } else { &[] };
    let of_engine = engine.iter().flat_map(|_| [engine::NAME, key_filter::NAME]);
    let named = of_engine.chain(shared.iter().copied());
    let named = named.map(|name| (XdsKind::Extension, name.to_owned()));
    let collectors = listener.collectors().map(|cluster| (XdsKind::Cluster, cluster.to_string()));
    let needs = tables.chain(secrets).chain(filters).chain(named).chain(collectors).collect();
    let mut message = listener::build_listener(listener, settings);
    if settings.test_hooks.unchecked_values {
        spoil::listener(listener, &mut message);
    }
    EncodedResource::new(XdsKind::Listener, &message, needs)
}

/// A filter that listeners name.
pub(crate) fn encode_l4_filter(filter: &L4FilterIr) -> EncodedResource {
    EncodedResource::new(XdsKind::Extension, &l4::build_filter(filter), Vec::new())
}

/// A filter that asks services before a route is chosen. It is refused where a cluster is missing that it asks.
pub(crate) fn encode_listener_auth(filter: &ListenerAuthIr) -> EncodedResource {
    let asked = clusters(filter.questions.values().map(|question| &question.service.cluster));
    EncodedResource::new(XdsKind::Extension, &listener_auth::extension(filter), asked)
}

/// The filter of the AI engine that listeners name; `None` if proxies do not have the engine.
pub(crate) fn encode_engine(
    settings: &Settings,
    metric_labels: &[MetricLabel],
    prices: BTreeMap<String, Vec<PriceList>>,
) -> Option<EncodedResource> {
    let module = engine::of(settings)?;
    let config = engine::extension(module, metric_labels, prices);
    Some(EncodedResource::new(XdsKind::Extension, &config, engine::needs(module)))
}

/// The cluster without which no proxy gets the filters of the AI engine that listeners name; `None` if they need none.
pub(crate) fn encode_module_cluster(settings: &Settings) -> Option<EncodedResource> {
    let cluster = engine::module_cluster(engine::of(settings)?)?;
    let encoded = EncodedResource::new(XdsKind::Cluster, &cluster, Vec::new());
    // A proxy that cannot have the module serves what needs none.
    Some(EncodedResource { is_optional: true, ..encoded })
}

/// The filters of which all listeners of a Gateway have the same, with the parts that its routes name. They are there also
/// while no route names any.
pub(crate) fn encode_filters<'a>(
    parts: impl IntoIterator<Item = &'a FilterPart>,
    settings: &Settings,
) -> Vec<EncodedResource> {
    let (mut buckets, mut sets, mut services) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (mut keys, mut claims) = (Vec::new(), Vec::new());
    let (mut users, mut api_keys) = (BTreeMap::new(), BTreeMap::new());
    let (mut counting, mut processors) = (BTreeMap::new(), BTreeMap::new());
    let mut compressors = BTreeMap::new();
    for part in parts {
        // An earlier version of a route, which is served still, may name it with other content.
        match part {
            FilterPart::Bucket(name, tokens) => drop(buckets.entry(name).or_insert(*tokens)),
            FilterPart::Tokens(set) => drop(sets.entry(&set.name).or_insert(&**set)),
            FilterPart::Auth(service) => drop(services.entry(&service.name).or_insert(&**service)),
            FilterPart::Keys(set) => keys.push(&**set),
            FilterPart::Claims(set) => claims.push(&**set),
            FilterPart::Users(list) => drop(users.entry(&list.name).or_insert(&**list)),
            FilterPart::ApiKeys(list) => drop(api_keys.entry(&list.name).or_insert(&**list)),
            FilterPart::LimitService(service) => drop(counting.entry(&service.name).or_insert(&**service)),
            FilterPart::Processor(service) => drop(processors.entry(&service.name).or_insert(&**service)),
            FilterPart::Compressor(compressor) => drop(compressors.insert(compressor.name(), &**compressor)),
        }
    }
    let buckets = local_rate_limit::extension(&buckets);
    let tokens = token_filter::extension(sets.values().copied());
    let fetched = clusters(sets.values().flat_map(|set| clusters_of_keys(set)));
    let asked = clusters(services.values().map(|service| &service.cluster));
    let services = auth_filter::extension(services.values().copied());
    let counted = clusters(counting.values().map(|service| &service.cluster));
    let counting = limit_filter::extension(counting.into_values());
    let seen = clusters(processors.values().map(|service| &service.cluster));
    let processors = processor_filter::extension(processors.into_values());
    let users = credential_filter::users(users.into_values());
    let api_keys = credential_filter::api_keys(api_keys.into_values());
    let keys = engine::of(settings).map(|module| {
        let config = key_filter::extension(module, keys, claims, &settings.control_plane_cluster);
        EncodedResource::new(XdsKind::Extension, &config, engine::needs(module))
    });
    let all = [
        EncodedResource::new(XdsKind::Extension, &buckets, Vec::new()),
        EncodedResource::new(XdsKind::Extension, &tokens, fetched),
        EncodedResource::new(XdsKind::Extension, &services, asked),
        EncodedResource::new(XdsKind::Extension, &users, Vec::new()),
        EncodedResource::new(XdsKind::Extension, &api_keys, Vec::new()),
        EncodedResource::new(XdsKind::Extension, &counting, counted),
        EncodedResource::new(XdsKind::Extension, &processors, seen),
        EncodedResource::new(XdsKind::Extension, &compression::extension(compressors), Vec::new()),
    ];
    all.into_iter().chain(keys).collect()
}

/// What a filter needs that asks these clusters.
fn clusters<'a>(names: impl IntoIterator<Item = &'a ClusterName>) -> Vec<(XdsKind, String)> {
    names.into_iter().map(|name| (XdsKind::Cluster, name.to_string())).collect()
}

/// The clusters that are asked for the keys of tokens.
fn clusters_of_keys(set: &TokenSet) -> impl Iterator<Item = &ClusterName> {
    let providers = set.stages.iter().flat_map(|stage| &stage.providers);
    providers.filter_map(|provider| match &provider.keys {
        TokenKeys::Remote { cluster, .. } => Some(cluster),
        TokenKeys::Local(_) => None,
    })
}

/// The listener at which a proxy in a cluster says whether it has its configuration.
pub(crate) fn encode_readiness_listener(families: IpFamilies) -> EncodedResource {
    EncodedResource::new(XdsKind::Listener, &readiness::build_readiness_listener(families), Vec::new())
}

/// The cluster, which names its secrets, and its endpoints where they are delivered apart.
pub(crate) fn encode_cluster(cluster: &ClusterIr, settings: &Settings) -> EncodedResource {
    let endpoints =
        (cluster.discovery == Discovery::Endpoints).then(|| (XdsKind::Endpoint, cluster.name.to_string()));
    let credential = cluster.http.credential.as_ref().map(|credential| &credential.secret);
    let tls = cluster.tls.iter().flat_map(|tls| std::iter::once(&tls.trust).chain(&tls.client_certificate));
    let secrets = credential.into_iter().chain(tls).map(|secret| (XdsKind::Secret, secret.to_string()));
    let mut message = cluster::build_cluster(cluster, settings.families);
    if settings.test_hooks.unchecked_values {
        spoil::cluster(cluster, &mut message);
    }
    EncodedResource::new(XdsKind::Cluster, &message, endpoints.into_iter().chain(secrets).collect())
}

/// The endpoints of a cluster.
pub(crate) fn encode_endpoints(
    cluster: &ClusterName,
    endpoints: &[Endpoint],
    hooks: &TestHooks,
) -> EncodedResource {
    let mut assignment = endpoint::build_load_assignment(cluster, endpoints);
    if hooks.unchecked_values {
        spoil::endpoints(endpoints, &mut assignment);
    }
    EncodedResource::new(XdsKind::Endpoint, &assignment, Vec::new())
}

/// The secret.
pub(crate) fn encode_secret(secret: &SecretIr, hooks: &TestHooks) -> EncodedResource {
    let mut message = secret::build_secret(secret);
    if hooks.unchecked_values {
        spoil::secret(secret, &mut message);
    }
    EncodedResource::new(XdsKind::Secret, &message, Vec::new())
}

/// The Envoy routes of a route, encoded as they stand in any virtual host; `None` if they are not the same in all.
pub(crate) fn encode_everywhere(route: &RouteIr) -> Option<Vec<u8>> {
    let routes = route::build_everywhere(route)?;
    Some(proto::encode(&VirtualHost { routes, ..VirtualHost::default() }))
}

/// The Envoy routes of a route in the virtual host of `hostname`, encoded as they stand in a virtual host.
pub(crate) fn encode_route(route: &RouteIr, hostname: &Hostname, listener: &ListenerIr) -> Vec<u8> {
    let routes = route::build_routes(route, hostname, &Origin::of(listener));
    proto::encode(&VirtualHost { routes, ..VirtualHost::default() })
}
