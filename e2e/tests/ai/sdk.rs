//! The providers' own SDKs, unmodified, through the gateway: four protocols of clients, four of providers. Which provider
//! answers is nothing that a client sees. Bedrock's SDK is served by Bedrock, with the gateway's signature in place of
//! its own.
//!
//! Needs `make sdk`. Without the SDKs the test says so and passes, unless `CHANCERY_SDK_REQUIRED=1`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use mock_llm::Knobs;
use mock_llm::sigv4::AwsKey;
use serde_json::Value;
use tokio::process::Command;

use crate::world::{World, backend, route, secret};

/// All scenarios of one client at one provider; several times what they take on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);
/// So many scenarios at least: a list that has become empty must not pass.
const SCENARIOS: usize = 18;

/// Keys of clients, which no provider may see.
const API_KEY: &str = "sk-of-the-client";
const AWS_KEY: &str = "AKIDOFTHECLIENT:secret-of-the-client";

const KEY: &str = "canary-key-of-the-gateway";
const ACCESS_KEY_ID: &str = "AKIDEXAMPLE";
const SECRET_ACCESS_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// The clients that every provider serves, with what their base URL has behind the path of the route.
const CLIENTS: [(&str, &str); 4] =
    [("openai-chat", "/v1"), ("openai-responses", "/v1"), ("anthropic", ""), ("gemini", "")];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Python with the SDKs; `None`, and a loud word, when there is none and none is required.
fn python() -> Option<PathBuf> {
    let given = std::env::var_os("CHANCERY_SDK_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|| workspace().join(".tools/sdk-venv/bin/python"));
    if python.exists() {
        return Some(python);
    }
    let required = std::env::var("CHANCERY_SDK_REQUIRED").is_ok_and(|value| value == "1");
    assert!(!required, "{} does not exist: run `make sdk`", python.display());
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED, NOTHING WAS TESTED: {} does not exist; run `make sdk`",
        python.display()
    );
    None
}

fn objects() -> String {
    let token = "authToken: {kind: SecretRef, secretRef: {name: key}}";
    let aws = format!(
        "---\napiVersion: v1\nkind: Secret\nmetadata: {{name: aws, namespace: default}}\nstringData: {{accessKey: {ACCESS_KEY_ID}, secretKey: {SECRET_ACCESS_KEY}}}\n"
    );
    let providers = [
        ("openai", format!("llm: {{openai: {{{token}, model: gpt-5.2}}, HOST_A}}")),
        ("anthropic", format!("llm: {{anthropic: {{{token}, model: claude-sonnet-4-5}}, HOST_A}}")),
        ("gemini", format!("llm: {{gemini: {{{token}, model: gemini-3-flash, apiVersion: v1beta}}, HOST_A}}")),
        (
            "bedrock",
            "llm: {bedrock: {auth: {type: Secret, secretRef: {name: aws}}, model: 'anthropic.claude-sonnet-4-5-20250929-v1:0'}, HOST_A}".to_owned(),
        ),
    ];
    let mut all = secret("key", KEY) + &aws;
    for (name, ai) in providers {
        all += &backend(name, &ai);
        all += &route(name);
    }
    all
}

/// What failed of all scenarios of a client at a provider, and how many there were.
async fn run(
    world: &World,
    python: &Path,
    client: (&str, &str),
    client_key: &str,
    provider: &str,
) -> Result<(Vec<String>, usize)> {
    let (client, behind) = client;
    let aws_key = AwsKey {
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.to_owned(),
        session_token: None,
    };
    world.a.set_knobs(Knobs {
        keys: Some(vec![KEY.to_owned()]),
        aws_keys: Some(vec![aws_key]),
        ..Knobs::default()
    });
    drop(world.a.recording().take());
    let gateway = world.fixture.address();
    let mut command = Command::new(python);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .args(["-B", "e2e/sdk/clients.py", "--client", client, "--key", client_key])
        .args(["--model", "a-model-of-the-client", "--scenario", "all"])
        .args(["--base-url", &format!("http://{gateway}/{provider}{behind}")])
        .args(["--mock-admin", &format!("http://{}", world.a.address())])
        .current_dir(workspace())
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(LIMIT, command.output()).await.context("the client takes too long")??;
    let printed = String::from_utf8_lossy(&output.stdout);
    let results: Vec<Value> = printed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let failed = results.iter().filter(|result| result["ok"] != true);
    let mut failed: Vec<String> =
        failed.map(|result| format!("{}: {}", result["scenario"], result["detail"])).collect();
    if results.len() < SCENARIOS {
        failed.push(format!("only {} scenarios: {}", results.len(), String::from_utf8_lossy(&output.stderr)));
    }
    Ok((failed, results.len()))
}

/// All scenarios of these clients, each with a key that is not the gateway's, at a provider.
async fn matrix(provider: &str, clients: &[(&str, &str)], client_key: &str) -> Result<()> {
    let Some(python) = python() else { return Ok(()) };
    let world = World::start(&objects(), &[]).await?;
    let mut all_failed = Vec::new();
    let mut count = 0;
    for client in clients {
        let (failed, ran) = run(&world, &python, *client, client_key, provider).await?;
        count += ran;
        all_failed.extend(failed.into_iter().map(|failure| format!("{} at {provider}: {failure}", client.0)));
    }
    println!("{provider}: {count} scenarios of {} clients, {} failed", clients.len(), all_failed.len());
    assert!(all_failed.is_empty(), "{}", all_failed.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_served_by_openai() -> Result<()> {
    matrix("openai", &CLIENTS, API_KEY).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_served_by_anthropic() -> Result<()> {
    matrix("anthropic", &CLIENTS, API_KEY).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_served_by_gemini() -> Result<()> {
    matrix("gemini", &CLIENTS, API_KEY).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_served_by_bedrock() -> Result<()> {
    matrix("bedrock", &CLIENTS, API_KEY).await
}

/// boto3 signs with a key that the provider does not know, for another host and path than the provider's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bedrocks_own_client_is_served_by_bedrock() -> Result<()> {
    matrix("bedrock", &[("bedrock", "")], AWS_KEY).await
}
