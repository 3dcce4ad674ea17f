//! The control plane: the one place that wires sources, the translator, the xDS server and the
//! proxies together. The binary is `chancery`.
//!
//! ```text
//! source ──► store ──► pipeline ──► Output ──┬──► publish ──► snapshots ──► xds ──► Envoy
//!                      (translate)           ├──► deployer (one Envoy per Gateway)      │
//!                                            └──► console, admin ◄── fleet ◄────────────┘
//! ```
//!
//! Everything that decides is pure and elsewhere; here is what has to do with files, processes,
//! sockets and time.

/// The allocator of the programs. It gives back what is no longer in use, also what one thread has allocated and another
/// has freed: objects are decoded by the watches and dropped by the translation. Tests have that of the system, with which
/// a leak shows earlier.
pub use mimalloc::MiMalloc as Allocator;

pub mod admin;
pub mod ai_module;
mod api_client;
mod api_pace;
pub mod args;
mod backoff;
pub mod bootstrap;
mod by_object;
pub mod check;
pub mod clock;
pub mod connect_to;
pub mod console;
pub mod controller_name;
pub mod deployer;
pub mod diagnosis;
pub mod envoy;
pub mod envoy_admin;
pub mod exit;
mod finding_log;
pub mod fleet;
pub mod handover;
pub mod isolation;
pub mod json_text;
pub mod kept_status;
pub mod launcher;
pub mod lease;
mod limit_store;
pub mod mailbox;
#[cfg(test)]
mod mock_api;
pub mod offline;
mod overlay;
pub mod pipeline;
pub mod publish;
pub mod refusal;
pub mod refusals;
pub mod replicas;
mod reporter;
pub mod run;
pub mod selected_pods;
pub mod serve;
pub mod settings;
mod signals;
pub mod source;
mod spending;
pub mod status;
pub mod status_writer;
pub mod table;
pub mod telemetry;
mod telling;
pub mod trust;
pub mod vital;
pub mod xds_trust;

use std::io::{self, Write as _};

use anyhow::{Context as _, Result};

use args::{Args, Command};
use exit::Outcome;
use offline::Printed;
use settings::Machine;

/// Does what the command line says.
///
/// # Errors
/// What kept it from doing so, for people.
pub fn execute(args: Args) -> Result<Outcome> {
    let Args { log, command } = args;
    match command {
        Command::ExecEnvoy(args) => match launcher::exec_envoy(&args)? {},
        Command::Run(args) => {
            telemetry::init_logs(&log)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.context("cannot start threads")?.block_on(run::run(*args))
        }
        Command::Serve(args) => {
            telemetry::init_logs(&log)?;
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.context("cannot start threads")?.block_on(serve::serve(*args))
        }
        Command::Translate(args) => {
            telemetry::init_logs(&log)?;
            print(&offline::translate_command(&args, &Machine::detect())?)
        }
        Command::Check(args) => {
            telemetry::init_logs(&log)?;
            print(&check::check_command(&args, &Machine::detect())?)
        }
    }
}

fn print(printed: &Printed) -> Result<Outcome> {
    let Printed { output, remarks, outcome } = printed;
    // `eprint!` would panic where nobody reads it.
    let _ = io::stderr().lock().write_all(remarks.as_bytes());
    match io::stdout().lock().write_all(output.as_bytes()) {
        // `chancery translate … | head` is no error.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(*outcome),
        result => result.map(|()| *outcome).context("cannot write"),
    }
}
