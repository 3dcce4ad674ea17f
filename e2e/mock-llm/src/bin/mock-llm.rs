//! `mock-llm`: all providers on one port, until it is ended.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use mock_llm::MockLlm;

/// Plays the LLM providers, each in its native protocol, without TLS.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; with port 0 the kernel chooses one. The address is the first line of the output.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> Result<()> {
    closed_pipe::end_quietly();
    let arguments = Arguments::parse();
    let mock = MockLlm::start_on(arguments.listen, None).await?;
    println!("{}", mock.address());
    // A program that starts this one reads the address from a pipe.
    std::io::stdout().flush()?;
    tokio::signal::ctrl_c().await?;
    Ok(())
}
