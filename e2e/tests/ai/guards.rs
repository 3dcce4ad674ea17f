//! Prompt guards through a real Envoy, in both dialects (acceptance rows A29 to A34).

use std::net::SocketAddr;

use anyhow::Result;
use e2e::http::Response;
use mock_llm::Knobs;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{World, backend, chat, route, said, secret, streamed};

const KEY: &str = "authToken: {kind: SecretRef, secretRef: {name: key}}";

/// A card of test data, and the sentence of the guide.
const CARD: &str = "5105105105105100";

/// A Backend with a route and a TrafficPolicy that has this guard, or, for a name that begins with `gloo`, a
/// RouteOption.
pub(crate) fn guarded(name: &str, guard: &str) -> String {
    let target = format!("targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}]");
    let policy = match name.starts_with("gloo") {
        true => format!(
            "---\napiVersion: gateway.solo.io/v1\nkind: RouteOption\nmetadata: {{name: {name}, namespace: default}}\nspec: {{{target}, options: {{ai: {{promptGuard: {{{guard}}}}}}}}}\n"
        ),
        false => format!(
            "---\napiVersion: gateway.kgateway.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, namespace: default}}\nspec: {{{target}, ai: {{promptGuard: {{{guard}}}}}}}\n"
        ),
    };
    backend(name, &format!("llm: {{openai: {{{KEY}}}, HOST_A}}")) + &route(name) + &policy
}

/// The same for both dialects: at `/NAME` and `/glooNAME`.
fn both(name: &str, guard: &str) -> String {
    guarded(name, guard) + &guarded(&format!("gloo{name}"), guard)
}

async fn world(objects: &str) -> Result<World> {
    World::start(&(secret("key", "canary-key") + objects), &[]).await
}

fn content_type(answer: &Response) -> &str {
    answer.header("content-type").unwrap_or_default()
}

/// Rows A29, A30, A31.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_rejected_with_the_words_of_the_policy() -> Result<()> {
    let card = r#"matches: [{pattern: credit card, name: CC}], action: REJECT"#;
    let objects = both(
        "own",
        &format!(
            "request: {{customResponse: {{message: Rejected due to inappropriate content}}, regex: {{{card}}}}}"
        ),
    ) + &both("default", &format!("request: {{regex: {{{card}}}}}"))
        + &both(
            "json",
            &format!(
                r#"request: {{customResponse: {{message: '{{"error": "no"}}', statusCode: 400}}, regex: {{{card}}}}}"#
            ),
        )
        + &both(
            "builtin",
            "request: {regex: {builtins: [CREDIT_CARD, EMAIL, SSN, PHONE_NUMBER], action: REJECT}}",
        );
    let world = world(&objects).await?;
    let default = "The request was rejected due to inappropriate content";
    for (name, status, kind, body) in [
        ("own", 403, "text/plain", "Rejected due to inappropriate content"),
        ("default", 403, "text/plain", default),
        ("json", 400, "application/json", r#"{"error": "no"}"#),
    ] {
        for path in [format!("/{name}"), format!("/gloo{name}/v1/embeddings")] {
            let answer = world.post(&path, &[], &chat("my Credit Card is blue")).await?;
            assert_eq!(
                (answer.status, content_type(&answer), answer.text().as_str()),
                (status, kind, body),
                "{path}"
            );
        }
    }
    for text in [CARD, "jane@example.com", "536-90-4399", "(212) 555-0123"] {
        for path in ["/builtin", "/gloobuiltin"] {
            let answer = world.post(path, &[], &chat(&format!("it is {text}"))).await?;
            assert_eq!((answer.status, answer.text()), (403, default.to_owned()), "{path}: {text}");
        }
    }
    assert_eq!(world.a.recording().take().len(), 0, "the provider was asked nothing");
    for (path, text) in
        [("/own", "my bank"), ("/builtin", "4111111111111112 at 10:30"), ("/gloobuiltin", "hello")]
    {
        assert_eq!(world.post(path, &[], &chat(text)).await?.status, 200, "{path}");
    }
    world.counter(&["ai_guard_verdicts_total", "phase=\"request\"", "verdict=\"rejected\""], 14).await?;
    world.counter(&["ai_guard_verdicts_total", "phase=\"request\"", "verdict=\"passed\""], 3).await?;
    Ok(())
}

/// Row A33: what the provider gets is masked, and is what the client has sent but for that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_are_masked() -> Result<()> {
    let world =
        world(&both("mask", "request: {regex: {matches: [{pattern: falcon}], builtins: [EMAIL]}}")).await?;
    for path in ["/mask", "/gloomask"] {
        let mut question = chat("Falcon and jane@example.com");
        question["metadata"] = json!({"project": "falcon"});
        let answer = world.post(path, &[], &question).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let sent = world.a.recording().take().pop().unwrap().json();
        question["metadata"]["project"] = json!("<CUSTOM>");
        question["messages"][0]["content"] = json!("<CUSTOM> and <EMAIL_ADDRESS>");
        assert_eq!(sent, question);
    }
    Ok(())
}

/// Rows A32 and A34: answers as a whole and as streams, in which the mock splits numbers at their spaces; tokens are counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_masked_as_wholes_and_as_streams() -> Result<()> {
    let world = world(&both("answer", "response: {regex: {builtins: [CREDIT_CARD]}}")).await?;
    for path in ["/answer", "/glooanswer"] {
        let answer = world.post(path, &[], &chat(&format!("{CARD} is an even number."))).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json()?;
        assert_eq!(body["choices"][0]["message"]["content"], "You said: <CREDIT_CARD> is an even number.");
        assert_eq!(body["usage"]["prompt_tokens"], 5, "{body}");
        for piece_bytes in [None, Some(1), Some(50)] {
            world.a.set_knobs(Knobs { piece_bytes, ..Knobs::default() });
            let question = streamed("my card 5105 1051 0510 5100, thanks");
            let answer = world.post(path, &[], &question).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(content_type(&answer).starts_with("text/event-stream"), "{}", content_type(&answer));
            let text = answer.text();
            assert!(text.ends_with("data: [DONE]\n\n"), "{text}");
            assert_eq!(said(&answer), "You said: my card <CREDIT_CARD>, thanks", "{path}");
        }
        world.a.set_knobs(Knobs::default());
    }
    world.counter(&["ai_guard_verdicts_total", "phase=\"response\"", "verdict=\"masked\""], 8).await?;
    world.counter(&["ai_prompt_tokens_total"], 10).await?;
    Ok(())
}

/// Guards in shadow mode change nothing, also of what a guard that acts would refuse, and tell what they would do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_in_shadow_mode_changes_nothing_and_tells_what_it_would_do() -> Result<()> {
    let (ssn, card) = ("536-90-4399", "my card 5105 1051 0510 5100, thanks");
    let world = world(&both(
        "shadow",
        "request: {regex: {builtins: [SSN], action: REJECT, mode: Shadow}}, \
         response: {regex: {builtins: [CREDIT_CARD], mode: Shadow}}",
    ))
    .await?;
    for path in ["/shadow", "/glooshadow"] {
        world.a.set_knobs(Knobs { piece_bytes: Some(1), ..Knobs::default() });
        let answer = world.post(path, &[], &streamed(card)).await?;
        assert_eq!((answer.status, said(&answer)), (200, format!("You said: {card}")), "{path}");
        world.a.set_knobs(Knobs::default());
        let answer = world.post(path, &[], &chat(ssn)).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()?["choices"][0]["message"]["content"], format!("You said: {ssn}"));
        // A guard that acts answers 415.
        let encoded = [("content-encoding", "br")];
        let answer = world.post(&format!("{path}/v1/files"), &encoded, &chat(ssn)).await?;
        assert!(answer.status != 415, "{path}");
        let sent: Vec<_> = world.a.recording().take();
        assert_eq!(sent.len(), 3, "{path}");
        assert_eq!(sent.get(1).map(|sent| sent.json()), Some(chat(ssn)), "{path}");
    }
    let count = async |phase: &str, verdict: &str, expected| {
        let (phase, verdict) = (format!("phase=\"{phase}\""), format!("verdict=\"{verdict}\""));
        let parts = ["ai_guard_verdicts_total", &phase, &verdict];
        anyhow::ensure!(world.counter(&parts, expected).await? == expected, "{parts:?}");
        Ok(())
    };
    count("request_shadow", "rejected", 2).await?;
    count("request_shadow", "passed", 2).await?;
    count("request_shadow", "unreadable", 2).await?;
    count("response_shadow", "masked", 2).await?;
    let metrics = world.fixture.envoy("gw")?.get("/stats/prometheus").await?.text();
    assert!(!metrics.contains("phase=\"request\""), "{metrics}");
    assert!(!metrics.contains("phase=\"response\""), "{metrics}");
    Ok(())
}

/// What cannot be read does not pass, and the answer says why; the neighbours are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_refused() -> Result<()> {
    let objects = both("in", "request: {regex: {builtins: [SSN]}}")
        + &guarded("broken", "request: {regex: {matches: [{pattern: '(?=a)'}]}}")
        + &guarded("hook", "request: {webhook: {host: {host: 169.254.169.254, port: 80}}}");
    let world = world(&objects).await?;
    for (headers, body, status, why) in [
        (&[][..], "not json", 400, "not valid JSON"),
        (&[], r#"{"messages":[],"messages":[{"role":"user","content":"x"}]}"#, 400, "twice"),
        (&[("content-encoding", "gzip")], "{}", 415, "content-encoding"),
    ] {
        let request =
            e2e::http::request(http::Method::POST, "ai.example", "/in", headers, body.to_owned().into())?;
        let answer = e2e::http::send(world.fixture.address(), request).await?;
        let text = answer.text();
        assert_eq!(answer.status, status, "{body}: {text}");
        assert!(text.contains(why) && text.contains("prompt guard"), "{text}");
    }
    for path in ["/broken", "/hook"] {
        assert_eq!(world.post(path, &[], &chat("x")).await?.status, 500, "{path}");
    }
    assert_eq!(world.a.recording().take().len(), 0);
    let told = world.told("TrafficPolicy default/broken", "Accepted", "Invalid").await?;
    assert!(
        told.contains("spec.ai.promptGuard.request.regex.matches[0].pattern") && told.contains("look-around"),
        "{told}"
    );
    let told = world.told("TrafficPolicy default/hook", "Accepted", "Invalid").await?;
    assert!(told.contains("spec.ai.promptGuard.request.webhook.host.host"), "{told}");
    assert_eq!(world.post("/glooin", &[], &chat("x")).await?.status, 200);
    Ok(())
}

/// A provider whose answer is no JSON: the client gets 502 in place of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_cannot_be_read_becomes_502() -> Result<()> {
    let objects = guarded("out", "response: {regex: {builtins: [CREDIT_CARD]}}");
    let provider = raw_provider(
        b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 19\r\n\r\n\xff\xfb 5105105105105100",
    )
    .await?;
    let world =
        world(&objects.replace("HOST_A", &format!("host: 127.0.0.1, port: {}", provider.port()))).await?;
    let answer = world.post("/out/v1/audio/speech", &[], &json!({"input": "x"})).await?;
    assert_eq!((answer.status, content_type(&answer)), (502, "application/json"));
    assert!(answer.text().contains("prompt guard") && !answer.text().contains("5105"), "{}", answer.text());
    Ok(())
}

/// A provider that answers every connection with these bytes.
async fn raw_provider(answer: &'static [u8]) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            // The request is small, and what it says does not matter.
            if connection.read(&mut request).await.is_ok() && connection.write_all(answer).await.is_ok() {
                let _ = connection.read(&mut request).await;
            }
        }
    });
    Ok(address)
}
