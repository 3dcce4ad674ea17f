//! Random HTTPRoutes and matches.

use ir::{HeaderMatch, PathMatch, QueryParamMatch, RouteMatch, StringMatch};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::policy::{annotations, extension_ref, labels};
use super::{GATEWAY_API, a_backend, a_gateway, a_namespace, document, hostname, mostly, text};

/// A route with everything that a route can have.
pub(crate) fn http_route() -> impl Strategy<Value = Value> {
    let name = text(&["r0", "r1", "r2", "r3"]);
    let created = option::of(text(&["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]));
    let metadata = (name, a_namespace(), created, labels(), annotations()).prop_map(
        |(name, namespace, created, labels, annotations)| {
            json!({"name": name, "namespace": namespace, "creationTimestamp": created, "generation": 3,
                "labels": labels, "annotations": annotations})
        },
    );
    let spec = (vec(parent(), 1..3), vec(hostname(), 0..3), vec(rule(), 0..4));
    (metadata, spec).prop_map(|(metadata, (parents, hostnames, rules))| {
        let spec = json!({"parentRefs": parents, "hostnames": hostnames, "rules": rules});
        document(GATEWAY_API, "HTTPRoute", metadata, spec)
    })
}

fn parent() -> impl Strategy<Value = Value> {
    let section = option::weighted(0.2, text(&["l0", "l1", "absent"]));
    let port = option::weighted(0.2, select(vec![1080, 8080]));
    let set = text(&["set0", "set1"]).prop_map(|name| (Some("ListenerSet"), name));
    let named = prop_oneof![3 => a_gateway().prop_map(|name| (None, name)), 1 => set];
    (named, option::of(a_namespace()), section, port).prop_map(|((kind, name), namespace, section, port)| {
        json!({"kind": kind, "name": name, "namespace": namespace, "sectionName": section, "port": port})
    })
}

fn rule() -> impl Strategy<Value = Value> {
    let timeout = || option::weighted(0.3, text(&["0s", "500ms", "10s"]));
    let name = option::weighted(0.3, text(&["a", "b"]));
    let parts = (
        vec(api_match(), 0..3),
        optional_filter(),
        vec(backend_ref(), 1..3),
        timeout(),
        timeout(),
        name,
        option::weighted(0.2, retry()),
    );
    parts.prop_map(|(matches, filters, mut backend_refs, request, backend_request, name, retry)| {
        if filters.iter().any(|filter| filter["type"] == "RequestRedirect") {
            backend_refs.clear();
        }
        let timeouts = json!({"request": request, "backendRequest": backend_request});
        json!({"name": name, "matches": matches, "filters": filters, "backendRefs": backend_refs, "timeouts": timeouts, "retry": retry})
    })
}

fn api_match() -> impl Strategy<Value = Value> {
    let kind = text(&["Exact", "PathPrefix", "PathPrefix", "RegularExpression"]);
    let path = mostly(&["/", "/a", "/a/", "/a/b", "/a.*"], &["/(", "relative", "/a//b"]);
    let pair = || {
        (
            mostly(&["x", "X", "y"], &["bad name", ""]),
            mostly(&["1", "%"], &["["]),
            text(&["Exact", "RegularExpression"]),
        )
            .prop_map(|(name, value, kind)| json!({"name": name, "value": value, "type": kind}))
    };
    let method = option::of(text(&["GET", "POST"]));
    (kind, path, method, vec(pair(), 0..2), vec(pair(), 0..2)).prop_map(|(kind, path, method, headers, params)| {
        json!({"path": {"type": kind, "value": path}, "method": method, "headers": headers, "queryParams": params})
    })
}

fn header_edits() -> impl Strategy<Value = Value> {
    let name = || mostly(&["x-a", "X-A", "server"], &["host", "bad name"]);
    let pairs = || vec((name(), mostly(&["1", "100%", ""], &["a\nb"])), 0..2);
    (pairs(), pairs(), vec(name(), 0..2)).prop_map(|(set, add, remove)| {
        let list = |pairs: Vec<(String, String)>| -> Vec<Value> {
            pairs.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
        };
        json!({"set": list(set), "add": list(add), "remove": remove})
    })
}

fn path_change() -> impl Strategy<Value = Value> {
    (any::<bool>(), mostly(&["/", "/new", "/new/", "/%", "/\\1"], &["", "relative"])).prop_map(
        |(full, path)| {
            if full {
                json!({"type": "ReplaceFullPath", "replaceFullPath": path})
            } else {
                json!({"type": "ReplacePrefixMatch", "replacePrefixMatch": path})
            }
        },
    )
}

fn optional_filter() -> impl Strategy<Value = Vec<Value>> {
    option::weighted(0.4, filter()).prop_map(|filter| filter.into_iter().collect())
}

fn filter() -> impl Strategy<Value = Value> {
    let redirect = (option::of(hostname()), option::of(path_change()), select(vec![301, 302, 307]));
    prop_oneof![4 => header_edits().prop_map(|edits| json!({"type": "RequestHeaderModifier", "requestHeaderModifier": edits})), 4 => header_edits().prop_map(|edits| json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": edits})), 4 => (option::of(hostname()), option::of(path_change())).prop_map(|(hostname, path)| {
            json!({"type": "URLRewrite", "urlRewrite": {"hostname": hostname, "path": path}})
        }), 3 => redirect.prop_map(|(hostname, path, status)| {
            let redirect = json!({"hostname": hostname, "path": path, "statusCode": status});
            json!({"type": "RequestRedirect", "requestRedirect": redirect})
        }), 2 => cors(), 3 => mirror(), 4 => extension_ref(),
    ]
}

fn cors() -> impl Strategy<Value = Value> {
    let origins = vec(mostly(&["https://a.test", "http://*.a.test:81", "https://*"], &["*", "a.test"]), 0..3);
    let names = || vec(mostly(&["x-a", "GET"], &["*", "bad name"]), 0..3);
    (origins, any::<bool>(), names(), names(), names(), option::of(select(vec![5, 0]))).prop_map(
        |(origins, credentials, methods, headers, expose, max_age)| {
            json!({"type": "CORS", "cors": {
                "allowOrigins": origins, "allowCredentials": credentials, "allowMethods": methods,
                "allowHeaders": headers, "exposeHeaders": expose, "maxAge": max_age,
            }})
        },
    )
}

fn mirror() -> impl Strategy<Value = Value> {
    let fraction = option::weighted(0.3, (0..4, option::of(1..4)));
    let percent = option::weighted(0.3, select(vec![0, 50, 100, 101]));
    (a_backend(), option::weighted(0.2, a_namespace()), mostly_port(), percent, fraction).prop_map(
        |(name, namespace, port, percent, fraction)| {
            let fraction = fraction
                .map(|(numerator, denominator)| json!({"numerator": numerator, "denominator": denominator}));
            let backend = json!({"name": name, "namespace": namespace, "port": port});
            json!({"type": "RequestMirror", "requestMirror": {
                "backendRef": backend, "percent": percent, "fraction": fraction,
            }})
        },
    )
}

fn retry() -> impl Strategy<Value = Value> {
    let codes = vec(select(vec![500, 503, 200]), 0..2);
    let parts = (codes, option::of(select(vec![0, 1, 3, -1])), option::of(mostly(&["0s", "1s"], &["soon"])));
    parts.prop_map(
        |(codes, attempts, backoff)| json!({"codes": codes, "attempts": attempts, "backoff": backoff}),
    )
}

fn backend_ref() -> impl Strategy<Value = Value> {
    let kind = select(vec![
        ("", "Service"),
        ("", "Service"),
        ("", "Service"),
        ("gateway.kgateway.dev", "Backend"),
        ("gloo.solo.io", "Upstream"),
        ("gateway.kgateway.dev", "Backend"),
        ("gloo.solo.io", "Upstream"),
        ("gateway.networking.x-k8s.io", "XBackend"),
        ("gateway.networking.x-k8s.io", "XBackend"),
        ("example.com", "Thing"),
    ]);
    let place = (a_backend(), option::weighted(0.2, a_namespace()), mostly_port());
    let weight = option::of(select(vec![0, 1, 1, 3, 3, 1_000_000, i32::MAX, -1]));
    let filters = optional_filter();
    (kind, place, weight, filters).prop_map(|((group, kind), (name, namespace, port), weight, filters)| {
        let port = port.filter(|port| kind != "XBackend" || *port == 81);
        json!({
            "group": group, "kind": kind, "name": name, "namespace": namespace, "port": port,
            "weight": weight, "filters": filters,
        })
    })
}

/// Ports that the Services have, and one that none has.
fn mostly_port() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![12 => select(vec![Some(80), Some(81)]), 1 => select(vec![None, Some(82)])]
}

/// A match of the intermediate representation.
fn route_match() -> impl Strategy<Value = RouteMatch> {
    let short = || text(&["/", "/a", "/b", "/a/b"]);
    let path = prop_oneof![
        short().prop_map(PathMatch::Exact),
        short().prop_map(PathMatch::Prefix),
        short().prop_map(PathMatch::Regex),
    ];
    let value = || {
        (any::<bool>(), text(&["1", "2"])).prop_map(|(exact, value)| {
            if exact { StringMatch::Exact(value) } else { StringMatch::Regex(value) }
        })
    };
    let headers = vec((text(&["x", "y"]), value()), 0..3);
    let params = vec((text(&["x", "y"]), value()), 0..3);
    (path, option::of(text(&["GET", "POST"])), headers, params).prop_map(|(path, method, headers, params)| {
        RouteMatch {
            path,
            method,
            headers: headers.into_iter().map(|(name, value)| HeaderMatch { name, value }).collect(),
            query_params: params.into_iter().map(|(name, value)| QueryParamMatch { name, value }).collect(),
            is_grpc: false,
        }
    })
}

/// Three matches that differ in few of their parts, so that each part decides sometimes.
pub(crate) fn related_matches() -> impl Strategy<Value = [RouteMatch; 3]> {
    let other = || (route_match(), any::<[bool; 4]>());
    (route_match(), other(), other()).prop_map(|(first, second, third)| {
        let like_first = |(own, [path, method, headers, query_params]): (RouteMatch, [bool; 4])| RouteMatch {
            path: if path { &first } else { &own }.path.clone(),
            method: if method { &first } else { &own }.method.clone(),
            headers: if headers { &first } else { &own }.headers.clone(),
            query_params: if query_params { &first } else { &own }.query_params.clone(),
            is_grpc: false,
        };
        [like_first(second), like_first(third), first]
    })
}
