//! The examples of acceptance rows A29 to A36 and A39, as they stand in `examples`, each together with `openai`.

use anyhow::{Result, ensure};
use e2e::guard_server::GuardServer;
use e2e::http::{Response, eventually, post_json};
use serde_json::Value;

use crate::world::{DEADLINE, OpenAiExample, chat, said, streamed};

/// What a client gets who is rejected without a `customResponse`.
const REJECTED: &str = "The request was rejected due to inappropriate content";

struct Row(OpenAiExample);

impl Row {
    async fn start(folder: &str) -> Result<Self> {
        Self::start_with(folder, &[]).await
    }

    async fn start_with(folder: &str, more: &[&str]) -> Result<Self> {
        Ok(Self(OpenAiExample::start_for(&["openai", folder], &[], more).await?))
    }

    async fn ask(&self, prefix: &str, headers: &[(&str, &str)], question: &Value) -> Result<Response> {
        let path = format!("{prefix}/v1/chat/completions");
        post_json(self.0.fixture.address(), "localhost", &path, headers, question).await
    }

    /// The status of a chat, with the message of the model if it is 200, and with the whole answer otherwise.
    async fn chat(&self, prefix: &str, text: &str) -> Result<(u16, String)> {
        let answer = self.ask(prefix, &[], &chat(text)).await?;
        match answer.status {
            200 => {
                let content = answer.json()?["choices"][0]["message"]["content"].clone();
                Ok((200, content.as_str().unwrap_or_default().to_owned()))
            }
            status => Ok((status, answer.text())),
        }
    }

    async fn expect(&self, prefix: &str, text: &str, status: u16, wanted: &str) -> Result<()> {
        let got = self.chat(prefix, text).await?;
        ensure!(got == (status, wanted.to_owned()), "{prefix} {text}: {got:?}");
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a29_guard_reject() -> Result<()> {
    let row = Row::start("guard-reject").await?;
    row.expect("", "my Credit Card", 403, "Rejected due to inappropriate content").await?;
    row.expect("", "my bank", 200, "You said: my bank").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a30_guard_response() -> Result<()> {
    let row = Row::start("guard-response").await?;
    row.expect("", "my credit card", 403, REJECTED).await?;
    row.expect("/json", "my credit card", 400, r#"{"error": "credit cards are not discussed here"}"#).await?;
    let answer = row.ask("/json", &[], &chat("my credit card")).await?;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    row.expect("/json", "my bank", 200, "You said: my bank").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a31_guard_builtins() -> Result<()> {
    let row = Row::start("guard-builtins").await?;
    for text in ["5105 1051 0510 5100", "jane@example.com", "536-90-4399", "(212) 555-0123"] {
        row.expect("", text, 403, REJECTED).await?;
    }
    row.expect("", "5105 1051 0510 5101", 200, "You said: 5105 1051 0510 5101").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a32_guard_answer() -> Result<()> {
    let row = Row::start("guard-answer").await?;
    row.expect("", "5105105105105100 is even", 200, "You said: <CREDIT_CARD> is even").await
}

/// The mock says what it has got.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a33_guard_mask() -> Result<()> {
    let row = Row::start("guard-mask").await?;
    row.expect("", "what is Project  Falcon?", 200, "You said: what is <CUSTOM>?").await
}

/// The mock splits streams at blanks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a34_guard_stream() -> Result<()> {
    let row = Row::start("guard-stream").await?;
    let answer = row.ask("", &[], &streamed("my card 5105 1051 0510 5100, thanks")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(said(&answer), "You said: my card <CREDIT_CARD>, thanks");
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a35_moderation() -> Result<()> {
    let row = Row::start("moderation").await?;
    row.expect("", "I will kill you", 403, "This is not answered here.").await?;
    row.expect("", "hello", 200, "You said: hello").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a36_webhook() -> Result<()> {
    let server = GuardServer::start(None).await?;
    let connect_to = format!("judge.default.svc.cluster.local:8000:127.0.0.1:{}", server.port());
    let row = Row::start_with("webhook", &["--connect-to", &connect_to]).await?;
    for (text, status, questions, wanted) in
        [("my secret", 200, 2, "You said: my ****"), ("block this", 403, 1, "blocked by the webhook")]
    {
        let answer = row.ask("", &[("x-user", "alice")], &chat(text)).await?;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(answer.text().contains(wanted), "{}", answer.text());
        let asked = server.recording().take();
        assert_eq!(asked.first().and_then(|asked| asked.header("x-user")), Some("alice"));
        assert_eq!(asked.len(), questions, "{text}");
    }
    drop(server);
    assert_eq!(row.chat("", "hello").await?.0, 503, "nobody judges");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a39_token_limit() -> Result<()> {
    let row = Row::start("token-limit").await?;
    for headers in [&[("x-user", "alice")][..], &[]] {
        // An answer of the mock has some tokens.
        eventually(DEADLINE, || async {
            let answer = row.ask("", headers, &chat("hello")).await?;
            ensure!(answer.status == 429, "{}", answer.status);
            Ok(())
        })
        .await?;
    }
    let answer = row.ask("", &[("x-user", "bob")], &chat("hello")).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}
