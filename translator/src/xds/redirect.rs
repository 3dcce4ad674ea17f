//! Redirects.

use ir::{Hostname, Redirect, RedirectPath, RouteIr};
use proto::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use proto::route::{RedirectAction, Route, route};

use super::matcher::with_port_in_host;
use super::rewrite::{self, EnvoyRewrite};
use super::route::local_route;

/// The routes that redirect: one, or two where the port of the request's `Host` would show.
///
/// Envoy keeps that port unless the host or the port is replaced. Where the representation wants no
/// port, a virtual host of one exact name can give that name as the host. Other virtual hosts cannot,
/// so requests with a port in `Host` get a route of their own that shows the scheme's port instead:
/// the same address, if not the same letters.
pub(super) fn build_routes(ir: &RouteIr, redirect: &Redirect, hostname: &Hostname) -> Vec<Route> {
    let action = build_redirect(redirect);
    let plain = |action| local_route(ir, route::Action::Redirect(action));
    if redirect.host.is_some() || redirect.port.is_some() {
        return vec![plain(action)];
    }
    if let Hostname::Exact(name) = hostname {
        return vec![plain(RedirectAction { host_redirect: name.clone(), ..action })];
    }
    let mut explicit = plain(RedirectAction { port_redirect: default_port(redirect), ..action.clone() });
    explicit.r#match = explicit.r#match.map(with_port_in_host);
    vec![explicit, plain(action)]
}

fn build_redirect(ir: &Redirect) -> RedirectAction {
    RedirectAction {
        host_redirect: ir.host.clone().unwrap_or_default(),
        port_redirect: ir.port.map(u32::from).unwrap_or_default(),
        response_code: response_code(ir.status).into(),
        scheme_rewrite_specifier: ir.scheme.clone().map(SchemeRewriteSpecifier::SchemeRedirect),
        path_rewrite_specifier: ir.path.as_ref().map(path_specifier),
        ..RedirectAction::default()
    }
}

fn path_specifier(path: &RedirectPath) -> PathRewriteSpecifier {
    match path {
        RedirectPath::Full(path) => PathRewriteSpecifier::PathRedirect(path.clone()),
        RedirectPath::Prefix { from, to } => match rewrite::replace_prefix(from, to) {
            EnvoyRewrite::Prefix(to) => PathRewriteSpecifier::PrefixRewrite(to),
            EnvoyRewrite::Regex(rewrite) => PathRewriteSpecifier::RegexRewrite(rewrite),
        },
    }
}

/// The port of the scheme that the redirect shows; requests arrive by plain HTTP.
fn default_port(ir: &Redirect) -> u32 {
    match ir.scheme.as_deref() {
        Some("https") => 443,
        _ => 80,
    }
}

fn response_code(status: u16) -> RedirectResponseCode {
    match status {
        301 => RedirectResponseCode::MovedPermanently,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        // 302 is Gateway API's default.
        _ => RedirectResponseCode::Found,
    }
}
