//! The filters that ask services before a route is chosen, as listeners have it said (`listeners[].filters`).
//!
//! Envoy looks for a route before the first filter runs, and its filters are configured by what it finds. That is of use here:
//! a virtual host belongs to one listener, and its configuration holds for whatever route is found in it, the last one of which
//! takes every request that no other does. So the hosts of a listener enable its filters, also where listeners share a
//! connection. A service that has changed a request makes Envoy look for a route anew, among those of the same host, since no
//! service can change the host.
//!
//! A filter is a place in the order of questions. It comes apart from its listener (ECDS) and has a branch for each listener of the
//! port, which is chosen by the name of the listener. That is a text in the request's filter state, which the filter before
//! them writes as the host has it; no client has a part in it. A listener for which it has no branch is answered with 500.

use std::collections::HashMap;

use ir::{FilterName, ListenerAuthIr, ListenerPlaces};
use proto::composite::Composite;
use proto::core::TypedExtensionConfig;
use proto::hcm::HttpFilter;
use proto::wkt::Any;

use super::auth_filter::{ask, build_filter};
use super::chosen_filter::{chosen_by, note_under};
use super::discovered::discovered_filter;
use super::optional_filters::{self, disabled, enabled};

/// The name of the filter that notes the listener, and what it notes it under.
const LISTENER: &str = "chancery.listener";

/// The name of no listener.
const NO_LISTENER: &str = "/";

/// The filters as they stand in a listener, before all that depend on the route.
pub(super) fn listener_filters(places: &[FilterName]) -> impl Iterator<Item = HttpFilter> {
    let note = disabled(LISTENER, note_under(LISTENER, NO_LISTENER));
    [note].into_iter().chain(places.iter().map(|name| discovered_filter::<Composite>(name.as_str())))
}

/// What the virtual hosts of a listener say to the filters. The route that is found first may not be that which counts in the end,
/// so that all filters are enabled that a route may want.
pub(super) fn of_host(places: &ListenerPlaces) -> HashMap<String, Any> {
    let names: Vec<_> = places.filters.iter().map(FilterName::as_str).collect();
    let mut configs = optional_filters::enabled_for_any_route();
    configs.extend(enabled(&names));
    configs.insert(LISTENER.to_owned(), note_under(LISTENER, &places.listener));
    configs
}

/// The filter of a place.
pub(super) fn extension(ir: &ListenerAuthIr) -> TypedExtensionConfig {
    let ListenerAuthIr { name, questions } = ir;
    let branches = questions.iter().map(|(listener, question)| {
        (listener.to_string(), ask(&build_filter(&question.service, question.body)))
    });
    chosen_by(LISTENER, name.as_str(), branches)
}
