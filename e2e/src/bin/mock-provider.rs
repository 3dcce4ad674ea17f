//! The mock LLM provider as a program, for demonstrations without an account at a provider.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use e2e::provider::{MockProvider, PROVIDER_NAMES, TestAuthority};
use tokio::signal::unix::{SignalKind, signal};

/// Plays Gemini and OpenAI over TLS, with a certificate authority of its own, until Ctrl-C or SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "mock-provider", version)]
struct Args {
    /// Where to listen; port 0 lets the kernel choose.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Write the certificate of the authority here (PEM): clients are to trust it.
    #[arg(long, value_name = "PATH")]
    ca_file: PathBuf,
    /// Write HOST:PORT here, once requests are answered.
    #[arg(long, value_name = "PATH")]
    address_file: Option<PathBuf>,
    /// Print one line for every request. Credentials are not shown.
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    run(Args::parse()).await
}

async fn run(args: Args) -> Result<()> {
    let Args { listen, ca_file, address_file, verbose } = args;
    let mut terminate = signal(SignalKind::terminate())?;
    let authority = TestAuthority::generate()?;
    authority.write_certificate(&ca_file)?;
    let provider = MockProvider::start_on(listen, &authority, &PROVIDER_NAMES).await?;
    // The demonstration may run for days.
    provider.record_nothing();
    if verbose {
        provider.observe(|request, status| {
            // Nobody to tell when stdout is gone.
            let _ = writeln!(std::io::stdout(), "{} {request}", status.as_u16());
        });
    }
    println!("mock provider for {} on {}", PROVIDER_NAMES.join(", "), provider.address());
    if let Some(path) = address_file {
        // Renamed into place, so that a reader never sees half of it.
        let partial = path.with_extension("partial");
        std::fs::write(&partial, provider.address().to_string())
            .and_then(|()| std::fs::rename(&partial, &path))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    provider.stop().await;
    Ok(())
}
