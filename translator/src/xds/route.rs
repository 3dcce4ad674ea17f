//! Route tables. The virtual host is the unit: each is built from its own part of the representation.

use ir::{Hostname, ListenerPlaces, RouteAction, RouteIr};
use proto::bool_value;
use proto::route::{Route, RouteConfiguration, VirtualHost};

use super::local_route::{Origin, answering_route, direct_response};
use super::matcher::{every_request, unless_host_is_plain};
use super::{cors, forward, listener_auth, model_guard, optional_filters, redirect};

/// A route table without virtual hosts.
pub(super) fn build_route_configuration() -> RouteConfiguration {
    RouteConfiguration {
        // `Host: a.com:8080` is for a.com, and goes upstream as it came.
        ignore_port_in_host_matching: true,
        // A cluster that is not there costs its own routes an error, not the whole table.
        validate_clusters: Some(bool_value(false)),
        ..RouteConfiguration::default()
    }
}

/// The virtual host of a hostname, with the routes that each has.
pub(super) fn build_virtual_host(hostname: &Hostname) -> VirtualHost {
    VirtualHost {
        name: hostname.to_string(),
        domains: vec![hostname.to_string()],
        routes: refuse_malformed_host(hostname).into_iter().collect(),
        ..VirtualHost::default()
    }
}

/// The same where services are asked about all its requests before a route is chosen.
pub(super) fn build_asking_host(hostname: &Hostname, places: &ListenerPlaces) -> VirtualHost {
    let typed_per_filter_config = listener_auth::of_host(places);
    VirtualHost { typed_per_filter_config, ..build_virtual_host(hostname) }
}

/// What comes last in such a host: without a route, Envoy would not ask about a request. It is answered as it is otherwise.
pub(super) fn unrouted() -> VirtualHost {
    let unrouted = Route {
        name: "unrouted".to_owned(),
        r#match: Some(every_request()),
        action: Some(direct_response(&ir::DirectResponse::empty(404))),
        ..Route::default()
    };
    VirtualHost { routes: vec![unrouted], ..VirtualHost::default() }
}

/// The virtual host of a hostname whose requests belong to other connections (RFC 9110 §15.5.20): the client is to open
/// one for that host.
pub(super) fn build_misdirected_host(hostname: &Hostname) -> VirtualHost {
    let misdirected = Route {
        name: "misdirected".to_owned(),
        r#match: Some(every_request()),
        action: Some(direct_response(&ir::DirectResponse::empty(421))),
        ..Route::default()
    };
    let mut host = build_virtual_host(hostname);
    host.routes.push(misdirected);
    host
}

/// Of the virtual hosts that stand for several names: a request whose host is no host name and no address is
/// answered 400 (RFC 9112 §3.2). Envoy joins several `Host` lines with a comma and takes one dot off the end,
/// so that a list of hosts, or one with two dots, would come here past the virtual host of its name, while a
/// backend might read that very name.
fn refuse_malformed_host(hostname: &Hostname) -> Option<Route> {
    match hostname {
        Hostname::Exact(_) => None,
        Hostname::Wildcard(_) | Hostname::Any => Some(Route {
            name: "malformed-host".to_owned(),
            r#match: Some(unless_host_is_plain()),
            action: Some(direct_response(&ir::DirectResponse::empty(400))),
            ..Route::default()
        }),
    }
}

/// The Envoy routes of one match of one rule: one, where Envoy can say it all in one.
pub(super) fn build_routes(ir: &RouteIr, hostname: &Hostname, origin: &Origin) -> Vec<Route> {
    match &ir.action {
        RouteAction::Redirect(redirect) => {
            complete(ir, vec![redirect::build_route(ir, redirect, hostname, origin)])
        }
        RouteAction::Forward(_) | RouteAction::Respond(_) | RouteAction::ListModels(_) => {
            build_everywhere(ir).unwrap_or_default()
        }
    }
}

/// The same where host and listener make no difference; `None` where they do.
pub(super) fn build_everywhere(ir: &RouteIr) -> Option<Vec<Route>> {
    let routes = match &ir.action {
        RouteAction::Forward(forward) => forward::build_routes(ir, forward),
        RouteAction::Redirect(_) => return None,
        RouteAction::Respond(response) => vec![answering_route(ir, response)],
        RouteAction::ListModels(models) => vec![model_guard::list_route(ir, models)],
    };
    Some(complete(ir, routes))
}

/// The routes of a match with those that stand before them.
fn complete(ir: &RouteIr, mut routes: Vec<Route>) -> Vec<Route> {
    // Those that answer preflight requests come after it: browsers send them without what filters may ask for.
    routes.iter_mut().for_each(|route| optional_filters::apply(&ir.policy, route));
    let (mut all, routes) = cors::with_cors(ir, routes);
    // A preflight request has no model: it is answered before one is looked for.
    all.extend(model_guard::guarded(ir, routes));
    all
}
