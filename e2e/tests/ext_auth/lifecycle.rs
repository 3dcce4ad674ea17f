//! Services, extensions and policies that come, change, fail and go, while the listener stays.

use anyhow::{Result, ensure};
use e2e::auth_server::{AuthServer, PASS};
use e2e::http::closed_port;
use e2e::manifests::loopback_service;

use super::world::{World, asks, extension};

const GOOD: [(&str, &str); 1] = [("authorization", PASS)];
const HTTP: &str = "httpService: {backendRef: {name: auth, port: 80}}";
const GRPC: &str = "grpcService: {backendRef: {name: auth, port: 80}}";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_away_lets_nothing_pass_unless_it_may() -> Result<()> {
    let backend = loopback_service("auth", "TCP", closed_port()?);
    let routes = ["http", "grpc", "status", "open", "open-grpc", "none"];
    let objects = [
        backend,
        "apiVersion: v1\nkind: Service\nmetadata: {name: empty}\nspec: {ports: [{port: 80}]}\n---\n"
            .to_owned(),
        extension("http", HTTP),
        extension("grpc", GRPC),
        extension("status", &format!("{HTTP}, statusOnError: 503")),
        extension("open", &format!("{HTTP}, failOpen: true")),
        extension("open-grpc", &format!("{GRPC}, failOpen: true")),
        extension("none", "httpService: {backendRef: {name: empty, port: 80}}"),
        routes.map(|route| asks(route, "")).concat(),
    ]
    .concat();
    let world = World::start(&routes, &objects).await?;
    for (route, status) in
        [("http", 403), ("grpc", 403), ("status", 503), ("open", 200), ("open-grpc", 200), ("none", 403)]
    {
        let answer = world.get(&format!("/{route}"), &GOOD).await?;
        assert_eq!(answer.status, status, "{route}: {}", answer.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn references_break_and_heal_without_a_moment_of_openness() -> Result<()> {
    let service = AuthServer::start().await?;
    let world = World::start(&["a", "b"], "").await?;
    let listeners = world.listeners().await?;
    assert_eq!(world.get("/a", &[]).await?.status, 200, "nobody is asked yet");
    let backend = loopback_service("auth", "TCP", service.address().port());
    let (extended, asking) = (extension("a", HTTP), asks("a", ""));
    world.fixture.save("backend.yaml", &backend)?;
    world.fixture.save("extension.yaml", &extended)?;
    world.fixture.save("policies.yaml", &asking)?;
    world.until("/a", &[], 401).await?;
    assert_eq!(world.get("/a", &GOOD).await?.status, 200);
    assert_eq!(world.get("/b", &[]).await?.status, 200, "another route asks nobody");
    for (file, content, wanted) in
        [("extension.yaml", &extended, "does not exist"), ("backend.yaml", &backend, "does not exist")]
    {
        world.fixture.delete(file)?;
        world.until("/a", &GOOD, 500).await?;
        let told =
            world.fixture.told("TrafficPolicy default/a", "/ancestors/0/conditions", "Accepted", "Invalid");
        let told = told.await;
        ensure!(told.as_ref().is_ok_and(|told| told.contains(wanted)), "{file}: {told:?}");
        world.fixture.save(file, content)?;
        world.until("/a", &GOOD, 200).await?;
    }
    // An edit of the extension counts at once for whom it is about, and changes nothing else.
    world.fixture.save("extension.yaml", &extension("a", &format!("{HTTP}, statusOnError: 299")))?;
    world.until("/a", &GOOD, 500).await?;
    world.fixture.save(
        "extension.yaml",
        &extension("a", "httpService: {backendRef: {name: auth, port: 80}, pathPrefix: /v}"),
    )?;
    world.until("/a", &GOOD, 200).await?;
    assert_eq!(service.asked().last().map(|asked| asked.path().to_owned()).as_deref(), Some("/v/a"));
    world.fixture.save("policies.yaml", "")?;
    world.until("/a", &[], 200).await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    Ok(())
}
