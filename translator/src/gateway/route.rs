//! Routes of all kinds: what each comes to, wherever it attaches.

use crds::core::Time;
use crds::gateway_api::{GrpcRoute, HttpRoute};
use crds::{Kind, RouteParts};
use ir::Hostname;

use super::{http_route, l4_route, validate};
use crate::gateway::facts::{RouteKey, TranslatedRoute};
use crate::gateway::view::View;
use crate::status::Detail;

/// Translates a route; `None` if there is none.
pub(crate) fn translate(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    Some(match key.kind {
        Kind::HttpRoute => http_route::translate(view, key, view.object::<HttpRoute>(&key.name)?),
        Kind::GrpcRoute => http_route::translate(view, key, view.object::<GrpcRoute>(&key.name)?),
        _ => l4_route::translate(view, key)?,
    })
}

/// The same with nothing but errors for answers, for a proxy that refuses the route as it is.
pub(crate) fn answering_errors(view: &impl View, key: &RouteKey) -> Option<TranslatedRoute> {
    Some(match key.kind {
        Kind::HttpRoute => http_route::answering_errors(view, key, view.object::<HttpRoute>(&key.name)?),
        Kind::GrpcRoute => http_route::answering_errors(view, key, view.object::<GrpcRoute>(&key.name)?),
        _ => l4_route::closing_connections(view, key)?,
    })
}

/// A route with its hostnames and its age, and nothing else yet. Hostnames that are none are left out and reported.
pub(super) fn begun(route: RouteParts<'_>) -> TranslatedRoute {
    let written = route.hostnames.iter().enumerate();
    let parsed = written.map(|(index, text)| {
        validate::hostname(text).map_err(|error| Detail::at(format!("spec.hostnames[{index}]"), error))
    });
    let (good, bad): (Vec<Result<Hostname, _>>, Vec<_>) = parsed.partition(Result::is_ok);
    TranslatedRoute {
        hostnames: good.into_iter().flatten().collect(),
        hostname_errors: bad.into_iter().filter_map(Result::err).collect(),
        created: creation(route.metadata.creation_timestamp.as_ref()),
        ..TranslatedRoute::default()
    }
}

/// When an object was made, in nanoseconds since 1970, which fit in until the year 2262.
pub(super) fn creation(time: Option<&Time>) -> Option<i64> {
    let nanoseconds = time?.0.as_nanosecond();
    Some(i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX }))
}
