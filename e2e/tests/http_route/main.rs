//! What the HTTPRoute features come to in a real Envoy, seen from the client and from the backend.

mod cors;
mod direct_response;
mod mirror;
mod policies;
mod precedence;
mod retry;
mod scene;
mod websocket;

use std::time::Duration;

use anyhow::Result;
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::http::{Response, request, send};
use http::Method;

/// One Gateway with two listeners on one port, and routes that use each feature once.
const OBJECTS: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  gatewayClassName: chancery
  listeners:
  - {name: any, port: PORT, protocol: HTTP}
  - {name: isolated, port: PORT, protocol: HTTP, hostname: "*.isolated.test"}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {ports: [{name: http, port: 80}, {name: h2c, port: 81, appProtocol: kubernetes.io/h2c}, {name: none, port: 82}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: echo-1, labels: {kubernetes.io/service-name: echo}}
addressType: IPv4
ports: [{name: http, port: BACKEND}, {name: h2c, port: BACKEND}]
endpoints: [{addresses: [127.0.0.1]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: matches}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [match.test]
  rules:
  - matches: [{path: {type: Exact, value: /exact}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: exact}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {type: RegularExpression, value: "/r[0-9]+"}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: regex}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /v2}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: prefix}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /v2}, headers: [{name: X-Version, value: two}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: header}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /v2}, queryParams: [{name: q, value: "1"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: query}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /v2}, method: PATCH}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: method}]}}]
    backendRefs: [{name: echo, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: filters}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [filter.test]
  rules:
  - matches: [{path: {value: /headers}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set: [{name: X-Set, value: "100% new"}]
        add: [{name: X-Add, value: more}]
        remove: [x-gone]
    - type: ResponseHeaderModifier
      responseHeaderModifier: {add: [{name: x-served-by, value: chancery}], remove: [content-type]}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /strip}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /old}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: new.test, path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, path: {type: ReplacePrefixMatch, replacePrefixMatch: /here}}}]
  - matches: [{path: {value: /secure}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: other.test}}]
  - matches: [{path: {value: /slow}}]
    timeouts: {request: 300ms}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /patient}}]
    timeouts: {request: 0s}
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /h2c}}]
    backendRefs: [{name: echo, port: 81}]
  - matches: [{path: {value: /authorized}}]
    backendRefs:
    - name: echo
      port: 80
      filters: [{type: ExternalAuth, externalAuth: {protocol: HTTP, http: {}, backendRef: {name: echo, port: 80}}}]
  - matches: [{path: {value: /nobody}}]
    backendRefs: [{name: nobody, port: 80}]
  - matches: [{path: {value: /empty}}]
    backendRefs: [{name: echo, port: 82}]
  - matches: [{path: {value: /weights}}]
    backendRefs: [{name: echo, port: 80, weight: 0}, {name: nobody, port: 80, weight: 1}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: hosts}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: ["*.wild.test", wild.isolated.test]
  rules: [{matches: [{path: {value: /wild}}], backendRefs: [{name: echo, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: exact-host}
spec:
  parentRefs: [{name: gw, sectionName: any}]
  hostnames: [exact.wild.test]
  rules: [{matches: [{path: {value: /exact}}], backendRefs: [{name: echo, port: 80}]}]
"#;

struct Client {
    fixture: Fixture,
    _echo: EchoBackend,
}

impl Client {
    async fn start() -> Result<Self> {
        let echo = EchoBackend::start("echo").await?;
        let objects = OBJECTS.replace("BACKEND", &echo.address().port().to_string());
        Ok(Self { fixture: Fixture::start(&[("all.yaml", &objects)]).await?, _echo: echo })
    }

    async fn ask(
        &self,
        method: Method,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response> {
        send(self.fixture.address(), request(method, host, path, headers, bytes::Bytes::new())?).await
    }

    async fn get(&self, host: &str, path: &str) -> Result<Response> {
        self.ask(Method::GET, host, path, &[]).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_go_to_the_rule_that_the_specification_says() -> Result<()> {
    let client = Client::start().await?;
    let none: &[(&str, &str)] = &[];
    for (method, path, headers, rule) in [
        (Method::GET, "/exact", none, Some("exact")),
        (Method::GET, "/exact/", none, None),
        (Method::GET, "/r12", none, Some("regex")),
        (Method::GET, "/r12x", none, None),
        (Method::GET, "/v2", none, Some("prefix")),
        (Method::GET, "/v2/", none, Some("prefix")),
        (Method::GET, "/v2/more", none, Some("prefix")),
        (Method::GET, "/v2more", none, None),
        (Method::GET, "/V2", none, None),
        (Method::GET, "/v2", &[("x-version", "two")], Some("header")),
        (Method::GET, "/v2", &[("x-version", "Two")], Some("prefix")),
        (Method::GET, "/v2?q=1", none, Some("query")),
        (Method::GET, "/v2?q=2", none, Some("prefix")),
        (Method::GET, "/v2?q=1", &[("x-version", "two")], Some("header")),
        (Method::PATCH, "/v2?q=1", &[("x-version", "two")], Some("method")),
    ] {
        let answer = client.ask(method.clone(), "match.test", path, headers).await?;
        assert_eq!(answer.header("x-rule"), rule, "{method} {path} {headers:?}: {}", answer.status);
        assert_eq!(answer.status, if rule.is_some() { 200 } else { 404 }, "{method} {path} {headers:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_matched_by_specificity_with_and_without_a_port() -> Result<()> {
    let client = Client::start().await?;
    for (host, path, status) in [
        ("a.wild.test", "/wild", 200),
        ("a.b.wild.test", "/wild", 200),
        ("wild.test", "/wild", 404),
        ("A.Wild.Test", "/wild", 200),
        ("a.wild.test:8080", "/wild", 200),
        ("a.wild.test.", "/wild", 200),
        ("exact.wild.test", "/exact", 200),
        // Precedence is not exclusion: what the exact host's routes do not take falls to the wildcard's.
        ("exact.wild.test", "/wild", 200),
        ("a.wild.test", "/exact", 404),
        // The host belongs to the listener that names it more closely, which has no such route.
        ("wild.isolated.test", "/wild", 404),
        ("unknown.test", "/wild", 404),
    ] {
        let answer = client.get(host, path).await?;
        assert_eq!(answer.status, status, "{host}{path}");
        if status == 200 {
            assert_eq!(answer.echo()?.host, host.trim_end_matches('.'), "the host goes on as it came");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_set_added_and_removed() -> Result<()> {
    let client = Client::start().await?;
    let sent = [("x-set", "old"), ("x-add", "first"), ("x-gone", "1"), ("x-stays", "1")];
    let answer = client.ask(Method::GET, "filter.test", "/headers", &sent).await?;
    assert_eq!(answer.header("x-served-by"), Some("chancery"));
    assert_eq!(answer.header("content-type"), None);
    let headers = serde_json::to_value(answer.echo()?.headers)?.to_string();
    for expected in ["100% new", "first", "more", "x-stays"] {
        assert!(headers.contains(expected), "{expected} in {headers}");
    }
    for unexpected in ["old", "x-gone", "x-envoy-original-path"] {
        assert!(!headers.contains(unexpected), "{unexpected} in {headers}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_hosts_are_rewritten_and_queries_stay() -> Result<()> {
    let client = Client::start().await?;
    for (path, host, expected) in [
        ("/strip", "filter.test", "/"),
        ("/strip/", "filter.test", "/"),
        ("/strip/three?a=%20b", "filter.test", "/three?a=%20b"),
        ("/old/deep?x=1", "new.test", "/new?x=1"),
    ] {
        let echo = client.get("filter.test", path).await?.echo()?;
        assert_eq!((echo.path.as_str(), echo.host.as_str()), (expected, host), "{path}");
    }
    let protocol = client.get("filter.test", "/h2c").await?.echo()?.protocol;
    assert_eq!(protocol, "HTTP/2.0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_name_what_changes_and_nothing_else() -> Result<()> {
    let client = Client::start().await?;
    let port = client.fixture.port;
    let answer = client.get("filter.test", "/moved/on?q=1").await?;
    assert_eq!(answer.status, 301);
    let expected = format!("http://filter.test:{port}/here/on?q=1");
    assert_eq!(answer.header("location"), Some(expected.as_str()), "the listener's port is shown");
    let answer = client.get(&format!("filter.test:{port}"), "/secure/a").await?;
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.header("location"),
        Some("https://other.test/secure/a"),
        "the scheme's own port is not"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_answered_by_the_gateway_alone() -> Result<()> {
    let client = Client::start().await?;
    for (path, status) in [
        ("/authorized", 500), // A filter at a place where it is not supported is not skipped.
        ("/nobody", 500),
        ("/weights", 500),
        ("/empty", 503),
        ("/nowhere", 404),
        ("/headers", 200),
    ] {
        assert_eq!(client.get("filter.test", path).await?.status, status, "{path}");
    }
    let route = client.fixture.status("HTTPRoute default/filters").await?;
    let text = route.to_string();
    assert!(text.contains("a filter of type ExternalAuth is supported at the rule"), "{route:#}");
    assert!(text.contains("Service default/nobody does not exist"), "{route:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_timeout_answers_504_and_zero_switches_it_off() -> Result<()> {
    let client = Client::start().await?;
    let delay = Duration::from_millis(900).as_millis().to_string();
    let header = [(e2e::echo::DELAY_HEADER, delay.as_str())];
    assert_eq!(client.ask(Method::GET, "filter.test", "/slow", &header).await?.status, 504);
    assert_eq!(client.ask(Method::GET, "filter.test", "/patient", &header).await?.status, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_edge_refuses_what_could_confuse_it() -> Result<()> {
    let client = Client::start().await?;
    let underscore = client.ask(Method::GET, "filter.test", "/headers", &[("x_y", "1")]).await?;
    assert_eq!(underscore.status, 400, "a header with an underscore");
    let escaped = client.get("filter.test", "/a%2Fb").await?;
    assert_eq!(escaped.status, 307, "an escaped slash is made plain first");
    // Dots and double slashes are resolved before anything is matched.
    let normal = client.get("filter.test", "/x/..//headers").await?.echo()?;
    assert_eq!(normal.path, "/headers");
    // Nobody is internal: control headers of Envoy do not pass.
    let spoofed = [("x-envoy-upstream-rq-timeout-ms", "1"), ("x-forwarded-for", "10.0.0.1")];
    let echo = client.ask(Method::GET, "filter.test", "/headers", &spoofed).await?.echo()?;
    assert!(!serde_json::to_string(&echo.headers)?.contains("rq-timeout"), "{:?}", echo.headers);
    Ok(())
}
