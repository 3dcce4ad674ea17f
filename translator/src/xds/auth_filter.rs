//! The filter that asks a service whether a request may pass, `envoy.filters.http.ext_authz`.
//!
//! Much of what there is to say about a service can be said by the filter's own configuration alone (what happens if the
//! service is away, which headers it gets), so that each service is a branch of a [chosen filter](super::chosen_filter). What
//! differs from route to route (how much of the body is sent, what is told beside) stands in the route.

use ir::{AnswerHeaders, AuthBody, AuthProtocol, AuthQuestion, AuthService, GrpcServiceIr, HttpAuth};
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{ApiVersion, GrpcService, HeaderValue, HttpUri, TypedExtensionConfig};
use proto::ext_authz::ext_authz::Services;
use proto::ext_authz::ext_authz_per_route::Override;
use proto::ext_authz::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, CheckSettings, ExtAuthz, ExtAuthzPerRoute,
    HttpService,
};
use proto::matcher::{ListStringMatcher, StringMatcher};
use proto::mutation_rules::HeaderMutationRules;
use proto::types::{HttpStatus, StatusCode};
use proto::wkt::Any;
use proto::xds_matcher::matcher::OnMatch;
use proto::{bool_value, duration, pack};

use super::chosen_filter::{self, Chosen};
use super::grpc_service::build_grpc_service;
use super::header::literal_format;
use super::matcher::{FRACTION_DENOMINATOR, exact, regex, regex_matcher, runtime_fraction};
use super::token_filter;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.external_auth";

/// The same with what chooses the service.
pub(super) const FILTER: Chosen = Chosen { name: NAME, key: "chancery.auth_service" };

/// The headers that no service may change: whoever changes those that frame messages ends one early, so that the rest of a
/// body becomes a request of its own; and a request is not to be served under another name than it was let in by. An Envoy
/// with a bootstrap other than ours takes no expression whose program is larger than 100 (`e2e/tests/golden.rs`), which leaves no
/// room to write all of them out.
const FIXED_HEADERS: &str = "con(nection|tent[-_]le[a-z]+)|http2[-_a-z]+|keep[-_a-z]+|proxy[-_]con[a-z]+|te|tra(il|ns)[-_a-z]+|upgrade|host|:[as][a-z]+";

/// Whether Envoy knows a status of answers: it refuses a filter that has another one.
pub(crate) fn is_known_status(status: u16) -> bool {
    StatusCode::try_from(i32::from(status)).is_ok_and(|status| status != StatusCode::Empty)
}

/// What a route says beside the name of the service.
pub(super) fn question(ir: &AuthQuestion) -> Any {
    let settings = CheckSettings {
        context_extensions: ir.context.clone().into_iter().collect(),
        with_request_body: ir.body.map(body),
        ..CheckSettings::default()
    };
    pack(&ExtAuthzPerRoute { r#override: Some(Override::CheckSettings(settings)) })
}

/// The filter that listeners name.
pub(super) fn extension<'a>(services: impl IntoIterator<Item = &'a AuthService>) -> TypedExtensionConfig {
    let branches = services.into_iter().map(|service| {
        (service.name.to_string(), "envoy.filters.http.ext_authz", pack(&build_filter(service, None)))
    });
    chosen_filter::extension(FILTER, branches)
}

/// A branch that asks a service.
pub(super) fn ask(filter: &ExtAuthz) -> OnMatch {
    chosen_filter::execute("envoy.filters.http.ext_authz", pack(filter))
}

/// The filter that asks a service. Where routes say how much of bodies is sent, `sent` is absent.
pub(super) fn build_filter(ir: &AuthService, sent: Option<AuthBody>) -> ExtAuthz {
    let as_bytes = BufferSettings { max_request_bytes: 1, pack_as_bytes: true, ..BufferSettings::default() };
    ExtAuthz {
        transport_api_version: ApiVersion::V3.into(),
        services: Some(match &ir.protocol {
            AuthProtocol::Grpc(authority) => Services::GrpcService(grpc_service(ir, authority)),
            AuthProtocol::Http(http) => Services::HttpService(http_service(ir, http)),
        }),
        failure_mode_allow: ir.fails_open,
        clear_route_cache: ir.chooses_route,
        status_on_error: Some(HttpStatus { code: ir.status_on_error.into() }),
        allowed_headers: any_of(&ir.headers),
        // A route can say how much is sent, but not this.
        with_request_body: sent.map(body).or(ir.bodies_as_bytes.then_some(as_bytes)),
        stat_prefix: ir.stat_prefix.clone().unwrap_or_default(),
        filter_enabled: (ir.percentage < 100)
            .then(|| runtime_fraction(ir.percentage * (FRACTION_DENOMINATOR / 100))),
        // What tokens say.
        metadata_context_namespaces: vec![token_filter::METADATA_NAMESPACE.to_owned()],
        // A name or value that is none is answered with 500, and does not get into requests.
        validate_mutations: true,
        decoder_header_mutation_rules: Some(changeable_headers(ir.chooses_route)),
        ..ExtAuthz::default()
    }
}

/// What a service may change in a request. What it does beyond is left out.
fn changeable_headers(chooses_route: bool) -> HeaderMutationRules {
    HeaderMutationRules {
        // Path and method, where the route is chosen by them afterwards.
        allow_all_routing: Some(bool_value(chooses_route)),
        disallow_system: Some(bool_value(!chooses_route)),
        disallow_expression: Some(regex(FIXED_HEADERS.to_owned())),
        ..HeaderMutationRules::default()
    }
}

fn grpc_service(ir: &AuthService, authority: &str) -> GrpcService {
    let service = GrpcServiceIr::plain(ir.cluster.clone(), authority.to_owned(), Some(ir.timeout));
    build_grpc_service(&service)
}

fn http_service(ir: &AuthService, http: &HttpAuth) -> HttpService {
    let added = http.added.iter().map(|(key, value)| HeaderValue {
        key: key.clone(),
        value: literal_format(value),
        ..HeaderValue::default()
    });
    let to_backend = match &http.to_backend {
        AnswerHeaders::Named(names) => any_of(names),
        AnswerHeaders::All => Some(ListStringMatcher { patterns: vec![regex_matcher(".*".to_owned())] }),
    };
    HttpService {
        server_uri: Some(HttpUri {
            // Envoy wants one, and asks for the client's path at the client's host.
            uri: "http://external-auth".to_owned(),
            timeout: Some(duration(ir.timeout)),
            http_upstream_type: Some(HttpUpstreamType::Cluster(ir.cluster.to_string())),
        }),
        path_prefix: http.path_prefix.clone(),
        authorization_request: Some(AuthorizationRequest {
            headers_to_add: added.collect(),
            ..AuthorizationRequest::default()
        }),
        authorization_response: Some(AuthorizationResponse {
            allowed_upstream_headers: to_backend,
            allowed_client_headers: any_of(&http.to_client),
            allowed_client_headers_on_success: any_of(&http.to_client_on_success),
            ..AuthorizationResponse::default()
        }),
        ..HttpService::default()
    }
}

/// Names of headers; absent is Envoy's own choice.
fn any_of(names: &[String]) -> Option<ListStringMatcher> {
    let ignoring_case = |name: &String| StringMatcher { ignore_case: true, ..exact(name) };
    (!names.is_empty()).then(|| ListStringMatcher { patterns: names.iter().map(ignoring_case).collect() })
}

fn body(ir: AuthBody) -> BufferSettings {
    let AuthBody { max_bytes, is_partial_allowed } = ir;
    BufferSettings {
        max_request_bytes: max_bytes,
        allow_partial_message: is_partial_allowed,
        ..BufferSettings::default()
    }
}
