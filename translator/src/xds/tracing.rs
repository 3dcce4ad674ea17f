//! Traces: Envoy's OpenTelemetry tracer in the connection manager, with the attributes of OpenTelemetry's conventions for
//! generative AI (https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/).

use ir::{SpanExport, TracingIr};
use prost::Name;
use proto::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{GrpcService, HttpService, HttpUri, TypedExtensionConfig};
use proto::hcm::http_connection_manager::Tracing;
use proto::metadata::metadata_key::{PathSegment, path_segment::Segment};
use proto::metadata::{MetadataKey, MetadataKind, metadata_kind};
use proto::otel_samplers::{ParentBasedSamplerConfig, TraceIdRatioBasedSamplerConfig};
use proto::trace::tracing::http;
use proto::trace::{OpenTelemetryConfig, tracing::Http};
use proto::tracing::{CustomTag, custom_tag};
use proto::types::FractionalPercent;
use proto::types::fractional_percent::DenominatorType;
use proto::{bool_value, duration, pack};

/// Where the AI engine writes what an attempt has come to.
const RESULTS: &str = "ai.kgateway.io";

/// Attributes of spans that are texts or lists, by what the engine calls them. Of a request that is none to an AI backend, none
/// is there.
const TEXTS: [(&str, &str); 7] = [
    ("gen_ai.operation.name", "operation"),
    ("gen_ai.provider.name", "provider_name"),
    // What the conventions called it before.
    ("gen_ai.system", "provider_name"),
    ("gen_ai.request.model", "model"),
    ("gen_ai.response.model", "provider_model"),
    ("gen_ai.response.finish_reasons", "finish_reasons"),
    ("error.type", "error_type"),
];

/// The same of counts. Envoy writes numbers of metadata with six digits, but not if they pass through a format.
const COUNTS: [(&str, &str); 3] = [
    ("gen_ai.usage.input_tokens", "prompt_tokens"),
    ("gen_ai.usage.output_tokens", "completion_tokens"),
    ("gen_ai.usage.reasoning_tokens", "reasoning_tokens"),
];

/// The key of filter state under which the URL of the client's request stands.
pub(super) const URL_KEY: &str = "chancery.client/url";

/// The URL of the client's request, when it arrives: without its query, in which some clients send their key.
pub(super) const URL: &str = "%REQ(:SCHEME)%://%REQ(:AUTHORITY)%%PATH(NQ:PATH)%";

pub(super) fn build_tracing(ir: &TracingIr) -> Tracing {
    // It stands in place of Envoy's own, which is that of the request to the backend, and has the query.
    let url = formatted("http.url", format!("%FILTER_STATE({URL_KEY}:PLAIN)%"));
    let counts =
        COUNTS.iter().map(|(tag, key)| formatted(tag, format!("%DYNAMIC_METADATA({RESULTS}:{key})%")));
    let attributes = TEXTS.iter().map(|(tag, key)| attribute(tag, key)).chain(counts);
    Tracing {
        // A gateway is a hop of its own: one span for the request, one for each attempt at a backend.
        spawn_upstream_span: Some(bool_value(true)),
        // Where the engine says nothing, Envoy's own name stays.
        upstream_operation: format!("%DYNAMIC_METADATA({RESULTS}:span_name)%"),
        custom_tags: attributes.chain([url]).collect(),
        provider: Some(Http {
            name: "envoy.tracers.opentelemetry".to_owned(),
            config_type: Some(http::ConfigType::TypedConfig(pack(&tracer(ir)))),
        }),
        ..Tracing::default()
    }
}

fn formatted(tag: &str, format: String) -> CustomTag {
    CustomTag { tag: tag.to_owned(), r#type: Some(custom_tag::Type::Value(format)) }
}

fn attribute(tag: &str, key: &str) -> CustomTag {
    let path = vec![PathSegment { segment: Some(Segment::Key(key.to_owned())) }];
    let metadata = custom_tag::Metadata {
        kind: Some(MetadataKind { kind: Some(metadata_kind::Kind::Request(metadata_kind::Request {})) }),
        metadata_key: Some(MetadataKey { key: RESULTS.to_owned(), path }),
        ..custom_tag::Metadata::default()
    };
    CustomTag { tag: tag.to_owned(), r#type: Some(custom_tag::Type::Metadata(metadata)) }
}

fn tracer(ir: &TracingIr) -> OpenTelemetryConfig {
    let (grpc_service, http_service) = match &ir.export {
        SpanExport::Grpc(authority) => (Some(grpc_service(ir, authority)), None),
        SpanExport::Http(url) => (None, Some(http_service(ir, url))),
    };
    OpenTelemetryConfig {
        grpc_service,
        http_service,
        service_name: ir.service_name.clone(),
        sampler: Some(sampler(ir)),
        ..OpenTelemetryConfig::default()
    }
}

fn grpc_service(ir: &TracingIr, authority: &str) -> GrpcService {
    let target = EnvoyGrpc {
        cluster_name: ir.collector.to_string(),
        // It would be the name of the cluster, which is none of a host, so that servers refuse it.
        authority: authority.to_owned(),
        ..EnvoyGrpc::default()
    };
    GrpcService {
        timeout: Some(duration(ir.timeout)),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)),
        ..GrpcService::default()
    }
}

fn http_service(ir: &TracingIr, url: &str) -> HttpService {
    let uri = HttpUri {
        uri: url.to_owned(),
        timeout: Some(duration(ir.timeout)),
        http_upstream_type: Some(HttpUpstreamType::Cluster(ir.collector.to_string())),
    };
    HttpService { http_uri: Some(uri), ..HttpService::default() }
}

fn sampler(ir: &TracingIr) -> TypedExtensionConfig {
    let ratio = TraceIdRatioBasedSamplerConfig {
        sampling_percentage: Some(FractionalPercent {
            numerator: ir.per_million,
            denominator: DenominatorType::Million.into(),
        }),
    };
    let ratio = extension("trace_id_ratio_based", &ratio);
    match ir.follows_client {
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
