//! Route tables. The virtual host is the unit: each is built from its own part of the representation.

use ir::{Hostname, ListenerIr, RouteAction, RouteIr, Scheme};
use proto::bool_value;
use proto::route::{DirectResponseAction, Route, RouteConfiguration, VirtualHost, route};

use super::header::HeaderEdits;
use super::matcher::{build_match, unless_host_is_plain};
use super::{forward, redirect};

/// A route table without virtual hosts.
pub(super) fn build_route_configuration() -> RouteConfiguration {
    RouteConfiguration {
        // `Host: a.com:8080` is for a.com, and goes upstream as it came.
        ignore_port_in_host_matching: true,
        // A cluster that is not there yet costs its own routes a 503, not the whole table.
        validate_clusters: Some(bool_value(false)),
        ..RouteConfiguration::default()
    }
}

/// Where a listener is found, as a URL says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) scheme: Scheme,
    pub(super) port: u16,
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
            action: Some(direct_response(&ir::DirectResponse { status: 400 })),
            ..Route::default()
        }),
    }
}

/// The Envoy routes of one match of one rule: one, where Envoy can say it all in one.
pub(super) fn build_routes(ir: &RouteIr, hostname: &Hostname, origin: &Origin) -> Vec<Route> {
    match &ir.action {
        RouteAction::Forward(forward) => forward::build_routes(ir, forward),
        RouteAction::Redirect(redirect) => vec![redirect::build_route(ir, redirect, hostname, origin)],
        RouteAction::Respond(response) => vec![local_route(ir, direct_response(response))],
    }
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

/// An answer without a body.
pub(super) fn direct_response(ir: &ir::DirectResponse) -> route::Action {
    route::Action::DirectResponse(DirectResponseAction {
        status: ir.status.into(),
        ..DirectResponseAction::default()
    })
}
