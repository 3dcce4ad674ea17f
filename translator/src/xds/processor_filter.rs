//! The filter that has a service see requests and answers (`envoy.filters.http.ext_proc`).
//!
//! What the service may take its time for and may change can be said by the filter's own configuration alone, so that each
//! service is a branch of a [chosen filter](super::chosen_filter). What it sees stands in the route.

use ir::{BodyMode, GrpcServiceIr, MessageMode, Processing, Processor, RouteAfter};
use proto::core::TypedExtensionConfig;
use proto::ext_proc::ext_proc_per_route::Override;
use proto::ext_proc::external_processor::RouteCacheAction;
use proto::ext_proc::metadata_options::MetadataNamespaces;
use proto::ext_proc::processing_mode::{BodySendMode, HeaderSendMode};
use proto::ext_proc::{
    ExtProcOverrides, ExtProcPerRoute, ExternalProcessor, MetadataOptions, ProcessingMode,
};
use proto::mutation_rules::HeaderMutationRules;
use proto::route::Route;
use proto::wkt::Any;
use proto::{bool_value, duration, pack};

use super::chosen_filter::{self, Chosen};
use super::grpc_service::build_grpc_service;
use super::matcher::regex;

/// The filter, with what chooses the service. The key is not the name: under that one the filter keeps its own state of a request, and
/// ends Envoy if something else is there (seen in 1.40.0).
pub(super) const FILTER: Chosen = Chosen { name: "chancery.processor", key: "chancery.processor_service" };

/// How much of a body is held for a service that gets it as a whole: Envoy's own default for connections, of which ours hold
/// less.
const MAX_HELD_BYTES: u64 = 1024 * 1024;

/// The headers that no service may change: those that belong to a connection, and those that say under which name a request was
/// let in. Written as short as an Envoy with a bootstrap other than ours needs it, which takes no expression whose program is
/// larger than 100 (`e2e/tests/golden.rs`).
const FIXED_HEADERS: &str = "connection|http2[-_a-z]+|keep[-_a-z]+|proxy[-_]con[a-z]+|te|tra(il|ns)[-_a-z]+|upgrade|host|:(a|sc)[a-z]+";

/// The same with the length of a body. Who gets bodies as a whole has to say it; Envoy checks it against the new body.
const FIXED_HEADERS_AND_LENGTH: &str = "con(nection|tent[-_]le[a-z]+)|http2[-_a-z]+|keep[-_a-z]+|proxy[-_]con[a-z]+|te|tra(il|ns)[-_a-z]+|upgrade|host|:(a|sc)[a-z]+";

/// What a route says beside the name of the service.
pub(super) fn processing(ir: &Processing, route: &mut Route) -> Any {
    if [ir.mode.request, ir.mode.response].iter().any(is_held) {
        hold(route);
    }
    let overrides =
        ExtProcOverrides { processing_mode: Some(build_mode(ir.mode)), ..ExtProcOverrides::default() };
    pack(&ExtProcPerRoute { r#override: Some(Override::Overrides(overrides)) })
}

/// The filter that listeners name.
pub(super) fn extension<'a>(services: impl IntoIterator<Item = &'a Processor>) -> TypedExtensionConfig {
    let branches = services.into_iter().map(|service| {
        (service.name.to_string(), "envoy.filters.http.ext_proc", pack(&build_filter(service)))
    });
    chosen_filter::extension(FILTER, branches)
}

fn build_filter(ir: &Processor) -> ExternalProcessor {
    let service = GrpcServiceIr::plain(ir.cluster.clone(), ir.authority.clone(), None);
    let action = match ir.route {
        RouteAfter::AsAnswered => RouteCacheAction::Default,
        RouteAfter::ChosenAgain => RouteCacheAction::Clear,
        RouteAfter::Kept => RouteCacheAction::Retain,
    };
    let namespaces =
        MetadataNamespaces { untyped: ir.untyped_metadata.clone(), typed: ir.typed_metadata.clone() };
    let is_forwarding = namespaces != MetadataNamespaces::default();
    ExternalProcessor {
        grpc_service: Some(build_grpc_service(&service)),
        failure_mode_allow: ir.fails_open,
        processing_mode: Some(build_mode(ir.mode)),
        message_timeout: Some(duration(ir.message_timeout)),
        max_message_timeout: ir.max_message_timeout.map(duration),
        stat_prefix: ir.stat_prefix.clone().unwrap_or_default(),
        mutation_rules: Some(changeable_headers(ir)),
        allow_mode_override: ir.other_modes.is_some(),
        allowed_override_modes: ir.other_modes.iter().flatten().copied().map(build_mode).collect(),
        metadata_options: is_forwarding.then(|| MetadataOptions {
            forwarding_namespaces: Some(namespaces),
            ..MetadataOptions::default()
        }),
        route_cache_action: action.into(),
        ..ExternalProcessor::default()
    }
}

/// What a service may change. What it does beyond is left out.
fn changeable_headers(ir: &Processor) -> HeaderMutationRules {
    let fixed = if ir.sets_lengths { FIXED_HEADERS } else { FIXED_HEADERS_AND_LENGTH };
    HeaderMutationRules {
        // The method, where the route is chosen by it afterwards.
        allow_all_routing: Some(bool_value(ir.route != RouteAfter::Kept)),
        disallow_expression: Some(regex(fixed.to_owned())),
        ..HeaderMutationRules::default()
    }
}

fn build_mode(ir: ir::ProcessingMode) -> ProcessingMode {
    let send = |is_sent: bool| if is_sent { HeaderSendMode::Send } else { HeaderSendMode::Skip }.into();
    let body = |message: MessageMode| match message.body {
        BodyMode::None => BodySendMode::None,
        BodyMode::Streamed => BodySendMode::Streamed,
        BodyMode::Whole => BodySendMode::Buffered,
        BodyMode::Beginning => BodySendMode::BufferedPartial,
        BodyMode::FullDuplex => BodySendMode::FullDuplexStreamed,
    };
    let ir::ProcessingMode { request, response } = ir;
    ProcessingMode {
        request_header_mode: send(request.headers),
        response_header_mode: send(response.headers),
        request_body_mode: body(request).into(),
        response_body_mode: body(response).into(),
        request_trailer_mode: send(request.trailers),
        response_trailer_mode: send(response.trailers),
    }
}

fn is_held(message: &MessageMode) -> bool {
    matches!(message.body, BodyMode::Whole | BodyMode::Beginning)
}

/// Has so much of a body held as a service may want.
fn hold(route: &mut Route) {
    let limit = route.request_body_buffer_limit.get_or_insert_default();
    limit.value = limit.value.max(MAX_HELD_BYTES);
}

#[cfg(test)]
mod tests {
    use super::{FIXED_HEADERS, FIXED_HEADERS_AND_LENGTH};

    #[test]
    fn any_envoy_takes_the_expressions() {
        for expression in [FIXED_HEADERS, FIXED_HEADERS_AND_LENGTH] {
            assert!(re2_syntax::check(expression, 100).is_ok(), "{expression}");
        }
    }
}
