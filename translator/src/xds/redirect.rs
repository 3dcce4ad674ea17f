//! Redirects.
//!
//! Scheme, host and port of the answer are those of the listener and of the filter, whatever the request
//! says of them; only a host that several names share is taken from the request.

use ir::{Hostname, Redirect, RedirectPath, RouteIr, Scheme};
use proto::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use proto::route::{RedirectAction, Route, route};

use super::local_route::{Origin, local_route};
use super::rewrite::{self, EnvoyRewrite};
use super::target_filter;

/// The route that redirects.
pub(super) fn build_route(ir: &RouteIr, redirect: &Redirect, hostname: &Hostname, origin: &Origin) -> Route {
    let scheme = redirect.scheme.unwrap_or(origin.scheme);
    let action = RedirectAction {
        response_code: response_code(redirect.status).into(),
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::SchemeRedirect(scheme.as_str().to_owned())),
        path_rewrite_specifier: redirect.path.as_ref().map(path_specifier),
        ..RedirectAction::default()
    };
    let port = port_to_show(redirect, scheme, origin);
    let with_host = |host: &str| RedirectAction {
        host_redirect: host.to_owned(),
        port_redirect: port.map(u32::from).unwrap_or_default(),
        ..action.clone()
    };
    let plain = |action| local_route(ir, route::Action::Redirect(action));
    match (&redirect.host, port, hostname) {
        (Some(host), ..) => plain(with_host(host)),
        (None, _, Hostname::Exact(name)) => plain(with_host(name)),
        (None, Some(_), _) => plain(with_host("")),
        // Envoy takes the host from the request, with its port unless it writes another. It writes the
        // scheme's own here, which the filter takes off.
        (None, None, _) => Route {
            typed_per_filter_config: target_filter::without_port(scheme.as_str(), scheme.default_port()),
            ..plain(RedirectAction { port_redirect: scheme.default_port().into(), ..action })
        },
    }
}

/// The port that stands in the answer; `None` if it is the scheme's own (Gateway API,
/// `HTTPRequestRedirectFilter.port`).
fn port_to_show(redirect: &Redirect, scheme: Scheme, origin: &Origin) -> Option<u16> {
    let implied = redirect.scheme.map_or(origin.port, Scheme::default_port);
    Some(redirect.port.unwrap_or(implied)).filter(|port| *port != scheme.default_port())
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
