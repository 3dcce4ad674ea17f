//! Budgets over the claims of tokens with the real Envoy: what counts is what a verified token says, and nothing else that a client
//! can write.

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually, post_json};
use e2e::token::{Algorithm, Issuer, with_claims};
use serde_json::{Value, json};

use crate::books::StoreServer;
use crate::budgets::budget;
use crate::cost::{list, model};
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, OpenAiExample, World, chat, openai, route_to, streamed};

const ALICE: &str = "sk-canary-alice-000000000000000001";

/// Routes to one provider that verify tokens of an issuer: one demands a token, one does not, and one demands a key as well.
fn objects(issuer: &Issuer) -> String {
    let extension = |name: &str, mode: &str| {
        let provider = json!({"name": "company", "issuer": "https://idp.example",
            "claimsToHeaders": [{"name": "team", "header": "x-team"}],
            "jwks": {"local": {"inline": issuer.key_set()}}});
        let extension = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "GatewayExtension",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"type": "JWT", "jwt": {"validationMode": mode, "providers": [provider]}}});
        format!("---\n{extension}\n")
    };
    let verifying = |route: &str, extension: &str| {
        let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": route});
        let policy = json!({"apiVersion": "gateway.kgateway.dev/v1alpha1", "kind": "TrafficPolicy",
            "metadata": {"name": format!("tokens-{route}"), "namespace": "default"},
            "spec": {"targetRefs": [target], "jwtAuth": {"extensionRef": {"name": extension}}}});
        format!("---\n{policy}\n")
    };
    openai("canary-provider")
        + &["lax", "both"].map(|name| route_to(name, "one")).concat()
        + &extension("strict", "Strict")
        + &extension("lax", "AllowMissing")
        + &verifying("one", "strict")
        + &verifying("lax", "lax")
        + &verifying("both", "lax")
        + &asking("both", &json!({}))
        + &key("alice", ALICE, "a", &json!({}))
}

/// A token with these claims beside its issuer.
fn token(issuer: &Issuer, claims: &Value) -> Result<String> {
    let mut all = json!({"iss": "https://idp.example"});
    all.as_object_mut().unwrap().extend(claims.as_object().cloned().unwrap_or_default());
    issuer.token(&all)
}

async fn ask(world: &World, path: &str, token: &str, body: &Value) -> Result<Response> {
    world.post(path, &[("authorization", &format!("Bearer {token}"))], body).await
}

/// A chat whose answer may have so many tokens.
fn limited(mut body: Value, tokens: u64) -> Value {
    body["max_tokens"] = json!(tokens);
    body
}

/// A Budget over claims.
fn over(name: &str, claims: &Value, limit: &Value, more: &Value) -> String {
    let mut spec = json!({"claims": claims, "limit": limit, "per": "Year"});
    spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    budget(name, &spec)
}

fn each_user(name: &str, limit: &Value) -> String {
    over(name, &json!({"each": "sub"}), limit, &json!({"spenders": "EachClaim"}))
}

fn of_team(name: &str, team: &str, limit: &Value) -> String {
    over(name, &json!({"match": [{"name": "org.team", "value": team}]}), limit, &json!({}))
}

fn claims(user: &str, team: &str) -> Value {
    json!({"sub": user, "org": {"team": team}})
}

/// Asks so often, and says how many requests have passed.
async fn passed(world: &World, path: &str, token: &str, times: u32) -> Result<u32> {
    let mut passed = 0;
    for _ in 0..times {
        let answer = ask(world, path, token, &chat("hello")).await?;
        ensure!([200, 429].contains(&answer.status), "{}: {}", answer.status, answer.text());
        passed += u32::from(answer.status == 200);
    }
    Ok(passed)
}

/// The spend in the status of a Budget, without its unit of time.
async fn told(world: &World, name: &str, expected: &Value) -> Result<()> {
    eventually(DEADLINE, || async {
        let mut spend = world.fixture.status(&format!("Budget default/{name}")).await?["spend"].clone();
        drop(spend.as_object_mut().and_then(|spend| spend.remove("period")));
        ensure!(spend == *expected, "{spend} is not {expected}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_a_team_exhaust_its_budget_together_and_each_has_one_of_its_own() -> Result<()> {
    let issuer = Issuer::new()?;
    let documents = objects(&issuer)
        + &each_user("user", &json!({"requests": 3}))
        + &of_team("team", "search", &json!({"requests": 5}));
    let world = World::start(&documents, &[]).await?;
    let token = |user: &str, team: &str| token(&issuer, &claims(user, team));
    assert_eq!(passed(&world, "/one", &token("ann", "search")?, 5).await?, 3, "a user has three");
    assert_eq!(passed(&world, "/one", &token("ann", "search")?, 1).await?, 0, "with another token, too");
    assert_eq!(passed(&world, "/one", &token("ben", "search")?, 5).await?, 2, "of five, three are gone");
    assert_eq!(passed(&world, "/one", &token("cid", "ads")?, 5).await?, 3, "the team's is not about them");
    let refused = ask(&world, "/one", &token("ben", "search")?, &chat("hello")).await?;
    assert_eq!(refused.header("x-envoy-ratelimited"), Some("true"));
    let wait: u64 = refused.header("retry-after").unwrap_or_default().parse()?;
    assert!(wait > 0, "{wait}");
    // The budgets are those of the namespace: at another route of it a user has no more.
    assert_eq!(passed(&world, "/lax", &token("ann", "search")?, 1).await?, 0);
    let user =
        |name: &str, spent: u32| json!({"name": name, "spent": spent, "reserved": 0, "remaining": 3 - spent});
    let most = json!([user("ann", 3), user("cid", 3), user("ben", 2)]);
    let spenders = json!({"count": 3, "exhausted": 2, "most": most});
    told(&world, "user", &json!({"limit": 3, "spent": 8, "reserved": 0, "spenders": spenders})).await?;
    told(&world, "team", &json!({"limit": 5, "spent": 5, "reserved": 0, "remaining": 0})).await?;
    let metrics = world.fixture.admin("/metrics").await?.text();
    assert!(metrics.contains("chancery_budget_checks_total{budget=\"default/user\",verdict=\"over\"}"));
    assert!(!metrics.contains("ann"), "no metric has a claim's value");
    Ok(())
}

/// Whatever a client writes by itself: it is counted as its token says, or refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_out_of_a_budget_by_what_a_client_can_write() -> Result<()> {
    let issuer = Issuer::new()?;
    let documents = objects(&issuer)
        + &each_user("user", &json!({"requests": 1}))
        + &of_team("team", "search", &json!({"requests": 100}));
    let world = World::start(&documents, &[]).await?;
    let ann = token(&issuer, &claims("ann", "search"))?;
    assert_eq!(ask(&world, "/one", &ann, &chat("hello")).await?.status, 200);
    let bearer = format!("Bearer {ann}");
    let other = claims("eve", "other");
    let stranger = format!("Bearer {}", token(&Issuer::new()?, &other)?);
    let unsigned = format!("Bearer {}", issuer.token_by(Algorithm::None, &other)?);
    let changed = format!("Bearer {}", with_claims(&ann, &other));
    let payload = other.to_string();
    for (headers, query, expected) in [
        (vec![("authorization", bearer.as_str())], "", vec![429]),
        (vec![("authorization", &bearer), ("x-team", "other")], "", vec![429]),
        (vec![("authorization", &bearer), ("chancery.claims", &payload)], "", vec![429]),
        (vec![("authorization", &bearer), ("x-jwt-payload", &payload), ("sub", "eve")], "", vec![429]),
        // A second token that nobody has signed, or that somebody else has.
        (vec![("authorization", &bearer), ("authorization", &unsigned)], "", vec![401, 429]),
        (vec![("authorization", &bearer)], &unsigned["Bearer ".len()..], vec![401, 429]),
        (vec![("authorization", &bearer)], &stranger["Bearer ".len()..], vec![401, 429]),
        (vec![("authorization", &unsigned)], "", vec![401]),
        (vec![("authorization", &stranger)], "", vec![401]),
        (vec![("authorization", &changed)], "", vec![401]),
        (vec![], "", vec![401]),
    ] {
        let path = if query.is_empty() { "/one".to_owned() } else { format!("/one?access_token={query}") };
        let answer = world.post(&path, &headers, &chat("hello")).await?;
        assert!(expected.contains(&answer.status), "{headers:?} {query}: {}", answer.status);
    }
    assert_eq!(world.a.recording().take().len(), 1, "the provider was asked once");
    // Without the claim by which users are told apart, all are one.
    let without = |more: Value| token(&issuer, &more);
    assert_eq!(ask(&world, "/one", &without(json!({}))?, &chat("hello")).await?.status, 200);
    for more in [json!({"a": 1}), json!({"sub": ""})] {
        assert_eq!(ask(&world, "/one", &without(more.clone())?, &chat("hello")).await?.status, 429, "{more}");
    }
    // Where the policy lets requests without a token pass, they are nobody's.
    assert_eq!(world.post("/lax", &[], &chat("hello")).await?.status, 200);
    assert_eq!(world.post("/lax", &[], &chat("hello")).await?.status, 200);
    assert_eq!(ask(&world, "/lax", &ann, &chat("hello")).await?.status, 429);
    // A long value is told apart by all of it.
    let long = |end: &str| token(&issuer, &json!({"sub": format!("{}{end}", "x".repeat(3000))}));
    assert_eq!(passed(&world, "/one", &long("a")?, 2).await?, 1);
    assert_eq!(passed(&world, "/one", &long("b")?, 2).await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_models_are_reserved_and_settled_to_what_the_provider_has_told() -> Result<()> {
    let issuer = Issuer::new()?;
    let store = StoreServer::start()?;
    let documents = objects(&issuer)
        + &of_team("team", "search", &json!({"tokens": 3000}))
        + &each_user("user", &json!({"tokens": 1000}));
    let world = World::start(&documents, &["--limit-store", &store.address()]).await?;
    let token = |user: &str, team: &str| token(&issuer, &claims(user, team));
    let ann = token("ann", "search")?;
    assert_eq!(ask(&world, "/one", &ann, &limited(chat("hello"), 1000)).await?.status, 429);
    assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
    let mut spent = 0;
    for round in 0..3 {
        let mut question = limited(if round % 2 == 0 { chat("hello") } else { streamed("hello") }, 400);
        if round % 2 == 1 {
            question["stream_options"] = json!({"include_usage": true});
        }
        spent += eventually(DEADLINE, || async {
            let answer = ask(&world, "/one", &ann, &question).await?;
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
            let text = answer.text();
            let events = text.lines().filter_map(|line| line.strip_prefix("data: ")).chain([text.as_str()]);
            let told = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
            let usage = told.filter_map(|event| event["usage"]["total_tokens"].as_u64()).next_back();
            anyhow::Ok(usage.unwrap_or_default())
        })
        .await?;
    }
    assert!(spent > 0, "{spent}");
    let left = 1000 - spent;
    let user = json!({"name": "ann", "spent": spent, "reserved": 0, "remaining": left});
    let spenders = json!({"count": 1, "exhausted": 0, "most": [user]});
    told(&world, "user", &json!({"limit": 1000, "spent": spent, "reserved": 0, "spenders": spenders}))
        .await?;
    let left = 3000 - spent;
    told(&world, "team", &json!({"limit": 3000, "spent": spent, "reserved": 0, "remaining": left})).await
}

/// Gloo's options leave claims in another place. What is not verified is nobody's where such requests may pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_options_of_gloo_verify_count_as_well() -> Result<()> {
    let issuer = Issuer::new()?;
    let provider = json!({"issuer": "https://idp.example", "jwks": {"local": {"key": issuer.key_set()}}});
    let stage = json!({"validationPolicy": "ALLOW_MISSING_OR_FAILED", "providers": {"idp": provider}});
    let target = json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "one"});
    let option = json!({"apiVersion": "gateway.solo.io/v1", "kind": "RouteOption",
        "metadata": {"name": "one", "namespace": "default"},
        "spec": {"targetRefs": [target], "options": {"jwtProvidersStaged": {"afterExtAuth": stage}}}});
    let documents =
        format!("{}---\n{option}\n{}", openai("canary-provider"), each_user("user", &json!({"requests": 2})));
    let world = World::start(&documents, &[]).await?;
    let ann = token(&issuer, &claims("ann", "a"))?;
    assert_eq!(passed(&world, "/one", &ann, 4).await?, 2);
    assert_eq!(passed(&world, "/one", &token(&issuer, &claims("ben", "a"))?, 1).await?, 1);
    let stranger = token(&Issuer::new()?, &claims("ann", "a"))?;
    assert_eq!(passed(&world, "/one", &stranger, 1).await?, 1, "it is not Ann's");
    assert_eq!(passed(&world, "/one", &with_claims(&stranger, &claims("ben", "a")), 2).await?, 2);
    assert_eq!(passed(&world, "/one", &token(&issuer, &claims("ben", "a"))?, 2).await?, 1, "nor Ben's");
    Ok(())
}

/// A request with a key and a token is counted in the budgets of both, and each of them can refuse it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn budgets_of_keys_and_of_claims_all_hold_at_a_route_that_asks_for_both() -> Result<()> {
    let issuer = Issuer::new()?;
    let of_key = json!({"limit": {"requests": 4}, "per": "Year"});
    let documents = objects(&issuer)
        + &budget("key", &of_key)
        + &each_user("user", &json!({"requests": 2}))
        + &over("watched", &json!({}), &json!({"requests": 1}), &json!({"action": "Audit"}));
    let world = World::start(&documents, &[]).await?;
    let passed = async |path: &str, user: Option<&str>| {
        let bearer = user.map(|user| token(&issuer, &claims(user, "search"))).transpose()?;
        let bearer = bearer.map(|token| format!("Bearer {token}"));
        let token = bearer.as_deref().map(|token| ("authorization", token));
        let headers: Vec<_> = token.into_iter().chain([("x-api-key", ALICE)]).collect();
        let mut passed = 0;
        for _ in 0..3 {
            let answer = world.post(path, &headers, &chat("hello")).await?;
            ensure!([200, 429].contains(&answer.status), "{}: {}", answer.status, answer.text());
            passed += u32::from(answer.status == 200);
        }
        anyhow::Ok(passed)
    };
    assert_eq!(passed("/both", Some("ann")).await?, 2, "those of the user");
    assert_eq!(passed("/both", None).await?, 2, "what is left of the key");
    assert_eq!(passed("/both", Some("ben")).await?, 0, "the key's is spent");
    let bearer = format!("Bearer {}", token(&issuer, &claims("cid", "search"))?);
    let refused = world.post("/both", &[("authorization", &bearer)], &chat("hello")).await?;
    assert_eq!(refused.status, 401, "a token is no key");
    told(&world, "key", &json!({"limit": 4, "spent": 4, "reserved": 0, "remaining": 0})).await?;
    told(&world, "watched", &json!({"limit": 1, "spent": 2, "reserved": 0, "remaining": 0})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_and_cheaper_models_are_as_with_keys() -> Result<()> {
    let issuer = Issuer::new()?;
    let fallback = json!({"action": "Fallback", "fallback": {"models": [{"to": "cheap"}]}});
    let prices = [model("client-model", "1000", "2000"), model("cheap", "10", "20")];
    let documents = objects(&issuer)
        + &list("own", &json!({"models": prices}))
        + &over(
            "money",
            &json!({"match": [{"name": "sub", "value": "ann"}]}),
            &json!({"usd": "0.10"}),
            &json!({}),
        )
        + &over(
            "cheaper",
            &json!({"match": [{"name": "sub", "value": "ben"}]}),
            &json!({"tokens": 0}),
            &fallback,
        );
    let world = World::start(&documents, &[]).await?;
    let (ann, ben) = (token(&issuer, &claims("ann", "a"))?, token(&issuer, &claims("ben", "a"))?);
    let question = limited(chat("hello"), 100);
    assert_eq!(ask(&world, "/one", &ann, &question).await?.status, 429, "it may cost more");
    assert_eq!(ask(&world, "/one", &ann, &limited(chat("hello"), 20)).await?.status, 200);
    let mut unknown = question.clone();
    unknown["model"] = json!("unknown");
    assert_eq!(ask(&world, "/one", &ann, &unknown).await?.status, 403, "it has no price");
    assert_eq!(ask(&world, "/one", &ben, &unknown).await?.status, 200, "there it counts nothing");
    world.a.recording().take();
    assert_eq!(ask(&world, "/one", &ben, &question).await?.status, 200);
    let asked = world.a.recording().take();
    let body: Value = serde_json::from_slice(&asked.last().unwrap().body)?;
    assert_eq!(body["model"], "cheap");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_cannot_be_applied_closes_its_tokens_and_one_without_a_route_says_so() -> Result<()> {
    let issuer = Issuer::new()?;
    let wrong = json!({"timeZone": "Mars/North"});
    let match_team = json!({"match": [{"name": "team", "value": "a"}]});
    let documents = objects(&issuer) + &over("wrong", &match_team, &json!({"tokens": 1}), &wrong);
    let world = World::start(&documents, &[]).await?;
    let token = |team: &str| token(&issuer, &json!({"sub": "ann", "team": team}));
    let refused = ask(&world, "/one", &token("a")?, &chat("hello")).await?;
    assert_eq!(refused.status, 500);
    assert!(refused.text().contains("a budget for this token cannot be applied"), "{}", refused.text());
    assert_eq!(ask(&world, "/one", &token("b")?, &chat("hello")).await?.status, 200);
    let told = world.fixture.told("Budget default/wrong", "/conditions", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.timeZone"), "{told}");
    // Nobody verifies tokens any more: nothing is counted.
    let documents = openai("canary-provider") + &of_team("lost", "a", &json!({"tokens": 1}));
    let world = World::start(&documents, &[]).await?;
    let told = world.fixture.told("Budget default/lost", "/conditions", "Accepted", "TargetNotFound").await?;
    assert!(told.contains("verifies tokens does not exist"), "{told}");
    assert_eq!(world.post("/one", &[], &chat("hello")).await?.status, 200);
    Ok(())
}

/// `examples/claim-budgets`, as it stands there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_does_what_it_shows() -> Result<()> {
    let example = OpenAiExample::start("claim-budgets").await?;
    let address = (example.fixture.ip, 8099).into();
    let token = |name: &str| {
        std::fs::read_to_string(e2e::workspace::workspace_root().join("examples/jwt").join(name))
    };
    let (alice, bob) = (token("alice.token")?, token("bob.token")?);
    for (token, tokens, expected) in [
        (&alice, 100, 200),
        (&alice, 20_000, 429),
        (&bob, 20_000, 200),
        (&bob, 100, 200),
        (&bob, 100, 200),
        (&bob, 100, 429),
        (&alice, 100, 200),
        (&String::new(), 100, 401),
    ] {
        let bearer = format!("Bearer {}", token.trim());
        let headers = [("authorization", bearer.as_str())];
        let question = limited(chat("hello"), tokens);
        let answer = post_json(address, "localhost", "/v1/chat/completions", &headers, &question).await?;
        assert_eq!(answer.status, expected, "{tokens}: {}", answer.text());
    }
    Ok(())
}
