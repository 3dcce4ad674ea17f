//! When a proxy that is told to go may go.

use std::time::Duration;

use crate::envoy_admin::{Activity, EnvoyAdmin};

/// How often the proxy is asked.
const POLL: Duration = Duration::from_millis(50);

/// How long connections without a request may keep the proxy up: their clients are told that it goes
/// only with the answer to their next request, which may never come.
const IDLE_CONNECTIONS: Duration = Duration::from_secs(1);

/// How long a proxy without requests may take to tell what they have spent of budgets: the AI engine lets a reservation that requests share
/// wait for 0.2 s, and settles it by one call.
const SETTLING: Duration = Duration::from_millis(500);

/// Whether a proxy that has been draining for a time has nothing left to do.
fn is_drained(activity: Activity, draining_for: Duration) -> bool {
    let Activity { connections, requests } = activity;
    connections == 0 || (requests == 0 && draining_for >= IDLE_CONNECTIONS)
}

/// Begins to drain and returns when nothing is left to do, or when Envoy no longer answers.
pub(super) async fn drain(admin: &EnvoyAdmin) {
    let began = tokio::time::Instant::now();
    if let Err(error) = admin.begin_drain().await {
        tracing::debug!(%error, "cannot drain");
        return;
    }
    while let Ok(activity) = admin.activity().await {
        if is_drained(activity, began.elapsed()) {
            if matches!(admin.has_counted().await, Ok(true)) {
                tokio::time::sleep(SETTLING).await;
            }
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_waited_for_and_idle_connections_only_briefly() {
        let activity = |connections, requests| Activity { connections, requests };
        let rows = [
            ("nothing", activity(0, 0), 0, true),
            ("a request", activity(1, 1), 60, false),
            ("an idle connection at first", activity(1, 0), 0, false),
            ("an idle connection later", activity(1, 0), 1, true),
        ];
        for (says, activity, seconds, expected) in rows {
            assert_eq!(is_drained(activity, Duration::from_secs(seconds)), expected, "{says}");
        }
    }
}
