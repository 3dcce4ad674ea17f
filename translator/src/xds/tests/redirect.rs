use ir::{Redirect, RedirectPath, RouteAction};
use proto::route::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use proto::route::{Route, route};

use super::sample::{redirect_to, route as route_of, virtual_host};
use crate::xds::build_virtual_host;

/// One line per Envoy route: status, scheme, host, port, path.
fn show(hostname: &str, redirect: Redirect) -> Vec<String> {
    let host = virtual_host(hostname, vec![route_of("/p", RouteAction::Redirect(redirect))]);
    build_virtual_host(&host).routes.iter().map(show_route).collect()
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
    let headers = &route.r#match.as_ref().unwrap().headers;
    if headers.iter().any(|header| header.name == ":authority") {
        shown += " if the host has a port";
    }
    shown
}

#[test]
fn no_port_of_the_request_shows_unless_it_is_asked_for() {
    for (hostname, scheme, host, port, expected) in [
        ("a.com", None, None, None, vec!["302 host a.com"]),
        ("a.com", None, None, Some(8080), vec!["302 :8080"]),
        ("a.com", Some("https"), None, None, vec!["302 https: host a.com"]),
        ("a.com", None, Some("b.com"), None, vec!["302 host b.com"]),
        ("a.com", None, Some("b.com"), Some(81), vec!["302 host b.com :81"]),
        ("", None, Some("b.com"), None, vec!["302 host b.com"]),
        ("", Some("https"), None, Some(8443), vec!["302 https: :8443"]),
        ("", Some("https"), None, None, vec!["302 https: :443 if the host has a port", "302 https:"]),
        ("*.a.com", None, None, None, vec!["302 :80 if the host has a port", "302"]),
    ] {
        let shown = show(hostname, redirect_to(scheme, host, port));
        assert_eq!(shown, expected, "{hostname} {scheme:?} {host:?} {port:?}");
    }
}

#[test]
fn every_status_and_path_is_kept() {
    let full = |to: &str| RedirectPath::Full(to.to_owned());
    let prefix = |to: &str| RedirectPath::Prefix { from: "/p".to_owned(), to: to.to_owned() };
    for (status, path, expected) in [
        (301, None, "301 host b.com"),
        (302, Some(full("/q")), "302 host b.com path /q"),
        (303, Some(prefix("/q")), "303 host b.com prefix /q"),
        (307, Some(prefix("/")), "307 host b.com regex /"),
        (308, None, "308 host b.com"),
    ] {
        let redirect = Redirect { status, path, ..redirect_to(None, Some("b.com"), None) };
        assert_eq!(show("a.com", redirect), [expected]);
    }
}
