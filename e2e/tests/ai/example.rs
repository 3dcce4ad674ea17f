//! `examples/failover`, as it stands there, which `make demo` serves as well: streaming, failover to another provider,
//! counts of tokens.

use anyhow::{Context, Result};
use e2e::failover::{FailoverProviders, failover_documents};
use e2e::fixture::{DEADLINE, Fixture};
use e2e::http::{eventually, post_json};
use e2e::provider::TestAuthority;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_provider_answers_in_the_form_of_the_first_and_tokens_are_counted() -> Result<()> {
    let authority = TestAuthority::generate()?;
    let providers = FailoverProviders::start(&authority).await?;
    let folder = tempfile::tempdir()?;
    let (trust, log) = (folder.path().join("ca.pem"), folder.path().join("access.log"));
    authority.write_certificate(&trust)?;
    let documents = failover_documents("key-of-openai", "key-of-anthropic")?;
    // The port is the example's; the address is the test's own.
    let files: Vec<_> = documents.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let [openai, anthropic] = providers.connect_to();
    let (trust, access_log) = (trust.display().to_string(), log.display().to_string());
    let arguments = ["--upstream-ca", &trust, "--access-log", &access_log];
    let arguments = [&arguments[..], &["--connect-to", &openai, "--connect-to", &anthropic]].concat();
    let fixture = Fixture::start_with(&files, &arguments).await?;
    let address = (fixture.ip, 8081).into();
    let ask = |stream: bool| {
        let question = json!({"stream": stream, "messages": [{"role": "user", "content": "hello there"}]});
        async move { post_json(address, "localhost", "/v1/chat/completions", &[], &question).await }
    };

    let answer = ask(false).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json()?;
    assert_eq!(answer["object"], "chat.completion", "{answer}");
    assert!(answer["usage"]["total_tokens"].as_u64() > Some(0), "{answer}");
    let stream = ask(true).await?.text();
    assert!(stream.starts_with("data: {") && stream.trim_end().ends_with("data: [DONE]"), "{stream}");

    let (at_openai, at_anthropic) =
        (providers.openai.recording().take(), providers.anthropic.recording().take());
    assert_eq!((at_openai.len(), at_anthropic.len()), (2, 2));
    assert!(at_openai.iter().all(|request| request.header("authorization") == Some("Bearer key-of-openai")));
    assert!(at_anthropic.iter().all(|request| request.header("x-api-key") == Some("key-of-anthropic")));
    assert!(at_anthropic.iter().all(|request| request.json()["model"] == "claude-sonnet-4-5"));

    let lines = eventually(DEADLINE, || async {
        let text = std::fs::read_to_string(&log)?;
        let lines: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        (lines.len() == 2).then_some(lines).context("a line for each request")
    })
    .await?;
    for line in lines {
        assert_eq!(line["ai"]["provider"], "anthropic", "{line}");
        assert_eq!(line["ai"]["total_tokens"], answer["usage"]["total_tokens"], "{line}");
    }
    Ok(())
}
