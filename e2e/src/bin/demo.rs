//! `make demo`: the two seeds' documents through a real Envoy, with a stand-in for Gemini; and `examples/failover`, with
//! stand-ins for OpenAI, which is at its limit, and for Anthropic.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::failover::{FailoverProviders, failover_documents};
use e2e::fixture::Seed;
use e2e::provider::{MockProvider, TestAuthority};
use e2e::{envoy, scenario};
use tempfile::TempDir;

/// What stands in the seeds for `$GOOGLE_KEY`; the stand-in takes any key.
const KEY: &str = "demo-key";

/// What the stand-in for Gemini is there for.
const GEMINI: &str = "generativelanguage.googleapis.com";

/// Between two pieces of a stream, so that a person sees it arrive.
const PIECE_DELAY_MS: u64 = 150;

/// What a person can try.
const INSTRUCTIONS: &str = r#"Try this in another terminal, and end with Ctrl-C. Each request is a line of JSON here; "ai" in it has the provider, the
model and the tokens.

Gemini (127.0.0.2 is the other seed's Gateway):

  curl 127.0.0.1:8080/gemini -H content-type:application/json -d '{
    "contents": [{"parts": [{"text": "Explain how AI works in a few words"}]}]}'

OpenAI is at its limit (429) here: Anthropic answers, in OpenAI's form, as a stream:

  curl -N 127.0.0.1:8081/v1/chat/completions -H content-type:application/json -d '{
    "stream": true, "messages": [{"role": "user", "content": "Explain how AI works in a few words"}]}'
"#;

const HELP: &str = "\
Serves the documents of `examples` through a real Envoy, with stand-ins for the providers, until Ctrl-C.

Usage: demo

Prints where its YAML is, which can be edited meanwhile, and requests to try. Needs the programs of `cargo build --bins`
and the module of `cargo build -p module`; `make demo` builds them first. CHANCERY_ENVOY names the Envoy.";

#[tokio::main]
async fn main() -> Result<()> {
    closed_pipe::end_quietly();
    if let Some(argument) = std::env::args().nth(1) {
        let is_help = ["-h", "--help", "help"].contains(&argument.as_str());
        println!("{HELP}");
        std::process::exit(if is_help { 0 } else { 2 });
    }
    let folder = TempDir::new()?;
    let authority = TestAuthority::generate()?;
    authority.write_certificate(&folder.path().join("ca.pem"))?;
    let provider = MockProvider::start(&authority).await?;
    provider.record_nothing();
    provider.observe(|request, status| println!("[stand-in] {request} -> {status}"));
    let config = folder.path().join("config");
    for seed in [Seed::Kgateway, Seed::Gloo] {
        save(&config.join(seed.namespace()), &seed.documents(KEY)?)?;
    }

    let failover = FailoverProviders::start(&authority).await?;
    failover.anthropic.change_knobs(|knobs| knobs.piece_delay_ms = PIECE_DELAY_MS);
    save(&config.join("failover"), &failover_documents(KEY, KEY)?)?;

    let mut command = Command::new(scenario::binary()?);
    command.arg("run").arg(&config).env(envoy::ENVOY_VARIABLE, envoy::binary()?);
    command.arg("--upstream-ca").arg(folder.path().join("ca.pem"));
    let address = provider.address();
    command.arg("--connect-to").arg(format!("{GEMINI}:443:{}:{}", address.ip(), address.port()));
    for connect_to in failover.connect_to() {
        command.arg("--connect-to").arg(connect_to);
    }
    command.args(["--access-log", "-"]);
    println!("The YAML is in {}: edit it and see.", config.display());
    println!("{INSTRUCTIONS}");

    // Of a process group of its own, so that each signal reaches it once, through us: those of a terminal, and those to
    // us alone.
    let mut command = tokio::process::Command::from(command);
    let mut child = command.process_group(0).kill_on_drop(true).spawn().context("chancery")?;
    let pid = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32));
    let pass_on = |signal| pid.map(|pid| rustix::process::kill_process(pid, signal));
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupt.recv() => drop(pass_on(rustix::process::Signal::INT)),
            _ = terminate.recv() => drop(pass_on(rustix::process::Signal::TERM)),
        }
    };
    std::process::exit(status.code().unwrap_or(1));
}

/// Writes documents into a folder of their own.
fn save(folder: &Path, documents: &[(String, String)]) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    documents.iter().try_for_each(|(name, text)| Ok(std::fs::write(folder.join(name), text)?))
}
