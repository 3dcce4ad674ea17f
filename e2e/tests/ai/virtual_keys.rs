//! Virtual keys with the real Envoy: who shows none, or one that opens nothing, is refused before a provider is asked; keys
//! come, change and go without a change of a listener; and nobody sees them but the control plane.

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually};
use serde_json::{Value, json};

use crate::world::{DEADLINE, World, chat, openai, route_to};

const ONE: &str = "sk-canary-one-00000000000000000001";
const TWO: &str = "sk-canary-two-00000000000000000002";
const OLD: &str = "sk-canary-old-00000000000000000003";

/// A Secret with a key.
fn key_secret(name: &str, key: &str) -> String {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "default"},
        "stringData": {"key": key}});
    format!("---\n{secret}\n")
}

/// A VirtualKey whose key is in the Secret of the same name; `more` is the rest of its spec.
fn virtual_key(name: &str, team: &str, more: &Value) -> String {
    let mut spec = json!({"secretRef": {"name": name}});
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let key = json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "VirtualKey",
        "metadata": {"name": name, "namespace": "default", "labels": {"team": team}}, "spec": spec});
    format!("---\n{key}\n")
}

/// A policy of a route that asks for the keys with a label.
pub(crate) fn asking(route: &str, labels: &Value) -> String {
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route});
    let policy = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy",
        "metadata": {"name": route, "namespace": "default"},
        "spec": {"targetRefs": [target], "virtualKeys": {"matchLabels": labels}}});
    format!("---\n{policy}\n")
}

/// A key in a Secret of its own.
pub(crate) fn key(name: &str, text: &str, team: &str, more: &Value) -> String {
    key_secret(name, text) + &virtual_key(name, team, more)
}

fn objects() -> String {
    openai("canary-provider")
        + &route_to("all", "one")
        + &route_to("open", "one")
        + &asking("one", &json!({"team": "a"}))
        + &asking("all", &json!({}))
        + &key_secret("old", OLD)
        + &key(
            "one",
            ONE,
            "a",
            &json!({"models": ["client-*"], "previous": [{"secretRef": {"name": "old"}, "until": "2100-01-01T00:00:00Z"}]}),
        )
        + &key("two", TWO, "b", &json!({}))
        + &key("late", "sk-canary-late-0000000000000000004", "a", &json!({"expires": "2020-01-01T00:00:00Z"}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_key_that_opens_the_route_is_refused_before_a_provider_is_asked() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let bearer = |key: &str| format!("Bearer {key}");
    let (one, two, old) = (bearer(ONE), bearer(TWO), bearer(OLD));
    let doubled = format!("{ONE}, {ONE}");
    for (path, headers, expected) in [
        ("/one", vec![("authorization", &*one)], 200),
        ("/one", vec![("authorization", &*old)], 200),
        ("/one", vec![("x-api-key", ONE)], 200),
        ("/one", vec![("api-key", ONE)], 200),
        ("/one", vec![("x-goog-api-key", ONE)], 200),
        ("/all", vec![("authorization", &*two)], 200),
        ("/open", vec![], 200),
        ("/one", vec![], 401),
        ("/one", vec![("authorization", ONE)], 401),
        ("/one", vec![("authorization", "Bearer canary-provider")], 401),
        ("/one", vec![("authorization", &*two)], 401),
        ("/one", vec![("x-api-key", "sk-canary-late-0000000000000000004")], 401),
        ("/one", vec![("x-api-key", &*doubled)], 401),
        ("/one", vec![("x-api-key", "")], 401),
        ("/one/../one", vec![], 401),
        ("/one/", vec![], 401),
        ("//one", vec![], 401),
    ] {
        let answer = world.post(path, &headers, &chat("hello")).await?;
        assert_eq!(answer.status, expected, "{path} {headers:?}: {}", answer.text());
        let asked = world.a.recording().take();
        assert_eq!(asked.len(), usize::from(expected == 200), "{path} {headers:?}");
        for request in asked {
            let shown = format!("{request:?}");
            assert!(!shown.contains("sk-canary"), "the provider sees a key of the gateway's");
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_for_its_models_alone_in_every_protocol() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let headers = [("x-api-key", ONE)];
    let ask = async |path: &str, body: &Value| world.post(path, &headers, body).await;
    let messages = json!([{"role": "user", "content": "hello"}]);
    let other = json!({"model": "gpt-4o", "messages": messages});
    let unnamed = json!({"messages": messages});
    for (body, expected) in [(&chat("hello"), 200), (&other, 403), (&unnamed, 403)] {
        let answer = ask("/one", body).await?;
        assert_eq!(answer.status, expected, "{body}: {}", answer.text());
    }
    let refused = ask("/one", &other).await?;
    assert_eq!(refused.json()?["error"]["type"], "permission_error", "{}", refused.text());
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
    for (path, expected) in [
        ("/one/v1beta/models/client-model:generateContent", 200),
        ("/one/v1beta/models/gpt-4o:generateContent", 403),
        ("/one/v1beta/models/client%2Dmodel:generateContent", 200),
    ] {
        let answer = ask(path, &gemini).await?;
        assert_eq!(answer.status, expected, "{path}: {}", answer.text());
    }
    // The name that a reader takes who reads the first one, and that of who reads the last one.
    let body = br#"{"model": "client-model", "model": "gpt-4o", "messages": []}"#;
    let answer = raw(&world, &headers, body).await?;
    assert_eq!(answer.status, 400, "{}", answer.text());
    Ok(())
}

async fn raw(world: &World, headers: &[(&str, &str)], body: &'static [u8]) -> Result<Response> {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let request =
        e2e::http::request(http::Method::POST, "ai.example", "/one", &all, bytes::Bytes::from_static(body))?;
    e2e::http::send(world.fixture.address(), request).await
}

/// A key that goes, or whose Secret changes, opens nothing any more; connections go on; and no key is in what Envoy or the
/// control plane show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_and_go_without_a_change_of_a_listener_and_nobody_shows_them() -> Result<()> {
    let world = World::start(&objects(), &[]).await?;
    let status =
        async |key: &str| anyhow::Ok(world.post("/one", &[("x-api-key", key)], &chat("hello")).await?.status);
    let becomes = async |key: &str, expected: u16| {
        eventually(DEADLINE, || async {
            let found = status(key).await?;
            ensure!(found == expected, "{found} is not {expected}");
            Ok(())
        })
        .await
    };
    assert_eq!(status(ONE).await?, 200);
    let before = world
        .fixture
        .envoy("gw")?
        .get("/stats?filter=listener_manager.listener_(modified|added|removed)")
        .await?
        .text();
    const NEW: &str = "sk-canary-new-00000000000000000005";
    world.fixture.save("objects.yaml", &world.placed(&objects().replace(ONE, NEW)))?;
    becomes(NEW, 200).await?;
    assert_eq!(status(ONE).await?, 401, "the Secret has another key now");
    assert_eq!(status(OLD).await?, 200);
    world
        .fixture
        .save("objects.yaml", &world.placed(&objects().replace("\"team\":\"a\"", "\"team\":\"c\"")))?;
    becomes(ONE, 401).await?;
    let after = world
        .fixture
        .envoy("gw")?
        .get("/stats?filter=listener_manager.listener_(modified|added|removed)")
        .await?
        .text();
    assert_eq!(before, after, "no listener changes with a key");
    let dump = world.fixture.envoy("gw")?.get("/config_dump?include_eds").await?.text();
    let shown = world.fixture.admin("/metrics").await?.text() + &world.fixture.admin("/status").await?.text();
    for text in [&dump, &shown] {
        assert!(!text.contains("sk-canary"), "a key is shown");
    }
    assert!(dump.contains("chancery.keys"), "the filter is there");
    Ok(())
}
