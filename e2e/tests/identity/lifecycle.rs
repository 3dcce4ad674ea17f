//! Policies, extensions and keys that come, change and go, while the listener stays.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use e2e::fixture::DEADLINE;
use e2e::http::eventually;
use e2e::key_server::KeyServer;
use e2e::manifests::{indented, loopback_service};
use e2e::token::Issuer;
use serde_json::json;

use super::world::{World, extension, policy};

/// A ConfigMap with keys.
fn keys(set: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: keys}}\ndata:\n  jwks: |\n{}", indented(set))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_exchanged_and_references_break_without_a_moment_of_openness() -> Result<()> {
    let (first, second) = (Issuer::new()?, Issuer::new()?);
    let claims = json!({"sub": "alice"});
    let (old, new) = (first.token(&claims)?, second.token(&claims)?);
    let provider = "jwks: {local: {configMapRef: {name: keys}}}";
    let asks = policy("a", "  jwtAuth: {extensionRef: {name: idp}}");
    let world = World::start(&["a", "b"], "").await?;
    let listeners = world.listeners().await?;
    assert_eq!(world.ask_with("/a", "").await?.status, 200, "nobody asks for tokens yet");
    world.fixture.save("keys.yaml", &keys(&first.key_set()))?;
    world.fixture.save("policies.yaml", &(extension("idp", "Strict", provider) + &asks))?;
    world.until_with("/a", "", 401).await?;
    assert_eq!(world.ask_with("/a", &old).await?.status, 200);
    assert_eq!(world.ask_with("/a", &new).await?.status, 401);
    assert_eq!(world.ask_with("/b", "").await?.status, 200, "another route asks for nothing");
    world.fixture.save("keys.yaml", &keys(second.pem()))?;
    world.until_with("/a", &new, 200).await?;
    assert_eq!(world.ask_with("/a", &old).await?.status, 401);
    for (what, file) in [("no key set", "keys.yaml"), ("no extension", "policies.yaml")] {
        match file {
            "keys.yaml" => world.fixture.delete(file)?,
            _ => world.fixture.save(file, &asks)?,
        }
        world.until_with("/a", &new, 500).await?;
        let told =
            world.fixture.told("TrafficPolicy default/a", "/ancestors/0/conditions", "Accepted", "Invalid");
        ensure!(told.await?.contains("does not exist"), "{what}");
    }
    world.fixture.save("policies.yaml", "")?;
    world.until_with("/a", "", 200).await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_a_server_are_fetched_before_they_are_needed_and_again() -> Result<()> {
    let (first, second) = (Issuer::new()?, Issuer::new()?);
    let claims = json!({"sub": "alice"});
    let (old, new) = (first.token(&claims)?, second.token(&claims)?);
    let server = KeyServer::start(&first.key_set()).await?;
    let service = loopback_service("idp", "TCP", server.port());
    let remote =
        "jwks: {remote: {url: http://idp.test/keys, backendRef: {name: idp, port: 80}, cacheDuration: 1s}}";
    let objects = service
        + &extension("idp", "Strict", remote)
        + &policy("a", "  jwtAuth: {extensionRef: {name: idp}}");
    let world = World::start(&["a", "b"], &objects).await?;
    eventually(DEADLINE, || async {
        ensure!(server.served() > 0, "no request has come, and no key was asked for");
        Ok(())
    })
    .await?;
    world.until_with("/a", &old, 200).await?;
    assert_eq!(world.ask_with("/a", &new).await?.status, 401);
    server.tell(&second.key_set());
    world.until_with("/a", &new, 200).await?;
    assert_eq!(world.ask_with("/a", &old).await?.status, 401);
    // An edit of another route does not have the keys fetched again.
    let long = objects.replace(", cacheDuration: 1s", "");
    world.fixture.save("policies.yaml", &long)?;
    let asked = eventually(DEADLINE, || async {
        let dump = world.fixture.envoy("gw")?.get("/config_dump?resource=ecds_filters").await?.text();
        ensure!(dump.contains("\"300s\""), "{dump}");
        Ok(())
    });
    asked.await?;
    world.until_with("/a", &new, 200).await?;
    let before = server.served();
    world.fixture.save("more.yaml", &(policy("b", "  rbac: {policy: {matchExpressions: ['false']}}")))?;
    world.until_with("/b", "", 403).await?;
    assert_eq!(server.served(), before);
    Ok(())
}

/// Envoy keeps tokens that it has verified, and takes one for a minute after it has expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_was_taken_before_is_refused_once_it_has_expired() -> Result<()> {
    let issuer = Issuer::new()?;
    let provider = format!("jwks: {{local: {{inline: '{}'}}}}", issuer.key_set());
    let objects =
        extension("idp", "Strict", &provider) + &policy("a", "  jwtAuth: {extensionRef: {name: idp}}");
    let world = World::start(&["a"], &objects).await?;
    world.until_with("/a", "", 401).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let token = issuer.token(&json!({"sub": "alice", "exp": now - 56}))?;
    for _ in 0..3 {
        assert_eq!(world.ask_with("/a", &token).await?.status, 200);
    }
    let kept = world.fixture.envoy("gw")?.get("/stats?filter=jwt_cache_hit").await?.text();
    ensure!(!kept.contains("jwt_cache_hit: 0"), "{kept}");
    world.until_with("/a", &token, 401).await?;
    Ok(())
}
