//! What can go wrong, told so that the reader knows what to do next.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Component;

/// The result of an operation on a cluster.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation on a cluster failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The machine lacks something; `remedy` is the command that gets it.
    Missing {
        /// What is missing, as a noun phrase.
        what: String,
        /// The command to run.
        remedy: &'static str,
    },
    /// A component ended when it should run.
    ComponentEnded {
        /// Which one.
        component: Component,
        /// How it ended.
        status: String,
        /// The end of its log.
        log: String,
    },
    /// A command ended with a failure.
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: String,
        /// What it wrote to stderr.
        stderr: String,
    },
    /// Something did not happen in time.
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// What was seen last.
        last: String,
    },
    /// The operating system refused something.
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// An answer or a file was not what it should be.
    Unexpected(String),
    /// The cluster did not start; the logs of its components are kept.
    Start {
        /// Why.
        cause: Box<Error>,
        /// The folder with the logs.
        logs: PathBuf,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, remedy } => write!(f, "the one-node cluster needs {what}: {remedy}"),
            Self::ComponentEnded { component, status, log } => {
                write!(f, "{component} ended: {status}\n--- the end of its log\n{log}\n---")
            }
            Self::Command { command, status, stderr } => {
                write!(f, "`{command}` failed ({status}): {}", stderr.trim())
            }
            Self::Timeout { what, waited, last } => {
                write!(f, "no {what} after {:.0} s; last: {}", waited.as_secs_f64(), last.trim())
            }
            Self::Io { what, source } => write!(f, "cannot {what}: {source}"),
            Self::Unexpected(what) => f.write_str(what),
            Self::Start { cause, logs } => {
                write!(f, "the cluster did not start: {cause}\n(all logs: {})", logs.display())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Start { cause, .. } => Some(cause),
            _ => None,
        }
    }
}

/// Says what was tried when the operating system refuses it.
pub(crate) trait IoContext<T> {
    /// `what` completes "cannot …".
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { what: what(), source })
    }
}
