//! The AI engine: a dynamic module of ours that Envoy loads as a filter of a cluster.

use ir::{Engine, ModuleSource, RemoteModule};
use proto::core::async_data_source::Specifier as AsyncSpecifier;
use proto::core::data_source::Specifier;
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{AsyncDataSource, DataSource, HttpUri, RemoteDataSource};
use proto::dynamic_module_filter::DynamicModuleFilter;
use proto::dynamic_modules::DynamicModuleConfig;
use proto::hcm::HttpFilter;
use proto::pack;
use proto::wkt::{Duration, StringValue};

use super::upstream_filter::filter as http_filter;

/// The name of the filter.
const NAME: &str = "chancery.ai";

/// The prefix of the engine's metrics, which makes the names that users of kgateway know: `ai_prompt_tokens_total`.
const METRICS_NAMESPACE: &str = "ai";

/// How long a fetch of the module may take. The next one begins when the cluster is sent again after that.
const FETCH_TIMEOUT: Duration = Duration { seconds: 10, nanos: 0 };

/// The filter of a cluster.
pub(super) fn filter(ir: &Engine) -> HttpFilter {
    let config = StringValue { value: ir.config.clone() };
    let filter = DynamicModuleFilter {
        dynamic_module_config: Some(module(&ir.module)),
        filter_name: "provider".to_owned(),
        filter_config: Some(pack(&config)),
        ..DynamicModuleFilter::default()
    };
    http_filter(NAME, &filter)
}

fn module(source: &ModuleSource) -> DynamicModuleConfig {
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
        // A module with threads of its own or destructors of its own could not be unloaded safely; ours has neither, but
        // metrics that are told after the last filter has gone are its own.
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
