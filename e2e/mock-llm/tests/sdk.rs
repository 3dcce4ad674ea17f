//! The providers' own SDKs against the mock: that it speaks as the providers do is for their clients to say.
//!
//! Needs `make sdk`. Without the venv the tests say so and pass, unless `CHANCERY_SDK_REQUIRED=1`.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mock_llm::sigv4::AwsKey;
use mock_llm::{Knobs, MockLlm};
use serde_json::Value;
use tokio::process::Command;

/// All scenarios of one client; several times what they take on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);
/// The key that is let in.
const KEY: &str = "sk-test-of-the-mock";
/// The AWS key that may sign.
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// So many scenarios at least: a list that has become empty must not pass.
const SCENARIOS: usize = 18;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The Python of the venv; `None`, and a loud word, when there is none and none is required.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("CHANCERY_SDK_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| workspace().join(".tools/sdk-venv/bin/python"));
    if python.exists() {
        return Some(python);
    }
    let required = std::env::var("CHANCERY_SDK_REQUIRED").is_ok_and(|value| value == "1");
    assert!(!required, "{} does not exist: run `make sdk`", python.display());
    // Not by a macro: the harness would keep that to itself when the test passes.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED, NOTHING WAS TESTED: {} does not exist; run `make sdk`",
        python.display()
    );
    None
}

/// A client of one SDK, and how it gets to the mock.
struct Client<'a> {
    name: &'a str,
    path: &'a str,
    key: &'a str,
    model: &'a str,
    scenarios: &'a str,
    /// The PEM of an authority to trust, and the TLS of the mock.
    tls: Option<(String, Arc<rustls::ServerConfig>)>,
}

async fn run(name: &str, path: &str, key: &str, model: &str) -> Result<()> {
    run_client(Client { name, path, key, model, scenarios: "all", tls: None }).await
}

async fn run_client(client: Client<'_>) -> Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let Client { name, path, key, model, scenarios, tls } = client;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let authorities = tempfile::NamedTempFile::new()?;
    let mut command = Command::new(python);
    // Neither the settings nor the proxies of whoever runs the tests.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    if let Some((pem, _)) = &tls {
        std::fs::write(authorities.path(), pem)?;
        // Python's own TLS and botocore look for authorities in different places.
        command.env("SSL_CERT_FILE", authorities.path()).env("AWS_CA_BUNDLE", authorities.path());
    }
    let mock = MockLlm::start_on((Ipv4Addr::LOCALHOST, 0).into(), tls.map(|(_, config)| config)).await?;
    let aws_key = AwsKey {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        session_token: None,
    };
    mock.set_knobs(Knobs {
        keys: Some(vec![KEY.to_owned()]),
        aws_keys: Some(vec![aws_key]),
        ..Knobs::default()
    });
    let address = mock.address();
    command
        .args(["-B", "e2e/sdk/clients.py", "--client", name, "--key", key, "--model", model])
        .args(["--base-url", &format!("{scheme}://{address}{path}"), "--scenario", scenarios])
        .args(["--mock-admin", &format!("{scheme}://{address}")])
        .current_dir(workspace())
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(LIMIT, command.output()).await.context("the client takes too long")??;
    let printed = String::from_utf8_lossy(&output.stdout);
    let failures: Vec<&str> = printed.lines().filter(|line| !is_ok(line)).collect();
    let complaints = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && failures.is_empty(), "{failures:#?}\n{complaints}");
    let expected = if scenarios == "all" { SCENARIOS } else { scenarios.split(',').count() };
    ensure!(printed.lines().count() >= expected, "too few scenarios:\n{printed}");
    Ok(())
}

fn is_ok(line: &str) -> bool {
    serde_json::from_str::<Value>(line).is_ok_and(|result| result["ok"] == true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_chat() -> Result<()> {
    run("openai-chat", "/v1", KEY, "gpt-5.2").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistral_by_the_client_of_openai() -> Result<()> {
    // All but its errors, which have a form of their own that this SDK does not read.
    let scenarios = "unary,stream,split_stream,system_prompt,conversation,tools,tools_streamed,parallel_tools,\
                     parallel_tools_streamed,image,structured_output,max_tokens,cut_stream,stalled_stream,disconnect";
    let (name, path, key, model) = ("openai-chat", "/v1", KEY, "mistral-large-latest");
    run_client(Client { name, path, key, model, scenarios, tls: None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_by_the_client_of_openai() -> Result<()> {
    run("openai-chat", "/openai/v1", KEY, "deployment-1").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openai_responses() -> Result<()> {
    run("openai-responses", "/v1", KEY, "gpt-5.2").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anthropic() -> Result<()> {
    run("anthropic", "", KEY, "claude-sonnet-4-5").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gemini() -> Result<()> {
    run("gemini", "", KEY, "gemini-3-flash").await
}

/// The colon of the model's name is what signatures get wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bedrock_signed() -> Result<()> {
    let key = format!("{ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}");
    run("bedrock", "", &key, "anthropic.claude-sonnet-4-5-20250929-v1:0").await
}

/// This SDK sends its API keys over TLS only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bedrock_with_an_api_key_over_tls() -> Result<()> {
    let tls = Some(certificate()?);
    let (name, path, key, model) = ("bedrock", "", KEY, "amazon.nova-lite-v1:0");
    run_client(Client { name, path, key, model, scenarios: "all", tls }).await
}

/// A certificate for loopback that is its own authority.
fn certificate() -> Result<(String, Arc<rustls::ServerConfig>)> {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([Ipv4Addr::LOCALHOST.to_string()])?;
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der())
        .map_err(anyhow::Error::msg)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)?;
    Ok((cert.pem(), Arc::new(config)))
}
