//! Routes that the gateway answers itself.

use ir::{ListenerIr, RouteIr, Scheme};
use proto::core::DataSource;
use proto::core::data_source::Specifier;
use proto::route::{DirectResponseAction, Route, route};

use super::header::HeaderEdits;
use super::matcher::build_match;

/// Where a listener is found, as a URL says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) port: u16,
}

impl Origin {
    /// That of a listener.
    pub(super) fn of(listener: &ListenerIr) -> Self {
        Self { scheme: listener.scheme(), port: listener.bind.port }
    }
}

/// A route that the gateway answers itself; only the response's edits mean anything to it.
pub(super) fn local_route(ir: &RouteIr, action: route::Action) -> Route {
    let response = HeaderEdits::compose([&ir.response_headers]);
    Route {
        name: ir.name.to_string(),
        r#match: Some(build_match(&ir.matches)),
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        action: Some(action),
        ..Route::default()
    }
}

/// A route that answers requests.
pub(super) fn answering_route(ir: &RouteIr, response: &ir::DirectResponse) -> Route {
    let mut route = local_route(ir, direct_response(response));
    if matches!(response.status, 201 | 300..=399) {
        // Envoy names the request's own URL in it. What the route sets itself is added afterwards.
        route.response_headers_to_remove.push("location".to_owned());
    }
    route
}

/// An answer.
pub(super) fn direct_response(ir: &ir::DirectResponse) -> route::Action {
    let body = ir.body.clone().map(Specifier::InlineString);
    route::Action::DirectResponse(DirectResponseAction {
        status: ir.status.into(),
        body: body.map(|body| DataSource { specifier: Some(body), ..DataSource::default() }),
        ..DirectResponseAction::default()
    })
}
