//! Options of Gloo's that change where requests and their copies go: `prefixRewrite`, `csrf`, `shadowing`, `upgrades`, and waits
//! that an answer asks for; and kgateway's `requestMirror`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::echo::{EchoBackend, RETRY_AFTER_HEADER, STATUS_HEADER};
use e2e::envoy::TIMER_TOLERANCE;
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::eventually;
use e2e::manifests::{gateway, http_route, loopback_service};
use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::world::{World, of_route};

/// A RouteOption for a route, as a document with its end marker.
fn option(route: &str, options: &str) -> String {
    format!(
        "apiVersion: gateway.solo.io/v1\nkind: RouteOption\nmetadata: {{name: {route}}}\nspec: {{targetRefs: [{{group: \
         gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}], options: {{{options}}}}}\n---\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefix_becomes_another_one_and_pages_of_other_origins_are_refused() -> Result<()> {
    let all = "{defaultValue: {numerator: 1, denominator: HUNDRED}}";
    let objects = [
        option("path", "prefixRewrite: /v2"),
        option("root", "prefixRewrite: /"),
        option("origins", "csrf: {additionalOrigins: [{suffix: .friend.test}]}"),
        option("shadow", "csrf: {shadowEnabled: {defaultValue: {numerator: 100}}}"),
        option("some", &format!("csrf: {{filterEnabled: {all}}}")),
    ]
    .concat();
    let world = World::start(&["path", "root", "origins", "shadow", "some"], &objects).await?;
    for (path, expected) in
        [("/path/a?q=/path", "/v2/a?q=/path"), ("/path", "/v2"), ("/root/a", "/a"), ("/root", "/")]
    {
        assert_eq!(world.get(path, &[]).await?.echo()?.path, expected);
    }
    for (path, origin, status) in [
        ("/origins", "https://evil.test", 403),
        ("/origins", "https://x.friend.test", 200),
        ("/origins", "http://a.test", 200),
        ("/shadow", "https://evil.test", 200),
    ] {
        let answer = world.ask(Method::POST, path, &[("origin", origin)], "").await?;
        assert_eq!(answer.status, status, "{path} {origin}");
    }
    let mut refused = 0;
    for _ in 0..100 {
        let answer = world.ask(Method::POST, "/some", &[("origin", "https://evil.test")], "").await?;
        refused += u32::from(answer.status == 403);
    }
    assert!(refused < 20, "{refused} of 100 are one in a hundred");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_go_to_an_upstream_and_have_the_host_that_a_policy_says() -> Result<()> {
    let copies = EchoBackend::start("copies").await?;
    let recording = copies.record();
    let upstream = |namespace: &str| {
        format!(
            "apiVersion: gloo.solo.io/v1\nkind: Upstream\nmetadata: {{name: copies, namespace: {namespace}}}\nspec: {{static: {{hosts: [{{addr: \
             127.0.0.1, port: {}}}]}}}}\n---\n",
            copies.address().port()
        )
    };
    let to = |namespace: &str| {
        format!("shadowing: {{upstream: {{name: copies, namespace: {namespace}}}, percentage: 100}}")
    };
    let objects = [
        upstream("default"),
        upstream("other"),
        option("plain", &to("default")),
        option("suffixed", &to("default")),
        option("named", &to("default")),
        option("half", "shadowing: {upstream: {name: copies}, percentage: 50}"),
        option("foreign", &to("other")),
        of_route("suffixed", "requestMirror: {disableShadowHostSuffixAppend: false}"),
        of_route("named", "requestMirror: {hostRewriteLiteral: copies.test}"),
    ]
    .concat();
    let world = World::start(&["plain", "suffixed", "named", "half", "foreign"], &objects).await?;
    for (path, host) in [("/plain", "a.test"), ("/suffixed", "a.test-shadow"), ("/named", "copies.test")] {
        let echo = world.ask(Method::POST, path, &[], "body").await?.echo()?;
        assert_eq!((echo.identity.as_str(), echo.host.as_str()), ("main", "a.test"), "{path}");
        let copy = eventually(DEADLINE, || async { recording.take().pop().context("a copy") }).await?;
        assert_eq!((copy.path(), copy.host.as_str()), (path, host));
        assert_eq!(copy.body, "body", "{path}");
    }
    // A reference to another namespace needs its grant; requests go on without the copies.
    for _ in 0..200 {
        assert_eq!(world.get("/half", &[]).await?.status, 200);
    }
    assert_eq!(world.get("/foreign", &[]).await?.status, 200);
    let half = eventually(DEADLINE, || async {
        let copies = copies.served() - 3;
        ensure!((60..=140).contains(&copies), "{copies} copies of half of 200");
        Ok(copies)
    });
    half.await?;
    assert!(recording.take().iter().all(|copy| copy.path() == "/half"), "no copy of /foreign");
    let told = world.fixture.told(
        "RouteOption default/foreign",
        "/ancestors/0/conditions",
        "PartiallyInvalid",
        "UnsupportedValue",
    );
    assert!(told.await?.contains("no ReferenceGrant"));
    let grant = "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\nmetadata: {name: g, namespace: other}\nspec: {from: \
                 [{group: gateway.solo.io, kind: RouteOption, namespace: default}], to: [{group: gloo.solo.io, kind: Upstream}]}\n";
    world.fixture.save("grant.yaml", grant)?;
    eventually(DEADLINE, || async {
        world.get("/foreign", &[]).await?;
        ensure!(recording.take().iter().any(|copy| copy.path() == "/foreign"), "no copy yet");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_how_long_the_wait_is() -> Result<()> {
    let objects = option(
        "told",
        "retries: {retriableStatusCodes: [429], retryBackOff: {baseInterval: 0.001s}, rateLimitedRetryBackOff: {resetHeaders: \
         [{name: Retry-After}], maxInterval: 5s}}",
    );
    let world = World::start(&["told"], &objects).await?;
    let recording = world.backend.record();
    for (wait, least, most) in [("1", 1000, 10_000), ("60", 0, 1000)] {
        let begun = Instant::now();
        let answer = world.get("/told", &[(STATUS_HEADER, "429"), (RETRY_AFTER_HEADER, wait)]).await?;
        let took = begun.elapsed();
        assert_eq!((answer.status, recording.take().len()), (429, 2));
        let least = Duration::from_millis(least).saturating_sub(TIMER_TOLERANCE);
        assert!((least..Duration::from_millis(most)).contains(&took), "{wait}: {took:?}");
    }
    Ok(())
}

/// A backend that takes every upgrade.
async fn upgrading_backend() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await?);
                }
                let answer =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                stream.write_all(answer.as_bytes()).await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}

/// The status of an upgrade.
async fn upgraded(fixture: &Fixture, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(fixture.address()).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
         dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut status = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut status)).await??;
    Ok(String::from_utf8_lossy(&status[9..]).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_become_websockets_where_options_say_so() -> Result<()> {
    let rule = |path: &str| {
        format!("matches: [{{path: {{value: /{path}}}}}]\n    backendRefs: [{{name: main, port: 80}}]")
    };
    let objects = [
        gateway("gw", "PORT"),
        http_route("on", "", &rule("on")),
        http_route("off", "", &rule("off")),
        http_route("unsaid", "", &rule("unsaid")),
        loopback_service("main", "TCP", upgrading_backend().await?),
        option("on", "upgrades: [{websocket: {}}]"),
        option("off", "upgrades: [{websocket: {enabled: false}}]"),
    ];
    let fixture = Fixture::start(&[("all.yaml", &objects.concat())]).await?;
    for (path, status) in [("/on", "101"), ("/off", "403"), ("/unsaid", "403")] {
        assert_eq!(upgraded(&fixture, path).await?, status, "{path}");
    }
    // The listener says that they may, and a route that they may not.
    let listener = "apiVersion: gateway.kgateway.dev/v1alpha1\nkind: HTTPListenerPolicy\nmetadata: {name: main}\nspec: {targetRefs: [{group: \
                    gateway.networking.k8s.io, kind: Gateway, name: gw}], upgradeConfig: {enabledUpgrades: [websocket]}}\n";
    fixture.save("listener.yaml", listener)?;
    eventually(DEADLINE, || async {
        let status = upgraded(&fixture, "/unsaid").await?;
        ensure!(status == "101", "{status}");
        Ok(())
    })
    .await?;
    assert_eq!(upgraded(&fixture, "/off").await?, "403");
    Ok(())
}
