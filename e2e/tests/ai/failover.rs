//! Pools: shares inside of a group, the next group after a failure, each attempt as its own provider wants it
//! (acceptance rows A20–A24).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::http::eventually;
use mock_llm::Knobs;
use serde_json::json;

use crate::world::{DEADLINE, World, backend, chat, failing, route, secret, streamed};

/// Two groups of different providers with different keys, in different headers.
fn mixed() -> String {
    secret("key-a", "canary-a")
        + &secret("key-b", "canary-b")
        + &backend(
            "pool",
            "priorityGroups: [\
             {providers: [{name: a, openai: {model: model-a, authToken: {kind: SecretRef, secretRef: {name: key-a}}}, \
              HOST_A, authHeader: {headerName: x-own-key, prefix: 'Key '}}]}, \
             {providers: [{name: b, openai: {model: model-b, authToken: {kind: SecretRef, secretRef: {name: key-b}}}, HOST_B}]}]",
        )
        + &route("pool")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_is_rewritten_for_its_provider() -> Result<()> {
    let world = World::start(&mixed(), &[]).await?;
    for status in [402, 429, 500, 502, 503, 529] {
        world.a.set_knobs(failing(status));
        let answer = world.post("/pool/v1/chat/completions", &[], &chat("hello there")).await?;
        assert_eq!(answer.status, 200, "{status}: {}", answer.text());
        let (at_a, at_b) = (world.a.recording().take(), world.b.recording().take());
        let [a] = &at_a[..] else { panic!("{status}: {} requests at A", at_a.len()) };
        let [b] = &at_b[..] else { panic!("{status}: {} requests at B", at_b.len()) };
        assert_eq!((a.header("x-own-key"), a.header("authorization")), (Some("Key canary-a"), None));
        assert_eq!((b.header("x-own-key"), b.header("authorization")), (None, Some("Bearer canary-b")));
        assert_eq!(
            (a.json()["model"].clone(), b.json()["model"].clone()),
            (json!("model-a"), json!("model-b"))
        );
        assert!(!format!("{:?}", b.headers).contains("canary-a"), "{:?}", b.headers);
    }
    for status in [400, 401, 403, 404, 413, 422] {
        world.a.set_knobs(failing(status));
        let answer = world.post("/pool", &[], &chat("hello there")).await?;
        assert_eq!(answer.status, status, "what another provider would say, too, is passed on");
        assert_eq!((world.a.recording().take().len(), world.b.recording().take().len()), (1, 0), "{status}");
    }
    Ok(())
}

/// Four protocols one after the other: path, credential and body are those of the provider of each attempt, whatever the
/// attempts before have left in the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_an_attempt_stays_for_the_next_one() -> Result<()> {
    let key = "authToken: {kind: SecretRef, secretRef: {name: key-KEY}}";
    let member = |name: &str, provider: &str, host: &str| {
        let key = key.replace("KEY", name);
        format!("{{providers: [{{{}, {host}}}]}}", provider.replace("TOKEN", &key))
    };
    let groups = [
        member("a", "gemini: {model: g, apiVersion: v1, TOKEN}", "HOST_A"),
        member("b", "anthropic: {model: c, TOKEN}", "HOST_A"),
        "{providers: [{bedrock: {auth: {type: Secret, secretRef: {name: aws}}, model: b}, HOST_A}]}"
            .to_owned(),
        member("c", "azureopenai: {endpoint: e, deploymentName: d, apiVersion: v, TOKEN}", "HOST_A"),
        "{providers: [{openai: {authToken: {kind: Passthrough}}, HOST_B}]}".to_owned(),
    ];
    let aws = "---\napiVersion: v1\nkind: Secret\nmetadata: {name: aws, namespace: default}\nstringData: {accessKey: AKIDEXAMPLE, secretKey: canary-aws}\n";
    let objects =
        ["a", "b", "c"].map(|name| secret(&format!("key-{name}"), &format!("canary-{name}"))).concat()
            + aws
            + &backend("pool", &format!("priorityGroups: [{}]", groups.join(", ")))
            + &route("pool");
    let world = World::start(&objects, &[]).await?;
    world.a.set_knobs(failing(503));
    let own = [("authorization", "Bearer client-own")];
    let answer = world.post("/pool/v1/chat/completions?x=1", &own, &chat("hello there")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let at_a = world.a.recording().take();
    let paths: Vec<&str> = at_a.iter().map(|request| request.path_and_query()).collect();
    // A translated request leaves its query behind: it is of the client's protocol.
    assert_eq!(
        paths,
        [
            "/v1/models/g:generateContent",
            "/v1/messages",
            "/model/b/converse",
            "/openai/deployments/d/chat/completions?api-version=v&x=1",
        ]
    );
    let carried = [
        ("x-goog-api-key", "canary-a"),
        ("x-api-key", "canary-b"),
        ("authorization", "AWS4-HMAC-SHA256"),
        ("api-key", "canary-c"),
    ];
    for (request, (header, value)) in at_a.iter().zip(carried) {
        assert!(
            request.header(header).is_some_and(|found| found.starts_with(value)),
            "{header}: {:?}",
            request.headers
        );
        let others = ["canary-a", "canary-b", "canary-c", "AWS4-", "client-own"]
            .into_iter()
            .filter(|other| !value.starts_with(*other));
        let all = format!("{:?}", request.headers);
        for other in others {
            assert!(!all.contains(other), "{other} in {all}");
        }
    }
    let b = world.b.recording().take().pop().unwrap();
    assert_eq!(b.path_and_query(), "/v1/chat/completions?x=1");
    assert_eq!(
        b.header("authorization"),
        Some("Bearer client-own"),
        "the client's own credential, not that of an attempt"
    );
    assert_eq!(b.json(), chat("hello there"));
    let all = format!("{:?}", b.headers);
    assert!(!all.contains("canary") && !all.contains("x-amz"), "{all}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_failovers_never_mix_keys_or_paths() -> Result<()> {
    let requests: usize =
        std::env::var("CHANCERY_TEST_FAILOVERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let world = World::start(&mixed(), &[]).await?;
    world.a.set_knobs(failing(429));
    let mut failed = 0;
    for batch in 0..requests.div_ceil(20) {
        let bodies: Vec<_> = (0..20).map(|index| chat(&format!("request {batch} {index}"))).collect();
        let answers = bodies.iter().map(|body| world.post("/pool", &[], body));
        for answer in futures_join(answers).await {
            failed += usize::from(answer?.status != 200);
        }
    }
    let (at_a, at_b) = (world.a.recording().take(), world.b.recording().take());
    assert_eq!((failed, at_a.len()), (0, at_b.len()));
    let wrong = |requests: &[std::sync::Arc<mock_llm::Recorded>], key: &str, model: &str| {
        let is_wrong = |request: &&std::sync::Arc<mock_llm::Recorded>| {
            let keys: Vec<_> =
                request.headers.values().filter(|value| format!("{value:?}").contains("canary-")).collect();
            keys.len() != 1
                || !format!("{keys:?}").contains(key)
                || request.path_and_query() != "/v1/chat/completions"
                || request.json()["model"] != model
        };
        requests.iter().filter(is_wrong).count()
    };
    let wrong = (wrong(&at_a, "canary-a", "model-a"), wrong(&at_b, "canary-b", "model-b"));
    println!("{} failovers: {failed} failed, {wrong:?} with a wrong key, path or model", at_b.len());
    assert_eq!(wrong, (0, 0));
    Ok(())
}

/// All of them, at the same time.
async fn futures_join<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for (future, output) in &mut pending {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => is_done = false,
                }
            }
        }
        if is_done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    pending.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_shares_the_requests_and_unreachable_providers_are_passed_over() -> Result<()> {
    let key = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let objects = secret("key", "canary")
        + &backend("shared", &format!("priorityGroups: [{{providers: [{{name: a, openai: {{model: m-a, {key}}}, HOST_A}}, {{name: b, openai: {{model: m-b, {key}}}, HOST_B}}]}}]"))
        + &route("shared")
        // Port 9 is discard, where nobody listens.
        + &backend("down", &format!("priorityGroups: [{{providers: [{{openai: {{model: m-a, {key}}}, host: 127.0.0.1, port: 9}}]}}, {{providers: [{{openai: {{model: m-b, {key}}}, HOST_B}}]}}]"))
        + &route("down");
    let world = World::start(&objects, &[]).await?;
    for index in 0..60 {
        assert_eq!(world.post("/shared", &[], &chat(&format!("{index}"))).await?.status, 200);
    }
    let mut models: BTreeMap<String, usize> = BTreeMap::new();
    for request in world.a.recording().take().iter().chain(&world.b.recording().take()) {
        *models.entry(request.json()["model"].to_string()).or_default() += 1;
    }
    // A share of one half each: 60 throws of a coin lie between 12 and 48 but for one time in 10^6.
    assert!(models.len() == 2 && models.values().all(|count| *count > 12), "{models:?}");
    let answer = world.post("/down", &[], &chat("hello")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(world.b.recording().take().pop().unwrap().json()["model"], "m-b");
    Ok(())
}

/// After the first byte of an answer nothing is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_breaks_is_not_tried_again() -> Result<()> {
    let world = World::start(&mixed(), &[]).await?;
    world.a.change_knobs(|knobs| knobs.cut_after = Some(2));
    let body = streamed("one two three four five six");
    drop(world.post("/pool", &[], &body).await);
    assert_eq!((world.a.recording().take().len(), world.b.recording().take().len()), (1, 0));
    Ok(())
}

/// Two groups of one member each, with different keys.
fn pair() -> String {
    mixed().replace(", authHeader: {headerName: x-own-key, prefix: 'Key '}", "")
}

/// An answer of 429 that says when to come again.
fn busy(seconds: u64) -> Knobs {
    Knobs { retry_after: Some(seconds), ..failing(429) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retry_after_is_honoured_where_there_is_another_provider() -> Result<()> {
    const SECONDS: u64 = 3;
    let world = World::start(&pair(), &[]).await?;
    world.a.set_knobs(Knobs { status_requests: Some(1), ..busy(SECONDS) });
    let begun = Instant::now();
    let answer = world.post("/pool", &[], &chat("first")).await?;
    assert_eq!((answer.status, world.a.recording().take().len()), (200, 1), "{}", answer.text());
    let time_of_return = eventually(DEADLINE, || async {
        let answer = world.post("/pool", &[], &chat("next")).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        ensure!(world.a.recording().take().len() == 1, "A is still ejected");
        anyhow::Ok(begun.elapsed())
    })
    .await?;
    assert!(time_of_return >= Duration::from_secs(SECONDS), "A was asked again after {time_of_return:?}");
    let at_b = world.b.recording().take().len();
    assert!(at_b > 1, "{at_b} requests at B: the failover, and those of the time in which A is ejected");
    world
        .counter(&["ai_ejections_total", "llm=\"openai\"", "cluster=\"backend/default/pool/0/0\""], 1)
        .await?;
    Ok(())
}

/// Where all have said when to come again, requests go as if none had.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_providers_are_ejected_requests_go_to_the_first() -> Result<()> {
    let world = World::start(&pair(), &[]).await?;
    world.a.set_knobs(busy(600));
    world.b.set_knobs(busy(600));
    for index in 0..3 {
        let answer = world.post("/pool", &[], &chat(&format!("{index}"))).await?;
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("600")), "{}", answer.text());
        assert_eq!((world.a.recording().take().len(), world.b.recording().take().len()), (1, 1), "{index}");
    }
    Ok(())
}

/// An ejected provider comes last, but comes: it is asked when all others have failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ejected_provider_is_the_last_resort() -> Result<()> {
    let world = World::start(&pair(), &[]).await?;
    world.a.set_knobs(Knobs { status_requests: Some(1), ..busy(600) });
    assert_eq!(world.post("/pool", &[], &chat("first")).await?.status, 200);
    assert_eq!(world.post("/pool", &[], &chat("second")).await?.status, 200);
    world.b.set_knobs(failing(500));
    world.b.recording().take();
    assert_eq!(world.a.recording().take().len(), 1);
    let answer = world.post("/pool/v1/chat/completions", &[], &chat("third")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let (at_a, at_b) = (world.a.recording().take(), world.b.recording().take());
    let ([a], [b]) = (&at_a[..], &at_b[..]) else { panic!("{} at A, {} at B", at_a.len(), at_b.len()) };
    assert_eq!(
        (a.header("authorization"), b.header("authorization")),
        (Some("Bearer canary-a"), Some("Bearer canary-b"))
    );
    Ok(())
}

/// Members of one group, and a route that is chosen by the model, which is chosen again once the model is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_a_group_serves_while_a_member_is_ejected() -> Result<()> {
    let key = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let member =
        |name: &str, host: &str| format!("{{name: {name}, openai: {{model: m-{name}, {key}}}, {host}}}");
    let objects = secret("key", "canary")
        + &backend(
            "shared",
            &format!(
                "priorityGroups: [{{providers: [{}, {}]}}]",
                member("a", "HOST_A"),
                member("b", "HOST_B")
            ),
        )
        + &route("shared").replace(
            "matches: [{path: {value: /shared}}]",
            "matches: [{path: {value: /shared}}, {path: {value: /by-model}, \
             headers: [{name: x-gateway-model-name, value: client-model}]}]",
        );
    let world = World::start(&objects, &[]).await?;
    world.a.set_knobs(busy(600));
    // Each request goes to either of the two by chance, until A has refused one.
    eventually(DEADLINE, || async {
        world.post("/shared", &[], &chat("who is there?")).await?;
        ensure!(!world.a.recording().take().is_empty(), "A was not asked yet");
        anyhow::Ok(())
    })
    .await?;
    world.b.recording().take();
    for (index, path) in ["/shared", "/by-model"].into_iter().cycle().take(40).enumerate() {
        let answer = world.post(path, &[], &chat(&format!("{index}"))).await?;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    }
    assert_eq!((world.a.recording().take().len(), world.b.recording().take().len()), (0, 40));
    Ok(())
}
