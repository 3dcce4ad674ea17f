//! Passwords of users and API keys: what lets a request pass, and what does not.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::fixture::DEADLINE;
use e2e::http::eventually;
use e2e::leaks::{assert_absent, places};

use super::world::{World, policy};

/// The digest of `alice-pass`, as `htpasswd -s` writes it.
const ALICE: &str = "alice:{SHA}4yvU2nDIjg+qQ04AgGsx1Egh63I=";

/// The digest of `bob-pass`.
const BOB: &str = "bob:{SHA}eeQU2GomNu5hx6odcdNLXz4ZPOg=";

/// The header in which the backend gets the name of the user.
const USER_HEADER: &str = "x-envoy-basic-auth-user";

/// A policy of the Gateway.
fn for_gateway(members: &str) -> String {
    policy("gw", members).replace("kind: HTTPRoute", "kind: Gateway").replace("{name: gw}", "{name: gateway}")
}

fn secret(name: &str, label: &str, data: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, labels: {{keys: {label}}}}}\nstringData: {{{data}}}\n"
    )
}

fn basic(user_and_password: &str) -> String {
    format!("Basic {}", STANDARD.encode(user_and_password))
}

/// What requests may show for a user and a password, with whether that is Alice and her password.
fn authorizations() -> Vec<(bool, Vec<String>)> {
    let right = STANDARD.encode("alice:alice-pass");
    let mut cases = vec![(false, vec![]), (true, vec![format!("Basic {right}")])];
    for scheme in ["basic", "BASIC", "Bearer", "Digest", "Basic:", ""] {
        cases.push((false, vec![format!("{scheme} {right}")]));
    }
    for shown in [
        "alice:wrong",
        "alice:",
        "alice",
        ":alice-pass",
        ":",
        "",
        "Alice:alice-pass",
        "bob:alice-pass",
        "alice:alice-pass ",
        " alice:alice-pass",
        "alice:alice-pass\n",
        "alice:alice-pass\0",
        "alice\0:alice-pass",
        "alice:alice-pass:",
        "alice:alice:alice-pass",
        "bob\nalice:alice-pass",
        "alice:{SHA}4yvU2nDIjg+qQ04AgGsx1Egh63I=",
        "alice:4yvU2nDIjg+qQ04AgGsx1Egh63I=",
        "#:alice-pass",
        "*:alice-pass",
    ] {
        cases.push((false, vec![basic(shown)]));
    }
    for broken in [
        right.trim_end_matches('=').to_owned() + "!",
        format!("{right}{right}"),
        format!("{right},"),
        format!("{right} {right}"),
        "alice:alice-pass".to_owned(),
        right[..right.len() - 4].to_owned(),
    ] {
        cases.push((false, vec![format!("Basic {broken}")]));
    }
    // Two lines: a backend might read another one than the proxy.
    for (first, second) in [("alice:alice-pass", "alice:wrong"), ("alice:wrong", "alice:alice-pass")] {
        cases.push((false, vec![basic(first), basic(second)]));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_shows_the_password_of_a_user_passes() -> Result<()> {
    let objects = for_gateway(&format!("  basicAuth: {{users: ['{ALICE}']}}"))
        + &policy("file", "  basicAuth: {secretRef: {name: users}}")
        + &policy("free", "  basicAuth: {disable: {}}")
        + &secret("users", "users", &format!("'.htpasswd': \"# users\\n{BOB}\\n{ALICE}\\n\""));
    let world = World::start(&["inherits", "file", "free"], &objects).await?;
    let listeners = world.listeners().await?;
    world.until("/inherits", &[], 401).await?;
    world.until("/file", &[], 401).await?;
    let mut refused = 0;
    for (is_right, shown) in authorizations() {
        for path in ["/inherits", "/file"] {
            let mut headers: Vec<_> = shown.iter().map(|line| ("authorization", line.as_str())).collect();
            headers.push((USER_HEADER, "root"));
            let answer = world.get(path, &headers).await?;
            match is_right {
                true => {
                    let echo = answer.echo()?;
                    assert_eq!(echo.headers[USER_HEADER], ["alice"], "{path} {shown:?}");
                }
                false => {
                    ensure!(answer.status == 401, "{path} {shown:?}: {}", answer.status);
                    ensure!(answer.header("www-authenticate").is_some_and(|with| with.starts_with("Basic")));
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} requests without a right password were refused");
    assert_eq!(world.backend.served(), 2, "nothing else has come to the backend");
    // Bob is in the file alone, and where nobody is asked for, nobody writes who it is.
    let bob = basic("bob:bob-pass");
    assert_eq!(world.get("/file", &[("authorization", &bob)]).await?.echo()?.headers[USER_HEADER], ["bob"]);
    assert_eq!(world.get("/inherits", &[("authorization", &bob)]).await?.status, 401);
    let echo = world.get("/free", &[(USER_HEADER, "root")]).await?.echo()?;
    assert_eq!(echo.headers.get(USER_HEADER), None);
    // A user who is taken out passes no longer, and without the file nobody does.
    let without = objects.replace(&format!("{BOB}\\n"), "");
    world.fixture.save("policies.yaml", &without)?;
    world.until("/file", &[("authorization", &bob)], 401).await?;
    world.fixture.save("policies.yaml", &objects.replace("name: users, labels", "name: others, labels"))?;
    world.until("/file", &[("authorization", &basic("alice:alice-pass"))], 500).await?;
    world
        .fixture
        .told("TrafficPolicy default/file", "/ancestors/0/conditions", "Accepted", "Invalid")
        .await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    let places = places(&world.fixture, &["gw"]).await?;
    assert_absent(&places, "4yvU2nDIjg+qQ04AgGsx1Egh63I=");
    Ok(())
}

/// Names of headers with their values.
type Headers = Vec<(&'static str, &'static str)>;

/// The query and the headers with which a request shows a key, with whether it passes at the route for places.
fn shown_keys() -> Vec<(bool, &'static str, Headers)> {
    vec![
        (false, "", vec![]),
        (true, "", vec![("x-key", "key-of-alice")]),
        (true, "", vec![("X-KEY", "key-of-alice")]),
        (true, "", vec![("x-key", "Bearer key-of-alice")]),
        (true, "?key=key-of-alice", vec![]),
        (true, "?a=b&key=key-of-alice&c=d", vec![]),
        (true, "", vec![("cookie", "a=b; key=key-of-alice")]),
        (false, "", vec![("x-key", "")]),
        (false, "", vec![("x-key", "Bearer ")]),
        (false, "", vec![("x-key", "bearer key-of-alice")]),
        (false, "", vec![("x-key", "Basic key-of-alice")]),
        (false, "", vec![("x-key", "KEY-OF-ALICE")]),
        (false, "", vec![("x-key", "key-of-alice2")]),
        (false, "", vec![("x-key", "key-of-alic")]),
        (false, "", vec![("x-key", "key-of-\talice")]),
        (false, "", vec![("x-key", "key-of-alice,key-of-alice")]),
        (false, "", vec![("x-key", "alice")]),
        (false, "", vec![("x-key", "key-of-eve")]),
        (false, "", vec![("api-key", "key-of-alice")]),
        (false, "", vec![("authorization", "Bearer key-of-alice")]),
        (false, "", vec![("cookie", "other=key-of-alice")]),
        (false, "", vec![("cookie", "key=")]),
        (false, "?key=", vec![]),
        (false, "?KEY=key-of-alice", vec![]),
        (false, "?key=key-of-alice%00", vec![]),
        (false, "?other=key-of-alice", vec![]),
        (false, "?key=wrong&key=key-of-alice", vec![]),
        // The first of two counts, and the first place that has one.
        (false, "", vec![("x-key", "wrong"), ("x-key", "key-of-alice")]),
        (true, "", vec![("x-key", "key-of-alice"), ("x-key", "wrong")]),
        (false, "?key=key-of-alice", vec![("x-key", "wrong")]),
        (false, "?key=wrong", vec![("cookie", "key=key-of-alice")]),
        (true, "?key=wrong", vec![("x-key", "key-of-alice")]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_shows_an_api_key_passes() -> Result<()> {
    let objects = for_gateway("  apiKeyAuth: {secretRef: {name: first}, clientIdHeader: x-client}")
        + &policy(
            "places",
            "  apiKeyAuth:\n    secretSelector: {matchLabels: {keys: places}}\n    clientIdHeader: x-client\n    \
             keySources: [{header: X-Key, query: key, cookie: key}]",
        )
        + &policy(
            "keeps",
            "  apiKeyAuth: {secretRef: {name: first}, forwardCredential: true, keySources: [{query: key}]}",
        )
        + &policy("free", "  apiKeyAuth: {disable: {}}")
        + &policy("both", &format!("  basicAuth: {{users: ['{ALICE}']}}"))
        + &secret("first", "places", "alice: key-of-alice, bob: key-of-bob")
        + &secret("second", "places", "alice: key-of-alice, carol: key-of-carol")
        + &secret("foreign", "others", "eve: key-of-eve");
    let world = World::start(&["inherits", "places", "keeps", "free", "both"], &objects).await?;
    let listeners = world.listeners().await?;
    for path in ["/inherits", "/places", "/keeps", "/both"] {
        world.until(path, &[], 401).await?;
    }
    let mut passed = 0;
    for (passes, query, headers) in shown_keys() {
        let mut headers = headers.clone();
        headers.push(("x-client", "root"));
        let answer = world.get(&format!("/places{query}"), &headers).await?;
        match passes {
            true => {
                let echo = answer.echo()?;
                assert_eq!(echo.headers["x-client"], ["alice"], "{query} {headers:?}");
                let all = serde_json::to_string(&echo)?;
                // Of a place that was not looked at, everything goes on.
                ensure!(!all.contains("key-of-alice"), "the backend gets the key: {all}");
                passed += 1;
            }
            false => ensure!(answer.status == 401, "{query} {headers:?}: {}", answer.status),
        }
    }
    assert_eq!(world.backend.served(), passed, "nothing else has come to the backend");
    let of_client = async |path: &str, key: &str| -> Result<String> {
        let echo = world.get(path, &[("api-key", key), ("x-client", "root")]).await?.echo()?;
        Ok(echo.headers["x-client"].join(","))
    };
    assert_eq!(of_client("/inherits", "key-of-alice").await?, "alice");
    assert_eq!(of_client("/inherits", "key-of-bob").await?, "bob");
    assert_eq!(world.get("/inherits", &[("api-key", "key-of-carol")]).await?.status, 401);
    let echo = world.get("/keeps?key=key-of-bob", &[("x-client", "root")]).await?.echo()?;
    assert_eq!(echo.path, "/keeps?key=key-of-bob");
    // Nobody writes there who the client is.
    assert_eq!(echo.headers.get("x-client"), None);
    let echo = world.get("/free", &[("x-client", "root")]).await?.echo()?;
    assert_eq!(echo.headers.get("x-client"), None);
    // A route with both asks for both.
    let (alice, key) = (basic("alice:alice-pass"), ("api-key", "key-of-alice"));
    assert_eq!(world.get("/both", &[("authorization", &alice)]).await?.status, 401);
    assert_eq!(world.get("/both", &[key]).await?.status, 401);
    assert_eq!(world.get("/both", &[("authorization", &alice), key]).await?.status, 200);
    // A new key counts, one that is taken away does not, and without any nobody passes.
    world.fixture.save("policies.yaml", &objects.replace("key-of-bob", "new-key-of-bob"))?;
    world.until("/inherits", &[("api-key", "new-key-of-bob")], 200).await?;
    assert_eq!(world.get("/inherits", &[("api-key", "key-of-bob")]).await?.status, 401);
    world.fixture.save("policies.yaml", &objects.replace("carol: key-of-carol", "carol: key-of-bob"))?;
    world.until("/places", &[("x-key", "key-of-alice")], 500).await?;
    let told =
        world.fixture.told("TrafficPolicy default/places", "/ancestors/0/conditions", "Accepted", "Invalid");
    ensure!(!told.await?.contains("key-of-bob"), "the status says the key");
    world.fixture.save("policies.yaml", &objects.replace("name: first, labels", "name: gone, labels"))?;
    eventually(DEADLINE, || async {
        let answer = world.get("/inherits", &[("api-key", "key-of-alice")]).await?;
        ensure!(answer.status == 500, "{}", answer.status);
        Ok(())
    })
    .await?;
    assert_eq!(world.listeners().await?, listeners, "no listener has changed");
    world.fixture.save("policies.yaml", &objects)?;
    world.until("/inherits", &[("api-key", "key-of-alice")], 200).await?;
    let places = places(&world.fixture, &["gw"]).await?;
    assert_absent(&places, "key-of-carol");
    Ok(())
}
