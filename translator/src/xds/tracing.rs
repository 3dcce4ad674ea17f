//! Traces: Envoy's OpenTelemetry tracer in the connection manager, with the attributes of OpenTelemetry's conventions for
//! generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).

use std::collections::BTreeMap;
use std::time::Duration;

use ir::{ClusterName, MetadataOf, SpanAttribute, SpanExport, SpanSampler, SpanValue, TracingIr};
use prost::Name;
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{HttpService, HttpUri, TypedExtensionConfig};
use proto::hcm::http_connection_manager::Tracing;
use proto::metadata::metadata_key::{PathSegment, path_segment::Segment};
use proto::metadata::{MetadataKey, MetadataKind, metadata_kind};
use proto::otel_resource_detectors::EnvironmentResourceDetectorConfig;
use proto::otel_samplers::{AlwaysOnSamplerConfig, ParentBasedSamplerConfig, TraceIdRatioBasedSamplerConfig};
use proto::trace::tracing::http;
use proto::trace::{OpenTelemetryConfig, tracing::Http};
use proto::tracing::{CustomTag, custom_tag};
use proto::types::fractional_percent::DenominatorType;
use proto::types::{FractionalPercent, Percent};
use proto::{bool_value, duration, pack};

use super::grpc_service::build_grpc_service;

/// Where the AI engine writes what an attempt has come to.
const RESULTS: &str = "ai.kgateway.io";

/// Attributes of spans that are texts or lists, by what the engine calls them. Of a request that is none to an AI backend, none
/// is there.
const TEXTS: [(&str, &str); 8] = [
    ("gen_ai.operation.name", "operation"),
    ("gen_ai.provider.name", "provider_name"),
    // What the conventions called it before.
    ("gen_ai.system", "provider_name"),
    ("gen_ai.request.model", "model"),
    ("gen_ai.response.model", "provider_model"),
    ("gen_ai.response.finish_reasons", "finish_reasons"),
    // In US dollars. The conventions have no attribute for money.
    ("gen_ai.usage.cost", "cost"),
    ("error.type", "error_type"),
];

/// The same of counts. Envoy writes numbers of metadata with six digits, but not if they pass through a format.
const COUNTS: [(&str, &str); 3] = [
    ("gen_ai.usage.input_tokens", "prompt_tokens"),
    ("gen_ai.usage.output_tokens", "completion_tokens"),
    ("gen_ai.usage.reasoning_tokens", "reasoning_tokens"),
];

/// The key of filter state under which the URL of the client's request stands.
pub(super) const URL_KEY: &str = "chancery.request/url";

/// The URL of the client's request, when it arrives: without its query, in which some clients send their key.
pub(super) fn url_format(ir: &TracingIr) -> String {
    let length = ir.max_path_bytes.map(|bytes| format!(":{bytes}")).unwrap_or_default();
    format!("%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ:PATH){length}%")
}

pub(super) fn build_tracing(ir: &TracingIr) -> Tracing {
    // It stands in place of Envoy's own, which is that of the request to the backend, and has the query.
    let url = formatted_tag("http.url", format!("%FILTER_STATE({URL_KEY}:PLAIN)%"));
    let counts =
        COUNTS.iter().map(|(tag, key)| formatted_tag(tag, format!("%DYNAMIC_METADATA({RESULTS}:{key})%")));
    let results = TEXTS
        .iter()
        .map(|(tag, key)| tag_of(tag, metadata(MetadataOf::Request, RESULTS, &[(*key).to_owned()], "")));
    // What a policy says goes before what we say: Envoy keeps the last one of a name.
    let own = ir.attributes.iter().map(build_attribute);
    let mut tags: BTreeMap<String, CustomTag> = BTreeMap::new();
    for tag in results.chain(counts).chain([url]).chain(own) {
        tags.insert(tag.tag.clone(), tag);
    }
    Tracing {
        client_sampling: ir.shares.client.map(percent),
        random_sampling: ir.shares.random.map(percent),
        overall_sampling: ir.shares.overall.map(percent),
        verbose: ir.is_verbose,
        spawn_upstream_span: Some(bool_value(ir.has_attempts)),
        // Where the engine says nothing, Envoy's own name stays.
        upstream_operation: format!("%DYNAMIC_METADATA({RESULTS}:span_name)%"),
        custom_tags: tags.into_values().collect(),
        provider: Some(Http {
            name: "envoy.tracers.opentelemetry".to_owned(),
            config_type: Some(http::ConfigType::TypedConfig(pack(&tracer(ir)))),
        }),
        ..Tracing::default()
    }
}

fn percent(share: u8) -> Percent {
    Percent { value: f64::from(share) }
}

/// A tag whose value is in Envoy's language of formats.
pub(super) fn formatted_tag(name: &str, format: String) -> CustomTag {
    tag_of(name, custom_tag::Type::Value(format))
}

fn tag_of(name: &str, value: custom_tag::Type) -> CustomTag {
    CustomTag { tag: name.to_owned(), r#type: Some(value) }
}

fn build_attribute(ir: &SpanAttribute) -> CustomTag {
    let value = match &ir.value {
        SpanValue::Literal(text) => custom_tag::Type::Literal(custom_tag::Literal { value: text.clone() }),
        SpanValue::Environment { name, default } => custom_tag::Type::Environment(custom_tag::Environment {
            name: name.clone(),
            default_value: default.clone(),
        }),
        SpanValue::Header(header) => {
            custom_tag::Type::Value(format!("%FILTER_STATE({}:PLAIN)%", header.state_key()))
        }
        SpanValue::Metadata { of, namespace, path, default } => metadata(*of, namespace, path, default),
    };
    tag_of(&ir.name, value)
}

fn metadata(of: MetadataOf, namespace: &str, path: &[String], default: &str) -> custom_tag::Type {
    let kind = match of {
        MetadataOf::Request => metadata_kind::Kind::Request(metadata_kind::Request {}),
        MetadataOf::Route => metadata_kind::Kind::Route(metadata_kind::Route {}),
        MetadataOf::Cluster => metadata_kind::Kind::Cluster(metadata_kind::Cluster {}),
        MetadataOf::Host => metadata_kind::Kind::Host(metadata_kind::Host {}),
    };
    let path = path.iter().map(|key| PathSegment { segment: Some(Segment::Key(key.clone())) });
    custom_tag::Type::Metadata(custom_tag::Metadata {
        kind: Some(MetadataKind { kind: Some(kind) }),
        metadata_key: Some(MetadataKey { key: namespace.to_owned(), path: path.collect() }),
        default_value: default.to_owned(),
    })
}

fn tracer(ir: &TracingIr) -> OpenTelemetryConfig {
    let (grpc_service, http_service) = match &ir.export {
        SpanExport::Grpc(service) => (Some(build_grpc_service(service)), None),
        SpanExport::Http { cluster, url, timeout } => (None, Some(http_service(cluster, url, *timeout))),
    };
    let environment = ir.tells_environment.then(|| TypedExtensionConfig {
        name: "envoy.tracers.opentelemetry.resource_detectors.environment".to_owned(),
        typed_config: Some(pack(&EnvironmentResourceDetectorConfig {})),
    });
    OpenTelemetryConfig {
        grpc_service,
        http_service,
        service_name: ir.service_name.clone(),
        resource_detectors: environment.into_iter().collect(),
        sampler: ir.sampler.map(sampler),
        ..OpenTelemetryConfig::default()
    }
}

fn http_service(cluster: &ClusterName, url: &str, timeout: Duration) -> HttpService {
    let uri = HttpUri {
        uri: url.to_owned(),
        timeout: Some(duration(timeout)),
        http_upstream_type: Some(HttpUpstreamType::Cluster(cluster.to_string())),
    };
    HttpService { http_uri: Some(uri), ..HttpService::default() }
}

fn sampler(ir: SpanSampler) -> TypedExtensionConfig {
    let (follows_client, per_million) = match ir {
        SpanSampler::All => return extension("always_on", &AlwaysOnSamplerConfig {}),
        SpanSampler::Share { follows_client, per_million } => (follows_client, per_million),
    };
    let ratio = TraceIdRatioBasedSamplerConfig {
        sampling_percentage: Some(FractionalPercent {
            numerator: per_million,
            denominator: DenominatorType::Million.into(),
        }),
    };
    let ratio = extension("trace_id_ratio_based", &ratio);
    match follows_client {
        true => extension("parent_based", &ParentBasedSamplerConfig { wrapped_sampler: Some(ratio) }),
        false => ratio,
    }
}

fn extension<M: Name>(name: &str, config: &M) -> TypedExtensionConfig {
    TypedExtensionConfig {
        name: format!("envoy.tracers.opentelemetry.samplers.{name}"),
        typed_config: Some(pack(config)),
    }
}
