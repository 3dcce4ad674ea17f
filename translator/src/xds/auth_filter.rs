//! The filter that asks a service whether a request may pass, `envoy.filters.http.ext_authz`.
//!
//! Much of what there is to say about a service can be said by the filter's own configuration alone (what happens if the
//! service is away, which headers it gets), so that a route cannot carry it, and each service needs a filter of its own. They
//! are the branches of one filter of each Gateway, which stands in every listener, comes apart from it (ECDS) and is
//! disabled but for the routes that ask. A branch is chosen by the name of the service (`envoy.filters.http.composite`). That
//! name is a text in the request's filter state, which the filter before it writes as the route has it; no client has a
//! part in it. What differs from route to route (how much of the body is sent, what is told beside) stands in the route.
//!
//! A service that the filter does not know is answered with 500: a route never passes unasked because its table came before
//! the filter, or because a proxy has refused the filter.

use std::collections::HashMap;

use ir::{AnswerHeaders, AuthBody, AuthProtocol, AuthQuestion, AuthService, GrpcServiceIr, HttpAuth};
use proto::composite::{Composite, ExecuteFilterAction};
use proto::core::http_uri::HttpUpstreamType;
use proto::core::{ApiVersion, GrpcService, HeaderValue, HttpUri, TypedExtensionConfig};
use proto::ext_authz::ext_authz::Services;
use proto::ext_authz::ext_authz_per_route::Override;
use proto::ext_authz::{
    AuthorizationRequest, AuthorizationResponse, BufferSettings, CheckSettings, ExtAuthz, ExtAuthzPerRoute,
    HttpService,
};
use proto::hcm::HttpFilter;
use proto::http_rbac::Rbac;
use proto::matcher::{ListStringMatcher, StringMatcher};
use proto::mutation_rules::HeaderMutationRules;
use proto::network_inputs::FilterStateInput;
use proto::set_filter_state::Config as SetFilterState;
use proto::types::{HttpStatus, StatusCode};
use proto::wkt::Any;
use proto::xds_core::TypedExtensionConfig as MatchExtension;
use proto::xds_matcher::Matcher;
use proto::xds_matcher::matcher::matcher_tree::{MatchMap, TreeType};
use proto::xds_matcher::matcher::on_match::OnMatch as OnMatchKind;
use proto::xds_matcher::matcher::{MatcherTree, MatcherType, OnMatch};
use proto::{bool_value, duration, pack};

use super::discovered::{answer_500, discovered_filter};
use super::filter_state::written;
use super::grpc_service::build_grpc_service;
use super::header::literal_format;
use super::matcher::{FRACTION_DENOMINATOR, exact, regex, regex_matcher, runtime_fraction};
use super::token_filter;

/// The name of the filter.
pub(super) const NAME: &str = "chancery.external_auth";

/// The name of the filter before it, which notes whom the route has asked.
pub(super) const SERVICE: &str = "chancery.auth_service";

/// The value for a request whose route has nobody asked, and which passes. It is the name of no service.
const NOBODY: &str = "nobody";

/// The headers that no service may change: whoever changes those that frame messages ends one early, so that the rest of a
/// body becomes a request of its own; and a request is not to be served under another name than it was let in by. An Envoy
/// with a bootstrap other than ours takes no expression whose program is larger than 100 (`e2e/tests/golden.rs`), which leaves no
/// room to write all of them out.
const FIXED_HEADERS: &str = "con(nection|tent[-_]le[a-z]+)|http2[-_a-z]+|keep[-_a-z]+|proxy[-_]con[a-z]+|te|tra(il|ns)[-_a-z]+|upgrade|host|:[as][a-z]+";

/// Whether Envoy knows a status of answers: it refuses a filter that has another one.
pub(crate) fn is_known_status(status: u16) -> bool {
    StatusCode::try_from(i32::from(status)).is_ok_and(|status| status != StatusCode::Empty)
}

/// The filter as it stands in a listener.
pub(super) fn listener_filter() -> HttpFilter {
    discovered_filter::<Composite>(NAME)
}

/// What the filter before it does for a route that says nothing.
pub(super) fn nobody_is_asked() -> Any {
    note(NOBODY)
}

/// What a route says to both filters.
pub(super) fn question(ir: &AuthQuestion) -> [(String, Any); 2] {
    let settings = CheckSettings {
        context_extensions: ir.context.clone().into_iter().collect(),
        with_request_body: ir.body.map(body),
        ..CheckSettings::default()
    };
    let route = ExtAuthzPerRoute { r#override: Some(Override::CheckSettings(settings)) };
    [(SERVICE.to_owned(), note(ir.service.as_str())), (NAME.to_owned(), pack(&route))]
}

/// The filter that listeners name.
pub(super) fn extension<'a>(services: impl IntoIterator<Item = &'a AuthService>) -> TypedExtensionConfig {
    let nobody = (NOBODY.to_owned(), execute("envoy.filters.http.rbac", pack(&Rbac::default())));
    let services =
        services.into_iter().map(|service| (service.name.to_string(), ask(&build_filter(service, None))));
    chosen_by(SERVICE, NAME, services.chain([nobody]))
}

/// A filter of that name that does what the branch does which is named by the request's filter state under that key, and
/// answers 500 if there is no such branch.
pub(super) fn chosen_by(
    key: &str,
    name: &str,
    branches: impl IntoIterator<Item = (String, OnMatch)>,
) -> TypedExtensionConfig {
    let map: HashMap<_, _> = branches.into_iter().collect();
    let has_branches = !map.is_empty();
    let tree = MatcherTree {
        input: Some(MatchExtension {
            name: "service".to_owned(),
            typed_config: Some(pack(&FilterStateInput {
                key: key.to_owned(),
                ..FilterStateInput::default()
            })),
        }),
        tree_type: Some(TreeType::ExactMatchMap(MatchMap { map })),
    };
    let matcher = Matcher {
        // Envoy takes no tree without branches.
        matcher_type: has_branches.then_some(MatcherType::MatcherTree(tree)),
        on_no_match: Some(Box::new(execute("envoy.filters.http.fault", pack(&answer_500())))),
    };
    let filter = Composite { matcher: Some(matcher), ..Composite::default() };
    TypedExtensionConfig { name: name.to_owned(), typed_config: Some(pack(&filter)) }
}

/// A branch that asks a service.
pub(super) fn ask(filter: &ExtAuthz) -> OnMatch {
    execute("envoy.filters.http.ext_authz", pack(filter))
}

/// Writes the name of a service into the filter state of the request.
fn note(service: &str) -> Any {
    note_under(SERVICE, service)
}

/// Writes a text into the filter state of the request.
pub(super) fn note_under(key: &str, text: &str) -> Any {
    let value = written(key.to_owned(), literal_format(text));
    pack(&SetFilterState { on_request_headers: vec![value], ..SetFilterState::default() })
}

/// A branch that does what a filter does.
fn execute(name: &str, config: Any) -> OnMatch {
    let filter = TypedExtensionConfig { name: name.to_owned(), typed_config: Some(config) };
    let action = ExecuteFilterAction { typed_config: Some(filter), ..ExecuteFilterAction::default() };
    let action = MatchExtension { name: "filter".to_owned(), typed_config: Some(pack(&action)) };
    OnMatch { on_match: Some(OnMatchKind::Action(action)), ..OnMatch::default() }
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
