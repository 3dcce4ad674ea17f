//! What an Envoy says: kept in a file, and passed on to our own log.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use ir::GatewayName;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// The `--log-format` of which [`level`] finds the level. One line per message: see
/// `--log-format-escaped`.
pub(super) const LOG_FORMAT: &str = "%Y-%m-%dT%T.%e [%l] [%n] %v";

/// How many lines are told when an Envoy ends unexpectedly.
const TAIL_LINES: usize = 10;

/// Reads until the Envoy closes its end; returns the last lines.
pub(super) async fn follow(
    output: impl AsyncRead + Unpin,
    file: &Path,
    gateway: &GatewayName,
) -> Vec<String> {
    let mut file = match File::options().create(true).append(true).mode(0o600).open(file) {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::warn!(file = %file.display(), %error, "cannot keep Envoy's log");
            None
        }
    };
    let mut tail = VecDeque::with_capacity(TAIL_LINES);
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(file) = &mut file {
            // A full disk must not stop the reading, or Envoy would stop as well.
            let _ = writeln!(file, "{line}");
        }
        pass_on(&line, gateway);
        if tail.len() == TAIL_LINES {
            tail.pop_front();
        }
        tail.push_back(line);
    }
    tail.into()
}

fn pass_on(line: &str, gateway: &GatewayName) {
    match level(line).filter(|_| !is_known(line)) {
        Some("critical" | "error") => tracing::error!(target: "envoy", %gateway, "{line}"),
        Some("warning") => tracing::warn!(target: "envoy", %gateway, "{line}"),
        _ => tracing::debug!(target: "envoy", %gateway, "{line}"),
    }
}

/// Warnings about what we do ourselves or tell better: that we end Envoy, and that it rejects a
/// resource or cannot have a port (which stands in the Gateway's status).
fn is_known(line: &str) -> bool {
    line.ends_with("caught ENVOY_SIGTERM")
        || line.contains(" rejected: ")
        || line.contains(" failed to bind or apply socket options: ")
        || line.contains("gRPC config stream to xds_cluster closed")
}

/// The level of a line in [`LOG_FORMAT`].
fn level(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" [")?;
    let (level, _) = rest.split_once("] [")?;
    Some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_of_a_line_is_found() {
        assert_eq!(level("2026-01-02T03:04:05.678 [warning] [config] [x] y"), Some("warning"));
        assert_eq!(level("terminate called"), None);
    }

    #[test]
    fn what_the_status_tells_is_not_told_twice() {
        let rejected = "2026-01-02T03:04:05.678 [warning] [config] delta config for X rejected: cannot bind";
        let other = "2026-01-02T03:04:05.678 [warning] [config] cannot reach the management server";
        assert_eq!((is_known(rejected), is_known(other)), (true, false));
    }

    #[tokio::test]
    async fn everything_is_kept_and_the_last_lines_are_returned() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output: String = (0..20).map(|n| format!("line {n}\n")).collect();
        let gateway = GatewayName { namespace: "default".to_owned(), name: "web".to_owned() };
        let tail = follow(output.as_bytes(), file.path(), &gateway).await;
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), output);
        assert_eq!((tail.len(), tail[9].as_str()), (TAIL_LINES, "line 19"));
    }
}
