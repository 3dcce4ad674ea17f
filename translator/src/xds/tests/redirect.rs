use ir::{Hostname, Redirect, RedirectPath, RouteAction, Scheme};
use proto::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use proto::route::{Route, route};

use super::sample::{ORIGIN, redirect_to, route as route_of};
use crate::xds::local_route::Origin;
use crate::xds::route::build_routes;

/// The Envoy route: status, scheme, host, port, path.
fn show(hostname: &str, origin: &Origin, redirect: Redirect) -> String {
    let route = route_of("/p", RouteAction::Redirect(redirect));
    let routes = build_routes(&route, &Hostname::parse(hostname), origin);
    let [route] = &routes[..] else { panic!("one route") };
    show_route(route)
}

fn show_route(route: &Route) -> String {
    let Some(route::Action::Redirect(action)) = &route.action else { panic!("{route:?}") };
    let mut shown = match action.response_code() {
        RedirectResponseCode::MovedPermanently => "301",
        RedirectResponseCode::Found => "302",
        RedirectResponseCode::SeeOther => "303",
        RedirectResponseCode::TemporaryRedirect => "307",
        RedirectResponseCode::PermanentRedirect => "308",
    }
    .to_owned();
    if let Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) = &action.scheme_rewrite_specifier {
        shown += &format!(" {scheme}:");
    }
    if !action.host_redirect.is_empty() {
        shown += &format!(" host {}", action.host_redirect);
    }
    if action.port_redirect != 0 {
        shown += &format!(" :{}", action.port_redirect);
    }
    match &action.path_rewrite_specifier {
        None => {}
        Some(PathRewriteSpecifier::PathRedirect(path)) => shown += &format!(" path {path}"),
        Some(PathRewriteSpecifier::PrefixRewrite(to)) => shown += &format!(" prefix {to}"),
        Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
            shown += &format!(" regex {}", rewrite.substitution);
        }
        Some(other) => panic!("{other:?}"),
    }
    if !route.typed_per_filter_config.is_empty() {
        shown += " and without it";
    }
    shown
}

#[test]
fn scheme_host_and_port_are_the_listeners_and_the_filters() {
    use Scheme::{Http, Https};
    for (hostname, origin, scheme, host, port, expected) in [
        ("a.com", (Http, 80), None, None, None, "302 http: host a.com"),
        ("a.com", (Http, 8080), None, None, None, "302 http: host a.com :8080"),
        ("a.com", (Http, 8080), Some(Http), None, None, "302 http: host a.com"),
        ("a.com", (Http, 80), None, None, Some(8080), "302 http: host a.com :8080"),
        ("a.com", (Http, 8080), None, None, Some(80), "302 http: host a.com"),
        ("a.com", (Http, 80), Some(Https), None, None, "302 https: host a.com"),
        ("a.com", (Http, 80), Some(Https), None, Some(443), "302 https: host a.com"),
        ("a.com", (Http, 80), Some(Https), None, Some(80), "302 https: host a.com :80"),
        ("a.com", (Https, 443), None, None, None, "302 https: host a.com"),
        ("a.com", (Https, 8443), None, None, None, "302 https: host a.com :8443"),
        ("a.com", (Https, 8443), Some(Http), None, None, "302 http: host a.com"),
        ("a.com", (Http, 80), None, Some("b.com"), Some(81), "302 http: host b.com :81"),
        ("", (Http, 80), None, Some("b.com"), None, "302 http: host b.com"),
        ("", (Http, 8080), None, None, None, "302 http: :8080"),
        ("", (Http, 80), Some(Https), None, Some(8443), "302 https: :8443"),
        ("", (Http, 80), Some(Https), None, None, "302 https: :443 and without it"),
        ("*.a.com", (Http, 80), None, None, None, "302 http: :80 and without it"),
        ("*.a.com", (Https, 443), None, None, None, "302 https: :443 and without it"),
    ] {
        let origin = Origin { scheme: origin.0, port: origin.1 };
        let shown = show(hostname, &origin, redirect_to(scheme, host, port));
        assert_eq!(shown, expected, "{hostname} {origin:?} {scheme:?} {host:?} {port:?}");
    }
}

#[test]
fn every_status_and_path_is_kept() {
    let full = |to: &str| RedirectPath::Full(to.to_owned());
    let prefix = |to: &str| RedirectPath::Prefix { from: "/p".to_owned(), to: to.to_owned() };
    for (status, path, expected) in [
        (301, None, "301 http: host b.com"),
        (302, Some(full("/q")), "302 http: host b.com path /q"),
        (303, Some(prefix("/q")), "303 http: host b.com prefix /q"),
        (307, Some(prefix("/")), "307 http: host b.com regex /"),
        (308, None, "308 http: host b.com"),
    ] {
        let redirect = Redirect { status, path, ..redirect_to(None, Some("b.com"), None) };
        assert_eq!(show("a.com", &ORIGIN, redirect), expected);
    }
}
