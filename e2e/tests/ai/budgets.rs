//! Budgets of virtual keys with the real Envoy: what a request may come to is reserved before a provider is asked, and what it
//! has come to takes its place, whatever has ended it.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::http::{Response, eventually, post_json};
use mock_llm::Knobs;
use serde_json::{Value, json};

use crate::books::StoreServer;
use crate::virtual_keys::{asking, key};
use crate::world::{DEADLINE, OpenAiExample, World, chat, failing, openai, streamed};

const ALICE: &str = "sk-canary-alice-000000000000000001";
const BOB: &str = "sk-canary-bob-00000000000000000002";

/// A Budget with this spec.
pub(crate) fn budget(name: &str, spec: &Value) -> String {
    let budget = json!({"apiVersion": "chancery.dev/v1alpha1", "kind": "Budget",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec});
    format!("---\n{budget}\n")
}

fn objects() -> String {
    openai("canary-provider")
        + &asking("one", &json!({}))
        + &key("alice", ALICE, "a", &json!({}))
        + &key("bob", BOB, "b", &json!({}))
}

async fn ask(world: &World, key: &str, body: &Value) -> Result<Response> {
    world.post("/one", &[("x-api-key", key)], body).await
}

/// A chat whose answer may have so many tokens.
fn limited(mut body: Value, tokens: u64) -> Value {
    body["max_tokens"] = json!(tokens);
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_may_come_to_is_reserved_and_what_it_has_come_to_is_spent() -> Result<()> {
    let team = json!({"keys": {"matchLabels": {"team": "a"}}, "limit": {"tokens": 600}, "per": "Year"});
    let world = World::start(&(objects() + &budget("team", &team)), &[]).await?;
    let refused = ask(&world, ALICE, &limited(chat("hello"), 600)).await?;
    assert_eq!(refused.status, 429, "the answer might be longer than what is left");
    assert_eq!(refused.header("x-envoy-ratelimited"), Some("true"));
    let wait: u64 = refused.header("retry-after").unwrap_or_default().parse()?;
    assert!(wait > 0, "{wait}");
    assert_eq!(
        ask(&world, ALICE, &chat("hello")).await?.status,
        429,
        "without a limit it may be 4096 tokens"
    );
    assert_eq!(world.a.recording().take().len(), 0, "the provider is not asked");
    // Each answer is far shorter than what is reserved for it: what is not used comes back.
    let mut spent = 0;
    for round in 0..8 {
        let question = limited(if round % 2 == 0 { chat("hello") } else { streamed("hello") }, 400);
        let answer = eventually(DEADLINE, || async {
            let answer = ask(&world, ALICE, &question).await?;
            ensure!(answer.status == 200, "{} after {spent}: {}", answer.status, answer.text());
            anyhow::Ok(answer)
        })
        .await?;
        if round % 2 == 0 {
            spent += answer.json()?["usage"]["total_tokens"].as_u64().unwrap_or_default();
        }
    }
    assert!(spent > 0, "{spent}");
    assert_eq!(ask(&world, BOB, &chat("hello")).await?.status, 200, "the budget is not about this key");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_counted_for_all_or_for_each_and_an_audit_refuses_nothing() -> Result<()> {
    let requests = |number: u32, more: Value| {
        let mut spec = json!({"limit": {"requests": number}, "per": "Day", "timeZone": "Europe/Berlin"});
        spec.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        spec
    };
    let documents = objects()
        + &budget("each", &requests(3, json!({"spenders": "EachKey"})))
        + &budget("all", &requests(5, json!({})))
        + &budget("watched", &requests(1, json!({"action": "Audit"})));
    let world = World::start(&documents, &[]).await?;
    let passed = async |key: &str| {
        let mut passed = 0;
        for _ in 0..5 {
            let answer = ask(&world, key, &chat("hello")).await?;
            ensure!([200, 429].contains(&answer.status), "{}", answer.status);
            passed += u32::from(answer.status == 200);
        }
        anyhow::Ok(passed)
    };
    assert_eq!(passed(ALICE).await?, 3);
    assert_eq!(passed(BOB).await?, 2, "of five for both, three are gone");
    let metrics = world.fixture.admin("/metrics").await?.text();
    for (name, verdict, count) in [("all", "ok", 5), ("watched", "over", 4)] {
        let line =
            format!("chancery_budget_checks_total{{budget=\"default/{name}\",verdict=\"{verdict}\"}} ");
        let found = metrics.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u32>().ok());
        assert!(found.is_some_and(|found| found >= count), "{line}: {found:?}");
    }
    Ok(())
}

/// An error, a provider that breaks off, a client that leaves: afterwards nothing is reserved any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn however_a_request_ends_its_reservation_does() -> Result<()> {
    let team = json!({"limit": {"tokens": 3000}, "per": "Year"});
    let world = World::start(&(objects() + &budget("team", &team)), &[]).await?;
    let question = || limited(streamed("a b c d e f g h"), 2000);
    let fits_again = async |why: &str| {
        eventually(DEADLINE, || async {
            world.a.set_knobs(Knobs::default());
            let answer = ask(&world, ALICE, &question()).await?;
            ensure!(answer.status == 200, "{why}: {}", answer.status);
            Ok(())
        })
        .await
    };
    for (why, knobs) in [
        ("an error", failing(500)),
        ("a stream that breaks off", Knobs { cut_after: Some(3), ..Knobs::default() }),
        ("a stream with an error", Knobs { fail_after: Some(2), ..Knobs::default() }),
    ] {
        world.a.set_knobs(knobs);
        drop(ask(&world, ALICE, &question()).await);
        fits_again(why).await?;
    }
    world.a.set_knobs(Knobs { stall_after: Some(2), ..Knobs::default() });
    let body = question();
    eventually(DEADLINE, || async {
        // The stream stalls, so that its client leaves; before that, what the last one has reserved may still be in the way.
        let answer = tokio::time::timeout(Duration::from_millis(500), ask(&world, ALICE, &body)).await;
        ensure!(answer.is_err(), "{:?}", answer.map(|answer| answer.map(|answer| answer.status)));
        anyhow::Ok(())
    })
    .await?;
    fits_again("a client that leaves").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_that_cannot_be_applied_lets_none_of_its_keys_pass() -> Result<()> {
    let wrong = json!({"keys": {"matchLabels": {"team": "a"}}, "limit": {"tokens": 1}, "per": "Day", "timeZone": "Mars/North"});
    let world = World::start(&(objects() + &budget("wrong", &wrong)), &[]).await?;
    assert_eq!(ask(&world, ALICE, &chat("hello")).await?.status, 500);
    assert_eq!(ask(&world, BOB, &chat("hello")).await?.status, 200);
    for object in ["Budget default/wrong", "VirtualKey default/alice"] {
        let told = world.fixture.told(object, "/conditions", "Accepted", "Invalid").await?;
        assert!(told.contains("spec.timeZone"), "{object}: {told}");
    }
    Ok(())
}

/// What is spent stands in the statuses of Budgets, as a store knows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_a_budget_tells_what_is_spent() -> Result<()> {
    let store = StoreServer::start()?;
    let team = json!({"limit": {"tokens": 3000}, "per": "Year", "timeZone": "Europe/Berlin"});
    let each = json!({"limit": {"requests": 2}, "per": "Year", "spenders": "EachKey"});
    let documents = objects() + &budget("team", &team) + &budget("each", &each);
    let world = World::start(&documents, &["--limit-store", &store.address()]).await?;
    let told = async |name: &str, expected: Value, exhausted: &str| {
        let object = format!("Budget default/{name}");
        eventually(DEADLINE, || async {
            let status = world.fixture.status(&object).await?;
            let mut spend = status["spend"].clone();
            let period = spend.as_object_mut().and_then(|spend| spend.remove("period")).unwrap_or_default();
            ensure!(spend == expected, "{spend} is not {expected}");
            ensure!(period["timeZone"] == if name == "team" { "Europe/Berlin" } else { "UTC" }, "{period}");
            let condition = world.condition(&object, "Exhausted").await?;
            ensure!(condition["status"] == exhausted, "{condition}");
            Ok(())
        })
        .await
    };
    told("team", json!({"limit": 3000, "spent": 0, "reserved": 0, "remaining": 3000}), "False").await?;
    let mut spent = 0;
    for _ in 0..2 {
        let answer = ask(&world, ALICE, &limited(chat("hello"), 400)).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        spent += answer.json()?["usage"]["total_tokens"].as_u64().unwrap_or_default();
    }
    let left = 3000 - spent;
    told("team", json!({"limit": 3000, "spent": spent, "reserved": 0, "remaining": left}), "False").await?;
    let alice = json!({"name": "alice", "spent": 2, "reserved": 0, "remaining": 0});
    let bob = json!({"name": "bob", "spent": 0, "reserved": 0, "remaining": 2});
    let spenders = json!({"count": 2, "exhausted": 1, "most": [alice, bob]});
    told("each", json!({"limit": 2, "spent": 2, "reserved": 0, "spenders": spenders}), "True").await
}

/// `examples/virtual-keys`, as it stands there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_does_what_it_shows() -> Result<()> {
    let example = OpenAiExample::start_for(&["virtual-keys"], &[("ALICE_KEY", ALICE)], &[]).await?;
    let address = (example.fixture.ip, 8098).into();
    let ask = async |key: &str, question: &Value| {
        let headers = [("x-api-key", key)];
        post_json(address, "localhost", "/v1/chat/completions", &headers, question).await
    };
    let question = |model: &str, tokens: u64| {
        let mut question = limited(chat("hello"), tokens);
        question["model"] = json!(model);
        question
    };
    for (key, model, tokens, expected) in [
        (ALICE, "gpt-4o", 100, 200),
        (ALICE, "gpt-4o-mini", 100, 200),
        (ALICE, "o3", 100, 403),
        (ALICE, "gpt-4o", 20_000, 429),
        (BOB, "gpt-4o", 100, 401),
    ] {
        let answer = ask(key, &question(model, tokens)).await?;
        assert_eq!(answer.status, expected, "{model} {tokens}: {}", answer.text());
    }
    Ok(())
}
