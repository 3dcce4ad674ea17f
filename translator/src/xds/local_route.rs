//! Routes that the gateway answers itself.

use ir::{AnswerBody, ListenerIr, RouteIr, Scheme};
use proto::core::DataSource;
use proto::core::data_source::Specifier;
use proto::route::{DirectResponseAction, Route, route};

use super::access_log::log_format;
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
    if let Some(AnswerBody::Format { content_type, .. }) = &response.body {
        // Before what the route says itself.
        let mut edits = HeaderEdits::default();
        edits.set("content-type", content_type);
        route.response_headers_to_add.splice(0..0, edits.add);
    }
    route
}

/// An answer.
pub(super) fn direct_response(ir: &ir::DirectResponse) -> route::Action {
    let (body, body_format) = match &ir.body {
        None => (None, None),
        Some(AnswerBody::Text(text)) => {
            let specifier = Some(Specifier::InlineString(text.clone()));
            (Some(DataSource { specifier, ..DataSource::default() }), None)
        }
        Some(AnswerBody::Format { format, .. }) => (None, Some(log_format(format))),
    };
    route::Action::DirectResponse(DirectResponseAction { status: ir.status.into(), body, body_format })
}
