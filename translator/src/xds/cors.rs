//! Cross-origin resource sharing, by routes alone: a listener has no part in it, and every kind of route can have it.
//!
//! The routes of one match of a rule become, in the order in which they are tried:
//!
//! ```text
//! OPTIONS, Origin allowed, Access-Control-Request-Method ──► 204, what is allowed    preflight requests
//! OPTIONS, Origin, Access-Control-Request-Method ──────────► 204                     those of other origins
//! match, Origin allowed ───────────────────────────────────► as without CORS, the answer tells what is allowed
//! match ───────────────────────────────────────────────────► as without CORS
//! ```
//!
//! Envoy's own filter would tell pages of other origins what is allowed to others, and pass over routes that redirect or
//! answer themselves. What a backend says about CORS is taken from its answers.

use ir::{Cors, NameList, Origins, RouteIr};
use proto::route::{HeaderMatcher, Route, RouteMatch};

use super::header::HeaderEdits;
use super::local_route::direct_response;
use super::matcher::{build_match, exact, header_fits, header_matcher, header_present};

/// The answer to a preflight request.
const PREFLIGHT: ir::DirectResponse = ir::DirectResponse::empty(204);

const ORIGIN: &str = "origin";
const REQUEST_METHOD: &str = "access-control-request-method";
const REQUEST_HEADERS: &str = "access-control-request-headers";
const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
const ALLOW_METHODS: &str = "access-control-allow-methods";
const ALLOW_HEADERS: &str = "access-control-allow-headers";
const EXPOSE_HEADERS: &str = "access-control-expose-headers";
const MAX_AGE: &str = "access-control-max-age";

/// The headers of answers that are the gateway's.
const OWN_HEADERS: [&str; 6] =
    [ALLOW_ORIGIN, ALLOW_CREDENTIALS, ALLOW_METHODS, ALLOW_HEADERS, EXPOSE_HEADERS, MAX_AGE];

/// The routes of a rule's match with its CORS, if it has one: those that answer preflight requests, and the others.
pub(super) fn with_cors(ir: &RouteIr, routes: Vec<Route>) -> (Vec<Route>, Vec<Route>) {
    let Some(cors) = &ir.cors else { return (Vec::new(), routes) };
    let origins = allowed_origins(&cors.origins);
    let allowed = origins.iter().enumerate();
    let preflight = allowed.clone().map(|(part, origin)| allowed_preflight(ir, cors, part, origin.clone()));
    let preflight = preflight.chain([refused_preflight(ir)]).collect();
    let with_origin = |(part, origin): (usize, &HeaderMatcher)| {
        let of_origin = |route: &Route| of_allowed_origin(ir, cors, part, origin, route);
        routes.iter().map(of_origin).collect::<Vec<_>>()
    };
    let of_others = routes.iter().map(|route| of_any_origin(cors, route));
    let others = allowed.flat_map(with_origin).chain(of_others).collect();
    (preflight, others)
}

/// Matchers of which one fits where the origin is allowed.
fn allowed_origins(ir: &Origins) -> Vec<HeaderMatcher> {
    match ir {
        Origins::Any => vec![header_present(ORIGIN, true)],
        Origins::Matching(patterns) => patterns.iter().map(|pattern| header_fits(ORIGIN, pattern)).collect(),
    }
}

fn allowed_preflight(ir: &RouteIr, cors: &Cors, part: usize, origin: HeaderMatcher) -> Route {
    let mut edits = HeaderEdits::default();
    allow(cors, &mut edits);
    list(&cors.methods, cors.credentials, ALLOW_METHODS, Some(REQUEST_METHOD), &mut edits);
    list(&cors.headers, cors.credentials, ALLOW_HEADERS, Some(REQUEST_HEADERS), &mut edits);
    edits.set(MAX_AGE, &cors.max_age.to_string());
    preflight(ir, Some(part), origin, edits)
}

fn refused_preflight(ir: &RouteIr) -> Route {
    preflight(ir, None, header_present(ORIGIN, true), HeaderEdits::default())
}

fn preflight(ir: &RouteIr, part: Option<usize>, origin: HeaderMatcher, edits: HeaderEdits) -> Route {
    // The headers of the request that is asked about are not sent yet; its method is.
    let plain = ir::RouteMatch { method: None, headers: Vec::new(), ..ir.matches.clone() };
    let method = match &ir.matches.method {
        Some(method) => header_matcher(REQUEST_METHOD, exact(method)),
        None => header_present(REQUEST_METHOD, true),
    };
    let headers = vec![header_matcher(":method", exact("OPTIONS")), origin, method];
    Route {
        name: ir.name.preflight(part).to_string(),
        r#match: Some(RouteMatch { headers, ..build_match(&plain) }),
        response_headers_to_add: edits.add,
        action: Some(direct_response(&PREFLIGHT)),
        ..Route::default()
    }
}

fn of_allowed_origin(ir: &RouteIr, cors: &Cors, part: usize, origin: &HeaderMatcher, route: &Route) -> Route {
    let mut route = of_any_origin(cors, route);
    let mut edits = HeaderEdits::default();
    allow(cors, &mut edits);
    route.response_headers_to_add.extend(edits.add);
    if let Some(matches) = &mut route.r#match {
        matches.headers.push(origin.clone());
    }
    let share = route.name.strip_prefix(ir.name.as_str()).unwrap_or_default();
    route.name = format!("{}{share}", ir.name.cross_origin(part));
    route
}

/// A route whose answers say nothing about CORS, whatever the backend or another filter has said.
fn of_any_origin(cors: &Cors, route: &Route) -> Route {
    let mut route = route.clone();
    route.response_headers_to_add.retain(|option| {
        let name = option.header.as_ref().map(|header| header.key.as_str()).unwrap_or_default();
        !OWN_HEADERS.contains(&name)
    });
    route.response_headers_to_remove.extend(OWN_HEADERS.map(str::to_owned));
    if !is_for_all(cors) {
        let mut vary = HeaderEdits::default();
        // For caches: the answer is another for pages of another origin.
        vary.append("vary", ORIGIN);
        route.response_headers_to_add.extend(vary.add);
    }
    route
}

/// Whether every page is told the same.
fn is_for_all(cors: &Cors) -> bool {
    cors.origins == Origins::Any && !cors.credentials
}

/// What every answer tells a page that may have it.
fn allow(cors: &Cors, edits: &mut HeaderEdits) {
    match is_for_all(cors) {
        true => edits.set(ALLOW_ORIGIN, "*"),
        false => edits.set_format(ALLOW_ORIGIN, "%REQ(origin)%"),
    }
    if cors.credentials {
        edits.set(ALLOW_CREDENTIALS, "true");
    }
    list(&cors.expose, false, EXPOSE_HEADERS, None, edits);
}

/// A list of names. All is `*` but where that is the name of one, as browsers read it with credentials: then it is what
/// the request asks for, and nothing if it asks for nothing.
fn list(names: &NameList, credentials: bool, header: &str, asked: Option<&str>, edits: &mut HeaderEdits) {
    match (names, asked) {
        (NameList::These(names), _) if names.is_empty() => {}
        (NameList::These(names), _) => edits.set(header, &names.join(", ")),
        (NameList::Any, Some(asked)) if credentials => edits.set_format(header, &format!("%REQ({asked})%")),
        (NameList::Any, _) => edits.set(header, "*"),
    }
}
