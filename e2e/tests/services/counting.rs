//! `rateLimit.global`: a service of the user's counts.

use anyhow::{Result, ensure};
use e2e::http::closed_port;
use e2e::manifests::loopback_service;

use super::limits::{FAIL, LIMIT, Limits};
use super::world::{BACKEND, World, extension, of_route, policy};

/// A policy of a route that has an extension of the same name count this.
fn counts(route: &str, descriptors: &str) -> String {
    let members = format!("extensionRef: {{name: {route}}}, descriptors: [{descriptors}]");
    of_route(route, &format!("rateLimit: {{global: {{{members}}}}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_counts_what_it_is_told_of_requests() -> Result<()> {
    let service = Limits::start().await?;
    let user = "{entries: [{type: Header, header: X-User}]}";
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("a", "rateLimit", &format!("{BACKEND}, domain: shop, xRateLimitHeaders: DraftVersion03")),
        extension("quiet", "rateLimit", &format!("{BACKEND}, domain: other, timeout: 5s")),
        counts(
            "a",
            &format!(
                "{user}, {{entries: [{{type: Generic, generic: {{key: plan, value: '100%'}}}}, {{type: Path}}]}}, {{entries: [{{type: \
                 RemoteAddress}}, {{type: Header, header: x-absent}}]}}"
            ),
        ),
        counts("quiet", user),
    ]
    .concat();
    let world = World::start(&["a", "quiet", "open"], &objects).await?;
    let recording = world.backend.record();

    // A descriptor of which a request lacks a part is left out.
    let first = world.get("/a/b?c=d", &[("x-user", "alice")]).await?;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(service.take_asked(), ["shop: x-user=alice | plan=100%,path=/a/b?c=d"]);
    assert!(first.header("x-ratelimit-limit").is_some_and(|limit| limit.starts_with("2, 2;w=60")));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("1"));
    assert_eq!(first.header("x-ratelimit-reset"), Some("7"));

    assert_eq!(world.get("/a/1", &[("x-user", "alice")]).await?.status, 200);
    let over = world.get("/a/2", &[("x-user", "alice")]).await?;
    assert_eq!((over.status, over.header("retry-after")), (429, Some("7")), "{}", over.text());
    assert_eq!(over.header("x-envoy-ratelimited"), Some("true"));
    assert_eq!(over.header("x-ratelimit-remaining"), Some("0"));
    assert_eq!(recording.take().len(), 2, "the backend got what was within the limit");
    assert_eq!(
        world.get("/a/3", &[("x-user", "bob")]).await?.status,
        200,
        "another user has a limit of its own"
    );

    // Another domain counts for itself, and says nothing of it.
    drop(service.take_asked());
    for _ in 0..LIMIT {
        let answer = world.get("/quiet", &[("x-user", "alice")]).await?;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (200, None));
    }
    assert_eq!(world.get("/quiet", &[("x-user", "alice")]).await?.status, 429);
    assert!(service.take_asked().iter().all(|asked| asked == "other: x-user=alice"));

    // Nothing is left to tell: the service is not asked, and the request passes.
    assert_eq!(world.get("/quiet", &[]).await?.status, 200);
    assert_eq!(world.get("/open", &[("x-user", "alice")]).await?.status, 200);
    assert_eq!(service.take_asked(), Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_of_grpc_hear_that_they_are_too_many() -> Result<()> {
    let service = Limits::start().await?;
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("a", "rateLimit", &format!("{BACKEND}, domain: shop")),
        counts("a", "{entries: [{type: Generic, generic: {key: a, value: b}}]}"),
    ]
    .concat();
    let world = World::start(&["a"], &objects).await?;
    let call = [("content-type", "application/grpc")];
    for _ in 0..LIMIT {
        assert_eq!(world.get("/a", &[]).await?.status, 200);
    }
    let over = world.get("/a", &call).await?;
    // 8 is RESOURCE_EXHAUSTED.
    assert_eq!((over.status, over.header("grpc-status")), (200, Some("8")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_lets_nothing_pass_unless_it_may() -> Result<()> {
    let service = Limits::start().await?;
    let away = "grpcService: {backendRef: {name: away, port: 80}}, domain: a";
    let one = "{entries: [{type: Path}]}";
    let fails = format!("{{entries: [{{type: Generic, generic: {{key: a, value: {FAIL}}}}}]}}");
    let objects = [
        loopback_service("service", "TCP", service.port()),
        loopback_service("away", "TCP", closed_port()?),
        extension("away", "rateLimit", away),
        extension("open", "rateLimit", &format!("{away}, failOpen: true")),
        extension("fails", "rateLimit", &format!("{BACKEND}, domain: a")),
        counts("away", one),
        counts("open", one),
        counts("fails", &fails),
        // No extension of this name.
        counts("missing", one),
    ]
    .concat();
    let world = World::start(&["away", "open", "fails", "missing", "plain"], &objects).await?;
    for (route, status) in [("away", 503), ("open", 200), ("fails", 503), ("missing", 500), ("plain", 200)] {
        let answer = world.get(&format!("/{route}"), &[]).await?;
        assert_eq!(answer.status, status, "{route}: {}", answer.text());
    }
    let told =
        world.fixture.told("TrafficPolicy default/missing", "/ancestors/0/conditions", "Accepted", "Invalid");
    assert!(told.await?.contains("spec.rateLimit.global.extensionRef"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_are_merged_and_edited_without_a_change_of_listeners() -> Result<()> {
    let service = Limits::start().await?;
    let told = |value: &str| {
        format!(
            "rateLimit: {{global: {{extensionRef: {{name: e}}, descriptors: [{{entries: [{{type: Generic, generic: {{key: from, value: {value}}}}}]}}]}}}}"
        )
    };
    let objects = [
        loopback_service("service", "TCP", service.port()),
        extension("e", "rateLimit", &format!("{BACKEND}, domain: d")),
        policy("Gateway", "gw", &told("gateway")),
        of_route("own", &told("route")),
        of_route("free", "rateLimit: {global: {disable: {}}}"),
    ]
    .concat();
    let world = World::start(&["own", "free", "rest"], &objects).await?;
    let listeners = world.listeners().await?;
    for (path, from) in [("/rest", Some("gateway")), ("/own", Some("route")), ("/free", None)] {
        assert_eq!(world.get(path, &[]).await?.status, 200, "{path}");
        let expected: Vec<String> = from.iter().map(|from| format!("d: from={from}")).collect();
        assert_eq!(service.take_asked(), expected, "{path}");
    }
    world.fixture.save("policies.yaml", &objects.replace("value: route", "value: edited"))?;
    e2e::http::eventually(e2e::fixture::DEADLINE, || async {
        world.get("/own", &[]).await?;
        let asked = service.take_asked();
        ensure!(asked.last().is_some_and(|asked| asked == "d: from=edited"), "{asked:?}");
        Ok(())
    })
    .await?;
    // Without the extension, nothing passes whose requests it should count.
    world.fixture.save("policies.yaml", &objects.replace("metadata: {name: e}", "metadata: {name: f}"))?;
    world.until("/own", &[], 500).await?;
    world.fixture.save("policies.yaml", "")?;
    world.until("/own", &[], 200).await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    Ok(())
}
