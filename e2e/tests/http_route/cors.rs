//! CORS: the gateway answers preflight requests, and tells pages of allowed origins, and no others, what they may.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::http::Response;
use http::Method;

use super::scene::Scene;

const RULES: &str = r#"
  - matches: [{path: {value: /named}}]
    filters:
    - type: CORS
      cors:
        allowOrigins: ["https://www.foo.com", "https://*.bar.com"]
        allowCredentials: true
        allowMethods: [GET, PUT]
        allowHeaders: [x-one, x-two]
        exposeHeaders: [x-three]
        maxAge: 3600
    - {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: access-control-allow-origin, value: "https://evil.com"}]}}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /any}}]
    filters: [{type: CORS, cors: {allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"]}}]
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /credentials}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ["*"], allowMethods: ["*"], allowHeaders: ["*"], allowCredentials: true}}
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /put}, method: PUT, headers: [{name: x-version, value: "2"}]}]
    filters: [{type: CORS, cors: {allowOrigins: ["https://a.com"], allowMethods: [PUT]}}]
    backendRefs: [{name: main, port: 80}]
  - matches: [{path: {value: /moved}}]
    filters:
    - {type: CORS, cors: {allowOrigins: ["https://a.com"]}}
    - {type: RequestRedirect, requestRedirect: {hostname: b.test}}"#;

/// The headers of an answer that are about CORS, without their prefix.
fn about_cors(answer: &Response) -> BTreeMap<String, String> {
    let headers = answer.headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("access-control-")?;
        Some((name.to_owned(), value.to_str().unwrap().to_owned()))
    });
    headers.collect()
}

fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const NAMED: [(&str, &str); 5] = [
    ("allow-credentials", "true"),
    ("allow-headers", "x-one, x-two"),
    ("allow-methods", "GET, PUT"),
    ("expose-headers", "x-three"),
    ("max-age", "3600"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preflight_requests_are_answered_for_allowed_origins_alone() -> Result<()> {
    let scene = Scene::start(&["main"], RULES).await?;
    let named = |origin: &'static str| [&NAMED[..], &[("allow-origin", origin)]].concat();
    let wildcards = [("allow-origin", "*"), ("allow-methods", "*"), ("allow-headers", "*"), ("max-age", "5")];
    let echoed = [
        ("allow-origin", "https://x.com:8443"),
        ("allow-credentials", "true"),
        ("allow-methods", "PATCH"),
        ("allow-headers", "x-a, x-b"),
        ("max-age", "5"),
    ];
    let asks_headers = [("access-control-request-headers", "x-a, x-b")];
    for (path, origin, method, more, allowed) in [
        ("/named", "https://www.foo.com", "GET", &[][..], named("https://www.foo.com")),
        ("/named", "https://a.b.bar.com", "DELETE", &[], named("https://a.b.bar.com")),
        ("/named", "https://bar.com", "GET", &[], vec![]),
        ("/named", "https://xbar.com", "GET", &[], vec![]),
        ("/named", "http://www.foo.com", "GET", &[], vec![]),
        ("/named", "https://www.foo.com:8443", "GET", &[], vec![]),
        ("/named", "https://www.foo.com.evil.com", "GET", &[], vec![]),
        ("/any", "https://x.com", "PATCH", &asks_headers, wildcards.to_vec()),
        ("/credentials", "https://x.com:8443", "PATCH", &asks_headers, echoed.to_vec()),
        // What nobody asked for is not told.
        (
            "/credentials",
            "https://x.com:8443",
            "PATCH",
            &[],
            echoed.iter().filter(|(name, _)| *name != "allow-headers").copied().collect(),
        ),
        (
            "/put",
            "https://a.com",
            "PUT",
            &[],
            vec![("allow-origin", "https://a.com"), ("allow-methods", "PUT"), ("max-age", "5")],
        ),
        ("/moved", "https://a.com", "GET", &[], vec![("allow-origin", "https://a.com"), ("max-age", "5")]),
    ] {
        let headers = [&[("origin", origin), ("access-control-request-method", method)], more].concat();
        let answer = scene.ask(Method::OPTIONS, path, &headers).await?;
        assert_eq!(answer.status, 204, "{path} {origin}");
        assert_eq!(about_cors(&answer), expected(&allowed), "{path} {origin} {method}");
    }
    // A rule for another method has no part in it.
    let headers = [("origin", "https://a.com"), ("access-control-request-method", "GET")];
    assert_eq!(scene.ask(Method::OPTIONS, "/put", &headers).await?.status, 404);
    assert_eq!(scene.backends[0].served(), 0, "no preflight request has reached the backend");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_tell_allowed_origins_what_they_may_and_others_nothing() -> Result<()> {
    let scene = Scene::start(&["main"], RULES).await?;
    let allowed = [
        ("allow-origin", "https://www.foo.com"),
        ("allow-credentials", "true"),
        ("expose-headers", "x-three"),
    ];
    for (path, origin, told, vary) in [
        ("/named", Some("https://www.foo.com"), &allowed[..], Some("origin")),
        ("/named", Some("https://evil.com"), &[], Some("origin")),
        ("/named", None, &[], Some("origin")),
        ("/any", Some("https://x.com"), &[("allow-origin", "*")], None),
        ("/any", None, &[], None),
    ] {
        let headers: Vec<_> = origin.iter().map(|origin| ("origin", *origin)).collect();
        let answer = scene.ask(Method::GET, path, &headers).await?;
        assert_eq!((answer.status, answer.echo()?.path.as_str()), (200, path));
        assert_eq!(about_cors(&answer), expected(told), "{path} {origin:?}");
        assert_eq!(answer.header("vary"), vary, "{path} {origin:?}");
    }
    // OPTIONS that is no preflight request is one of the backend's.
    let answer = scene.ask(Method::OPTIONS, "/named", &[("origin", "https://www.foo.com")]).await?;
    assert_eq!(answer.echo()?.method, "OPTIONS");
    let answer = scene.ask(Method::GET, "/moved", &[("origin", "https://a.com")]).await?;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (302, Some("https://a.com")));
    Ok(())
}
