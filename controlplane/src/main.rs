//! The binary `chancery`; see the library for what it does.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use controlplane::args::Args;

#[global_allocator]
static ALLOCATOR: controlplane::Allocator = controlplane::Allocator;

fn main() -> ExitCode {
    match controlplane::execute(Args::parse()) {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            // `eprintln!` would panic where nobody reads it.
            let _ = writeln!(io::stderr(), "chancery: {error:#}");
            ExitCode::FAILURE
        }
    }
}
