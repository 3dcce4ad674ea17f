//! `compression`, `faultInjection` and `urlRewrite`.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::envoy::TIMER_TOLERANCE;
use http::Method;

use super::world::{World, of_route, policy};

/// The delay that the tests configure, as `700ms` or `0.7s`.
const DELAY: Duration = Duration::from_millis(700);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_are_made_for_the_routes_that_ask_for_them() -> Result<()> {
    let objects = [
        policy("Gateway", "gw", "faultInjection: {abort: {httpStatus: 418}}"),
        of_route("grpc", "faultInjection: {abort: {grpcStatus: 14}}"),
        of_route("slow", "faultInjection: {delay: {fixedDelay: 700ms}}"),
        of_route("never", "faultInjection: {abort: {httpStatus: 418, percentage: 0}}"),
        of_route("off", "faultInjection: {disable: {}}"),
    ]
    .concat();
    let world = World::start(&["all", "grpc", "slow", "never", "off"], &objects).await?;
    for (path, status) in [("/all", 418), ("/grpc", 200), ("/slow", 200), ("/never", 200), ("/off", 200)] {
        let begun = Instant::now();
        let headers = [("content-type", "application/grpc"), ("x-envoy-downstream-service-cluster", "me")];
        let headers = if path == "/grpc" { &headers[..] } else { &headers[1..] };
        let answer = world.get(path, headers).await?;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert_eq!(answer.header("grpc-status"), (path == "/grpc").then_some("14"), "{path}");
        let took = begun.elapsed();
        assert_eq!(took >= DELAY - TIMER_TOLERANCE, path == "/slow", "{path}: {took:?}");
    }
    let statistics = world.fixture.envoy("gw")?.get("/stats?filter=fault").await?.text();
    assert!(
        !statistics.contains(".me."),
        "a client can have nothing counted under a name of its own: {statistics}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expression_says_what_paths_become() -> Result<()> {
    let objects =
        of_route("a", r"urlRewrite: {pathRegex: {pattern: '^/a/v([0-9]+)/(.*)$', substitution: '/\2/v\1'}}");
    let world = World::start(&["a"], &objects).await?;
    for (path, expected) in [("/a/v2/items/7?x=/a/v1/", "/items/7/v2?x=/a/v1/"), ("/a/items", "/a/items")] {
        assert_eq!(world.get(path, &[]).await?.echo()?.path, expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn options_of_gloo_say_the_same() -> Result<()> {
    let option = |route: &str, options: &str| {
        format!(
            "apiVersion: gateway.solo.io/v1\nkind: RouteOption\nmetadata: {{name: {route}}}\nspec: {{targetRefs: [{{group: \
             gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}], options: {{{options}}}}}\n---\n"
        )
    };
    let objects = [
        option("host", "hostRewrite: other.test"),
        option(
            "path",
            r"regexRewrite: {pattern: {googleRe2: {}, regex: '^/path/v([0-9]+)/'}, substitution: '/\1/'}",
        ),
        option("abort", "faults: {abort: {percentage: 100, httpStatus: 418}}"),
        option("slow", "faults: {delay: {percentage: 100, fixedDelay: 0.7s}, abort: {httpStatus: 418}}"),
    ]
    .concat();
    let world = World::start(&["host", "path", "abort", "slow"], &objects).await?;
    assert_eq!(world.get("/host", &[]).await?.echo()?.host, "other.test");
    assert_eq!(world.get("/path/v7/a?q", &[]).await?.echo()?.path, "/7/a?q");
    assert_eq!(world.get("/abort", &[]).await?.status, 418);
    let begun = Instant::now();
    assert_eq!(world.get("/slow", &[]).await?.status, 200);
    let took = begun.elapsed();
    assert!(took >= DELAY - TIMER_TOLERANCE, "{took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_compressed_for_whom_takes_it_and_requests_go_on_without() -> Result<()> {
    let both = "compression: {responseCompression: {}, requestDecompression: {}}";
    let objects = [
        policy("Gateway", "gw", &format!("{both}, buffer: {{maxRequestSize: 1000}}")),
        of_route("answers", "compression: {requestDecompression: {disable: {}}}"),
        of_route("requests", "compression: {responseCompression: {disable: {}}}"),
    ]
    .concat();
    let world = World::start(&["both", "answers", "requests"], &objects).await?;
    let body = "what is sent, ".repeat(10);
    let packed = gzip(body.as_bytes())?;
    let headers = [("accept-encoding", "gzip"), ("content-encoding", "gzip"), ("content-type", "text/plain")];
    for (path, compresses, decompresses) in
        [("/both", true, true), ("/answers", true, false), ("/requests", false, true)]
    {
        let answer = world.ask(Method::POST, path, &headers, packed.clone()).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-encoding"), compresses.then_some("gzip"), "{path}");
        let text = if compresses { gunzip(&answer.body)? } else { answer.text() };
        let echo: e2e::echo::Echo = serde_json::from_str(&text)?;
        assert_eq!(echo.body == body, decompresses, "{path}");
        assert_eq!(echo.headers.contains_key("content-encoding"), !decompresses, "{path}");
        assert_eq!(echo.headers["accept-encoding"], ["gzip"], "{path}: the backend may do it itself");
    }
    let plain = world.ask(Method::POST, "/both", &[], body.clone()).await?;
    assert_eq!((plain.header("content-encoding"), plain.echo()?.body), (None, body));
    // How large a body is, is told without compression.
    let bomb = gzip(&vec![b'a'; 100_000])?;
    assert!(bomb.len() < 1000);
    assert_eq!(world.ask(Method::POST, "/both", &headers[1..], bomb).await?.status, 413);
    Ok(())
}

/// What Envoy has compressed in one form, it takes off again: the backend gets what it has said itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compression_has_other_forms_types_and_sizes() -> Result<()> {
    let all = "libraries: [Gzip, Brotli, Zstd]";
    let json = "contentTypes: [application/json]";
    let objects = [
        policy("Gateway", "gw", &format!("compression: {{requestDecompression: {{{all}}}}}")),
        of_route("all", &format!("compression: {{responseCompression: {{{all}, {json}}}}}")),
        of_route("zstd", "compression: {responseCompression: {libraries: [Zstd]}, requestDecompression: {libraries: [Brotli]}}"),
        of_route("large", "compression: {responseCompression: {minContentLengthBytes: 100000}}"),
        of_route("other", "compression: {responseCompression: {contentTypes: [text/html]}}"),
    ]
    .concat();
    let world = World::start(&["all", "zstd", "large", "other", "plain"], &objects).await?;
    let body = "what is sent, ".repeat(10);
    for (path, accepted, coding) in [
        ("/all", "br", Some("br")),
        ("/all", "zstd", Some("zstd")),
        ("/all", "gzip", Some("gzip")),
        ("/all", "br;q=0.1, zstd;q=0.5, gzip;q=0.2", Some("zstd")),
        ("/all", "identity", None),
        ("/zstd", "gzip, br", None),
        ("/zstd", "gzip, zstd", Some("zstd")),
        ("/large", "gzip", None),
        ("/other", "gzip", None),
        ("/plain", "gzip, br, zstd", None),
    ] {
        let answer = world.ask(Method::POST, path, &[("accept-encoding", accepted)], body.clone()).await?;
        assert_eq!(
            (answer.status, answer.header("content-encoding")),
            (200, coding),
            "{path} {accepted}: {}",
            answer.text()
        );
        let Some(coding) = coding else {
            assert_eq!(answer.echo()?.body, body, "{path} {accepted}");
            continue;
        };
        let packed = [("content-encoding", coding)];
        let echo = world.ask(Method::POST, "/plain", &packed, answer.body.clone()).await?.echo()?;
        let said: e2e::echo::Echo = serde_json::from_str(&echo.body)?;
        assert_eq!(said.body, body, "{path} {accepted}");
        assert!(!echo.headers.contains_key("content-encoding"), "{path} {accepted}");
        let kept = world.ask(Method::POST, "/zstd", &packed, answer.body).await?.echo()?;
        assert_eq!(kept.headers.contains_key("content-encoding"), coding != "br", "{path} {accepted}");
    }
    Ok(())
}

fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text)?;
    Ok(encoder.finish()?)
}

fn gunzip(packed: &[u8]) -> Result<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed).read_to_string(&mut text)?;
    Ok(text)
}
