//! The AI engine: a dynamic module of ours that Envoy loads as a filter of a cluster.

use ir::{Engine, ModuleSource};
use proto::core::async_data_source::Specifier as AsyncSpecifier;
use proto::core::data_source::Specifier;
use proto::core::{AsyncDataSource, DataSource};
use proto::dynamic_module_filter::DynamicModuleFilter;
use proto::dynamic_modules::DynamicModuleConfig;
use proto::hcm::HttpFilter;
use proto::pack;
use proto::wkt::StringValue;

use super::upstream_filter::filter as http_filter;

/// The name of the filter.
const NAME: &str = "chancery.ai";

/// The prefix of the engine's metrics, which makes the names that users of kgateway know: `ai_prompt_tokens_total`.
const METRICS_NAMESPACE: &str = "ai";

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
    let ModuleSource::File(path) = source;
    let file = DataSource { specifier: Some(Specifier::Filename(path.clone())), ..DataSource::default() };
    DynamicModuleConfig {
        // The name by which Envoy's log knows it.
        name: "chancery_ai".to_owned(),
        // A module with threads of its own or destructors of its own could not be unloaded safely; ours has neither, but
        // metrics that are told after the last filter has gone are its own.
        do_not_close: true,
        metrics_namespace: METRICS_NAMESPACE.to_owned(),
        module: Some(AsyncDataSource { specifier: Some(AsyncSpecifier::Local(file)) }),
        ..DynamicModuleConfig::default()
    }
}
