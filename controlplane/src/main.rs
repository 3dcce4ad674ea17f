//! The binary `chancery`; see the library for what it does.

use std::process::ExitCode;

use clap::Parser as _;
use controlplane::args::Args;

fn main() -> ExitCode {
    closed_pipe::end_quietly();
    match controlplane::execute(Args::parse()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            eprintln!("chancery: {error:#}");
            ExitCode::FAILURE
        }
    }
}
