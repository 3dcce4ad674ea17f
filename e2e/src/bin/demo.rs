//! `make demo`: the two seeds' documents through a real Envoy, with a stand-in for Gemini.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use e2e::fixture::Seed;
use e2e::provider::{MockProvider, PROVIDER_NAMES, TestAuthority};
use e2e::{envoy, scenario};
use tempfile::TempDir;

/// What stands in the seeds for `$GOOGLE_KEY`; the stand-in takes any key.
const KEY: &str = "demo-key";

#[tokio::main]
async fn main() -> Result<()> {
    closed_pipe::end_quietly();
    let folder = TempDir::new()?;
    let authority = TestAuthority::generate()?;
    authority.write_certificate(&folder.path().join("ca.pem"))?;
    let provider = MockProvider::start(&authority).await?;
    provider.record_nothing();
    provider.observe(|request, status| println!("[stand-in] {request} -> {status}"));
    for seed in [Seed::Kgateway, Seed::Gloo] {
        copy(&seed.folder(), &folder.path().join("config").join(seed.namespace()))?;
    }

    let mut command = Command::new(scenario::binary()?);
    command.arg("run").arg(folder.path().join("config")).env(envoy::ENVOY_VARIABLE, envoy::binary()?);
    command.arg("--upstream-ca").arg(folder.path().join("ca.pem"));
    for name in PROVIDER_NAMES {
        let address = provider.address();
        command.arg("--connect-to").arg(format!("{name}:443:{}:{}", address.ip(), address.port()));
    }
    println!("The YAML is in {}: edit it and see.", folder.path().join("config").display());
    println!("Try this in another terminal (127.0.0.2 is the other seed's Gateway), and end with Ctrl-C:\n");
    println!("  curl 127.0.0.1:8080/gemini -H content-type:application/json -d '{{");
    println!(
        "    \"contents\": [{{\"parts\": [{{\"text\": \"Explain how AI works in a few words\"}}]}}]}}'\n"
    );

    // Ctrl-C in a terminal reaches Chancery too; a SIGTERM to us alone is passed on.
    let mut child = tokio::process::Command::from(command).kill_on_drop(true).spawn().context("chancery")?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {
                if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id as i32)) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
                }
            }
        }
    };
    std::process::exit(status.code().unwrap_or(1));
}

/// Copies a seed's documents with the key put in, as the shell does it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?.replace("$GOOGLE_KEY", KEY);
        std::fs::write(to.join(path.file_name().context("a name")?), text)?;
    }
    Ok(())
}
