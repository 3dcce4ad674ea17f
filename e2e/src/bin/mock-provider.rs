//! The mock LLM provider as a program, for demonstrations without an account at a provider.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context, Result};
use clap::Parser;
use e2e::provider::{MockProvider, PROVIDER_NAMES, TestAuthority};
use e2e::recording::RecordedRequest;
use serde_json::{Value, json};
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
    /// Append every request to this file, one line of JSON each, credentials INCLUDED: for tests that look
    /// at what reached the provider.
    #[arg(long, value_name = "PATH")]
    record: Option<PathBuf>,
    /// Print one line for every request. Credentials are not shown.
    #[arg(long)]
    verbose: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    closed_pipe::end_quietly();
    run(Args::parse()).await
}

async fn run(args: Args) -> Result<()> {
    let Args { listen, ca_file, address_file, record, verbose } = args;
    let mut terminate = signal(SignalKind::terminate())?;
    let authority = TestAuthority::generate()?;
    authority.write_certificate(&ca_file)?;
    let provider = MockProvider::start_on(listen, &authority, &PROVIDER_NAMES).await?;
    // The demonstration may run for days.
    provider.record_nothing();
    let file = record.map(|path| open(&path)).transpose()?.map(Mutex::new);
    provider.observe(move |request, status| {
        // Nobody to tell when stdout or the file is gone.
        if verbose {
            let _ = writeln!(std::io::stdout(), "{} {request}", status.as_u16());
        }
        if let Some(file) = file.as_ref().and_then(|file| file.lock().ok()).as_deref_mut() {
            let _ = writeln!(file, "{}", as_json(request));
        }
    });
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

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.with_context(|| format!("cannot write {}", path.display()))
}

fn as_json(request: &RecordedRequest) -> Value {
    let headers = request.headers.iter();
    let headers: Vec<_> = headers
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({
        "method": request.method.as_str(),
        "path": request.path_and_query(),
        "host": request.host,
        "sni": request.sni,
        "headers": headers,
    })
}
