//! The AI engine: a dynamic module of ours that Envoy loads as a filter of clusters, and as one of listeners.
//!
//! Listeners only name their filter, and get it apart (ECDS): a proxy that refuses it answers 500 where a route needs it,
//! and all other routes are served.

use std::collections::{BTreeMap, HashMap};

use ai_config::{
    GATEWAY_FILTER, GatewayConfig, MAX_REQUEST_BYTES, METADATA_NAMESPACE, MetricLabel, PROVIDER_FILTER,
    PriceList, VERSION, metadata_state_key,
};
use ir::{Engine, ModuleSource, Observability, RemoteModule};
use proto::cluster::Cluster;
use proto::core::async_data_source::Specifier as AsyncSpecifier;
use proto::core::data_source::Specifier;
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{AsyncDataSource, DataSource, HttpUri, Metadata, RemoteDataSource, TypedExtensionConfig};
use proto::dynamic_module_filter::DynamicModuleFilter;
use proto::dynamic_modules::DynamicModuleConfig;
use proto::hcm::HttpFilter;
use proto::pack;
use proto::wkt::{Duration, StringValue, Struct, Value, value};
use serde::Serialize;

use super::discovered::discovered_filter;
use super::filter_state::{TakenDown, taking_down};
use super::resources::XdsKind;
use super::upstream_filter::filter as http_filter;
use super::{cluster, key_filter};
use crate::{AiEngine, Settings};

/// The name of the filter.
pub(super) const NAME: &str = "chancery.ai";

/// What stands before the metrics' names in Envoy, which takes it off again where Prometheus reads them.
const METRICS_NAMESPACE: &str = "chancery";

/// Where proxies get the engine, if they have it.
pub(super) fn of(settings: &Settings) -> Option<&ModuleSource> {
    match &settings.ai_engine {
        AiEngine::Available(module) => Some(module),
        AiEngine::Unavailable(_) => None,
    }
}

/// How long a fetch of the module may take. The next one begins when the cluster is sent again after that.
const FETCH_TIMEOUT: Duration = Duration { seconds: 10, nanos: 0 };

/// The cluster that has no endpoints and gets no request: a proxy that has fetched the module accepts it.
const MODULE_CLUSTER: &str = "chancery_module";

/// What a filter of listeners needs that is made of the module. While a proxy fetches the module it refuses whatever is made
/// of it, and a filter of listeners that it has refused once is not put into effect when it comes again. So such filters come
/// after this cluster. A module in a file needs nothing.
pub(super) fn needs(module: &ModuleSource) -> Vec<(XdsKind, String)> {
    match module {
        ModuleSource::Remote(_) => vec![(XdsKind::Cluster, MODULE_CLUSTER.to_owned())],
        ModuleSource::File(_) => Vec::new(),
    }
}

/// The cluster that filters of listeners [need](needs), if the module is fetched.
pub(super) fn module_cluster(module: &ModuleSource) -> Option<Cluster> {
    let filters = match module {
        ModuleSource::Remote(_) => vec![http_filter(NAME, &key_filter::without_keys(module))],
        ModuleSource::File(_) => return None,
    };
    Some(cluster::without_endpoints(MODULE_CLUSTER, filters))
}

/// The filter of a cluster.
pub(super) fn filter(ir: &Engine) -> HttpFilter {
    http_filter(NAME, &module_filter(&ir.module, PROVIDER_FILTER, ir.config.clone()))
}

/// The filter of a listener, which is disabled but for the routes that enable it.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<DynamicModuleFilter>(NAME)
}

/// The filter that writes down what labels of metrics are read from, where a cluster's filter finds it; `None` if there is
/// nothing to write down.
pub(super) fn labelling_filter(observability: &Observability, settings: &Settings) -> Option<HttpFilter> {
    of(settings)?;
    let values = observability.labelling.iter().map(|namespace| TakenDown {
        key: metadata_state_key(namespace),
        format: format!("%DYNAMIC_METADATA({namespace})%"),
        default: None,
    });
    taking_down("chancery.metric_labels", values)
}

/// The filter that listeners name.
pub(super) fn extension(
    module: &ModuleSource,
    metric_labels: &[MetricLabel],
    prices: BTreeMap<String, Vec<PriceList>>,
) -> TypedExtensionConfig {
    let config = GatewayConfig {
        version: VERSION,
        max_request_bytes: MAX_REQUEST_BYTES,
        metric_labels: metric_labels.to_vec(),
        prices,
    };
    named_extension(NAME, module, GATEWAY_FILTER, &config)
}

/// A filter of the module that listeners name: `filter` is its name in the module.
pub(super) fn named_extension(
    name: &str,
    module: &ModuleSource,
    filter: &str,
    config: &impl Serialize,
) -> TypedExtensionConfig {
    let filter = configured(module, filter, config);
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack(&filter)) }
}

/// A filter of the module; `filter` is its name in the module.
pub(super) fn configured(
    module: &ModuleSource,
    filter: &str,
    config: &impl Serialize,
) -> DynamicModuleFilter {
    module_filter(module, filter, serde_json::to_string(config).unwrap_or_default())
}

/// Metadata of a route for the engine. What a route asks of it stands in metadata and not in a configuration of its
/// filter, so that Envoy takes a route table whether it can load the engine or not.
///
/// `None` where there is nothing to say.
pub(super) fn metadata(texts: impl IntoIterator<Item = (&'static str, String)>) -> Option<Metadata> {
    let field =
        |(key, text): (&str, String)| (key.to_owned(), Value { kind: Some(value::Kind::StringValue(text)) });
    let fields: HashMap<_, _> = texts.into_iter().map(field).collect();
    if fields.is_empty() {
        return None;
    }
    let filter_metadata = [(METADATA_NAMESPACE.to_owned(), Struct { fields })].into();
    Some(Metadata { filter_metadata, ..Metadata::default() })
}

fn module_filter(module: &ModuleSource, name: &str, config: String) -> DynamicModuleFilter {
    DynamicModuleFilter {
        dynamic_module_config: Some(module_config(module)),
        filter_name: name.to_owned(),
        filter_config: Some(pack(&StringValue { value: config })),
        ..DynamicModuleFilter::default()
    }
}

fn module_config(source: &ModuleSource) -> DynamicModuleConfig {
    let specifier = match source {
        ModuleSource::File(path) => AsyncSpecifier::Local(DataSource {
            specifier: Some(Specifier::Filename(path.clone())),
            ..DataSource::default()
        }),
        ModuleSource::Remote(module) => AsyncSpecifier::Remote(remote(module)),
    };
    DynamicModuleConfig {
        // The name by which Envoy's log knows it.
        name: "chancery_ai".to_owned(),
        // The module has a thread of its own once requests share what they reserve, and what it knows of them outlives filters.
        do_not_close: true,
        metrics_namespace: METRICS_NAMESPACE.to_owned(),
        // Without it, a proxy that cannot fetch the module serves the cluster without the filter: requests would pass
        // that nobody counted or changed. With it, the proxy refuses the cluster until it has the module.
        nack_on_cache_miss: matches!(source, ModuleSource::Remote(_)),
        module: Some(AsyncDataSource { specifier: Some(specifier) }),
        ..DynamicModuleConfig::default()
    }
}

fn remote(module: &RemoteModule) -> RemoteDataSource {
    let RemoteModule { uri, cluster, sha256 } = module;
    let http_uri = HttpUri {
        uri: uri.clone(),
        timeout: Some(FETCH_TIMEOUT),
        http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.clone())),
    };
    RemoteDataSource { http_uri: Some(http_uri), sha256: sha256.clone(), ..RemoteDataSource::default() }
}
