//! What happens at the edge, as `docs/behaviour.md` tells it, through the real Envoy.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bytes::Bytes;
use e2e::echo::EchoBackend;
use e2e::fixture::Fixture;
use e2e::http::{Response, request, send, send_within};
use e2e::manifests::{gateway, loopback_service};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ROUTES: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: all}
spec:
  parentRefs: [{name: gw}]
  hostnames: [a.test]
  rules:
  - matches: [{path: {value: /query}, queryParams: [{name: q, value: a%20b}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: escaped}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /query}, queryParams: [{name: q, value: "1"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: one}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /header}, headers: [{name: X-List, value: "1,2"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: list}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /header}, headers: [{name: X-List, value: "1, 2"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: spaced}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /header}, headers: [{name: X-List, value: "1"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: first}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {value: /header}, headers: [{name: X-List, value: "2"}]}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: second}]}}]
    backendRefs: [{name: echo, port: 80}]
  - matches: [{path: {type: Exact, value: /exact}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-rule, value: exact}]}}]
    backendRefs: [{name: echo, port: 80}]
  - backendRefs: [{name: echo, port: 80}]
"#;

struct World {
    fixture: Fixture,
    _echo: EchoBackend,
}

impl World {
    async fn start() -> Result<Self> {
        let echo = EchoBackend::start("echo").await?;
        let backend = gateway("gw", "PORT") + &loopback_service("echo", "TCP", echo.address().port());
        let fixture = Fixture::start(&[("all.yaml", ROUTES), ("backend.yaml", &backend)]).await?;
        Ok(Self { fixture, _echo: echo })
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Result<Response> {
        send(self.fixture.address(), request(method, "a.test", path, headers, Bytes::new())?).await
    }

    async fn get(&self, path: &str) -> Result<Response> {
        self.ask(Method::GET, path, &[]).await
    }

    /// The status line and headers that come back for these bytes.
    async fn raw(&self, bytes: &str) -> Result<String> {
        let mut stream = TcpStream::connect(self.fixture.address()).await?;
        stream.write_all(bytes.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut answer).await? > 0 {}
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_and_methods_that_are_not_served() -> Result<()> {
    let world = World::start().await?;
    for (request, status) in [
        ("GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", "426"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", "404"),
        ("CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n", "404"),
        ("FOO / HTTP/1.1\r\nHost: a.test\r\n\r\n", "400"),
        ("TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", "403"),
        (
            "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            "200",
        ),
    ] {
        let answer = world.raw(request).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_normalised_before_a_route_is_chosen() -> Result<()> {
    let world = World::start().await?;
    for (sent, forwarded) in [
        ("/a/b", "/a/b"),
        ("//a///b", "/a/b"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/..;x=1/b", "/b"),
        ("/%41%7e%2D", "/A~-"),
        ("/a%3ab%3Ac", "/a%3ab%3Ac"),
        ("/a;b=1/c", "/a;b=1/c"),
        ("/a%252Fb", "/a%252Fb"),
        ("/a?b=//../%2F", "/a?b=//../%2F"),
    ] {
        assert_eq!(world.get(sent).await?.echo()?.path, forwarded, "{sent}");
    }
    for (sent, status, location) in [
        ("/a%2Fb", "307", Some("/a/b")),
        ("/a%5cb", "307", Some("/a/b")),
        ("/a%00", "400", None),
        ("/a#b", "400", None),
        ("/a\u{e4}", "400", None),
    ] {
        let answer = world.raw(&format!("GET {sent} HTTP/1.1\r\nHost: a.test\r\n\r\n")).await?;
        ensure!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}: {answer}");
        let found = answer.lines().find_map(|line| line.strip_prefix("location: "));
        assert_eq!(found, location, "{sent}");
    }
    // A parameter behind a semicolon is part of its path element.
    assert_eq!(world.get("/exact").await?.header("x-rule"), Some("exact"));
    for other in ["/exact;a=b", "/exact/", "/Exact"] {
        assert_eq!(world.get(other).await?.header("x-rule"), None, "{other}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_and_headers_are_compared_as_they_are_sent() -> Result<()> {
    let world = World::start().await?;
    for (path, rule) in [
        ("/query?q=a%20b", Some("escaped")),
        ("/query?q=a+b", None),
        ("/query?q=a%20%62", None),
        ("/query?q=1", Some("one")),
        ("/query?x=2&q=1", Some("one")),
        ("/query?Q=1", None),
        ("/query?q=%31", None),
        ("/query?q=1&q=2", Some("one")),
        ("/query?q=2&q=1", None),
        ("/query?q=1;x=2", None),
    ] {
        assert_eq!(world.get(path).await?.header("x-rule"), rule, "{path}");
    }
    // Of several lines of one header each is compared alone, and one that fits is enough.
    for (headers, rule) in [
        (&[("x-list", "1,2")][..], Some("list")),
        (&[("X-LIST", "1, 2")], Some("spaced")),
        (&[("x-list", "1"), ("x-list", "2")], Some("first")),
        (&[("x-list", "2"), ("x-list", "1")], Some("first")),
        (&[("x-list", "3"), ("x-list", "2")], Some("second")),
        (&[("x-list", "3"), ("x-list", "1,2")], Some("list")),
        (&[("x-list", "3")], None),
    ] {
        let answer = world.ask(Method::GET, "/header", headers).await?;
        assert_eq!(answer.header("x-rule"), rule, "{headers:?} {}", answer.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_have_limits() -> Result<()> {
    let world = World::start().await?;
    let many: Vec<_> = (0..101).map(|number| format!("x-{number}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), "1")).collect();
    let few = &many[..80];
    let long = "a".repeat(33 * 1024);
    let shorter = "a".repeat(30 * 1024);
    for (what, headers, status) in [
        ("80 headers", few, 200),
        ("more than 100 headers", &many, 431),
        ("30 KiB", &[("x-long", shorter.as_str())], 200),
        ("more than 32 KiB", &[("x-long", long.as_str())], 431),
        ("an underscore", &[("x_y", "1")], 400),
    ] {
        let answer = world.ask(Method::GET, "/", headers).await?;
        assert_eq!(answer.status, status, "{what}");
    }
    // A body has no limit of the proxy's.
    let body = Bytes::from(vec![b'a'; 8 << 20]);
    let answer = send_within(
        Duration::from_secs(30),
        world.fixture.address(),
        request(Method::POST, "a.test", "/", &[], body.clone())?,
    );
    assert_eq!(answer.await?.echo()?.body.len(), body.len());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_backend_hears_who_the_client_is_from_the_proxy_alone() -> Result<()> {
    let world = World::start().await?;
    let sent = [
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "https"),
        ("x-envoy-external-address", "10.0.0.1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-request-id", "mine"),
        ("forwarded", "for=10.0.0.1"),
        ("x-forwarded-host", "b.test"),
    ];
    let answer = world.ask(Method::GET, "/", &sent).await?;
    let headers = answer.echo()?.headers;
    let header = |name: &str| headers.get(name).map(|values| values.join("|")).unwrap_or_default();
    // A client on the proxy's own machine is told by the machine's address.
    let added = header("x-forwarded-for").strip_prefix("10.0.0.1,").map(str::parse::<std::net::IpAddr>);
    assert!(added.is_some_and(|address| address.is_ok()), "the client's address is added: {headers:?}");
    assert_eq!(header("x-forwarded-proto"), "http");
    assert_eq!(header("x-envoy-external-address"), "127.0.0.1");
    assert_eq!(header("x-envoy-retry-on"), "");
    assert_eq!(header("forwarded"), "for=10.0.0.1");
    assert_eq!(header("x-forwarded-host"), "b.test");
    assert_eq!(header("x-request-id").len(), 36, "{}", header("x-request-id"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_are_compared_without_port_case_and_dot() -> Result<()> {
    let world = World::start().await?;
    for (host, status, forwarded) in [
        ("a.test", 200, "a.test"),
        ("A.Test", 200, "A.Test"),
        ("a.test:8080", 200, "a.test:8080"),
        ("a.test.", 200, "a.test"),
        ("b.test", 404, ""),
        ("a.test,b.test", 400, ""),
        ("a.test..", 400, ""),
    ] {
        let answer =
            send(world.fixture.address(), request(Method::GET, host, "/", &[], Bytes::new())?).await?;
        assert_eq!(answer.status, status, "{host}");
        if status == 200 {
            assert_eq!(answer.echo()?.host, forwarded, "{host}");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_answers_expect_itself() -> Result<()> {
    let world = World::start().await?;
    let answer = world
        .raw("POST / HTTP/1.1\r\nHost: a.test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .await?;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n"), "{answer}");
    Ok(())
}

/// Takes the 10 s that it is about.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_headers_of_a_request_have_ten_seconds() -> Result<()> {
    let world = World::start().await?;
    let started = Instant::now();
    let answer = world.raw("GET / HTTP/1.1\r\nHost: a.test\r\n").await?;
    let waited = started.elapsed();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(waited > Duration::from_secs(9) && waited < Duration::from_secs(20), "{waited:?}");
    println!("{waited:?}");
    Ok(())
}

/// The page quotes tests, and each of them exists.
#[test]
fn every_sentence_of_the_page_names_a_test_that_exists() {
    let e2e = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(e2e.join("../docs/behaviour.md")).unwrap();
    let sources = sources(&e2e.join("tests")) + &sources(&e2e.join("../translator/tests"));
    let mut quoted = 0;
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.contains("| test |"));
    for row in rows {
        let cell = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).filter(|name| !name.contains('/')).collect();
        assert!(!names.is_empty(), "no test in: {row}");
        for name in names {
            let (_, function) = name.rsplit_once("::").unwrap_or(("", name));
            assert!(sources.contains(&format!("fn {function}(")), "{name} in: {row}");
            quoted += 1;
        }
    }
    assert!(quoted > 30, "{quoted} tests are quoted");
}

/// The text of all tests below a folder.
fn sources(folder: &std::path::Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let text = entries.map(|path| match path.extension().and_then(|ending| ending.to_str()) {
        _ if path.is_dir() => sources(&path),
        Some("rs") => std::fs::read_to_string(&path).unwrap(),
        _ => String::new(),
    });
    text.collect()
}
