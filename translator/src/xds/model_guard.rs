//! Routes that are chosen by the model of a request.
//!
//! A match on the header of the model stands for a match on what the AI engine reads from path and body. Before each such
//! route stands a guard with the same match but for the model. It takes the requests whose model is not read yet, and
//! enables the engine for them. The engine puts the model in the place of whatever the client sent under that header,
//! marks the request, which no client can do, and has the route chosen again: now the guards let it pass.
//!
//! ```text
//! /v1, model gpt-4 ─┬─► guard   /v1, no mark           read the model, mark, choose again
//!                   └─► route   /v1, header = gpt-4
//! /v1              ───► route   /v1
//! ```
//!
//! A guard has the place of its route, so that routes with precedence take their requests unread, as Gateway API has it.

use ai_config::{METADATA_NAMESPACE, MODEL_HEADER, MODEL_READ_KEY, MODELS_KEY};
use ir::{DirectResponse, RouteIr};
use proto::matcher::metadata_matcher::PathSegment;
use proto::matcher::metadata_matcher::path_segment::Segment;
use proto::matcher::value_matcher::MatchPattern;
use proto::matcher::{MetadataMatcher, ValueMatcher};
use proto::route::{Route, RouteMatch};

use super::engine;
use super::local_route::{direct_response, local_route};
use super::matcher::build_match;
use super::optional_filters::{self, enabled};

/// For a request that no engine has looked at.
const UNREAD: DirectResponse = DirectResponse::empty(500);

/// The Envoy routes of a route, with a guard before them if it is chosen by the model.
pub(super) fn guarded(ir: &RouteIr, routes: Vec<Route>) -> Vec<Route> {
    match ir.matches.header(MODEL_HEADER) {
        Some(_) => [guard(ir)].into_iter().chain(routes).collect(),
        None => routes,
    }
}

fn guard(ir: &RouteIr) -> Route {
    let matches = RouteMatch {
        dynamic_metadata: vec![is_unread()],
        ..build_match(&ir.matches.without_header(MODEL_HEADER))
    };
    Route {
        name: ir.name.model_guard().to_string(),
        r#match: Some(matches),
        action: Some(direct_response(&UNREAD)),
        // The filters of a request are those that its first route enables, and any route may come next.
        typed_per_filter_config: enabled(&optional_filters::NAMES),
        ..Route::default()
    }
}

fn is_unread() -> MetadataMatcher {
    MetadataMatcher {
        filter: METADATA_NAMESPACE.to_owned(),
        path: vec![PathSegment { segment: Some(Segment::Key(MODEL_READ_KEY.to_owned())) }],
        value: Some(ValueMatcher { match_pattern: Some(MatchPattern::PresentMatch(true)) }),
        invert: true,
    }
}

/// The route that tells these models.
pub(super) fn list_route(ir: &RouteIr, models: &[String]) -> Route {
    Route {
        metadata: engine::metadata([(MODELS_KEY, serde_json::json!(models).to_string())]),
        typed_per_filter_config: enabled(&[engine::NAME]),
        ..local_route(ir, direct_response(&UNREAD))
    }
}
