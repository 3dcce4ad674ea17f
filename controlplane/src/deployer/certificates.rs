//! Tells of certificates of backends that an Envoy cannot verify: its clients hear of a failed connection only, and its
//! own log has nothing at the level that we read.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::GatewayName;
use tokio::time::sleep;

use crate::envoy_admin::{Distrust, EnvoyAdmin, Unverified};

/// How often Envoy is asked. The answer is short, but Envoy looks through all of its statistics for it.
const INTERVAL: Duration = Duration::from_secs(10);

/// Watches one Envoy, and tells of each backend once. Does not end.
pub(super) async fn watch(admin: EnvoyAdmin, gateway: &GatewayName) {
    let mut told = BTreeSet::new();
    loop {
        sleep(INTERVAL).await;
        // While it starts or ends, it does not answer.
        let unverified = admin.unverified().await.unwrap_or_default();
        for news in news(&mut told, unverified) {
            tracing::warn!(%gateway, "{news}");
        }
    }
}

/// What there is to say of those that were not told of yet.
fn news(told: &mut BTreeSet<Unverified>, unverified: BTreeSet<Unverified>) -> Vec<String> {
    unverified.into_iter().filter(|one| told.insert(one.clone())).map(|one| words(&one)).collect()
}

fn words(unverified: &Unverified) -> String {
    let Unverified { cluster, cause } = unverified;
    let backend = backend(cluster);
    match cause {
        Distrust::Authority => format!(
            "{backend}: its certificate cannot be verified, so that requests to it fail: no trusted certificate authority \
             has signed it, or it has expired; name the authority that signs it with --upstream-ca FILE, or in the \
             BackendTLSPolicy if it has one"
        ),
        Distrust::Name => format!(
            "{backend}: its certificate is for another host name than the one that it is asked for, so that requests to it \
             fail: correct the host of the backend, or its certificate"
        ),
    }
}

/// The object that a cluster stands for: `backend/NAMESPACE/NAME`, perhaps with more behind it.
fn backend(cluster: &str) -> String {
    let mut parts = cluster.splitn(4, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("backend"), Some(namespace), Some(name)) => format!("Backend {namespace}/{name}"),
        (Some("upstream"), Some(namespace), Some(name)) => format!("Upstream {namespace}/{name}"),
        (Some("service"), Some(namespace), Some(name)) => format!("Service {namespace}/{name}"),
        _ => cluster.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backend_the_cause_and_what_to_do_are_named() {
        let words = |cluster: &str, cause| words(&Unverified { cluster: cluster.to_owned(), cause });
        let text = words("backend/default/openai", Distrust::Authority);
        assert!(text.starts_with("Backend default/openai: ") && text.contains("--upstream-ca"), "{text}");
        let text = words("upstream/gloo-system/ai/0/1", Distrust::Name);
        assert!(text.starts_with("Upstream gloo-system/ai: ") && text.contains("host name"), "{text}");
    }

    #[test]
    fn each_is_told_once() {
        let one = |cluster: &str| Unverified { cluster: cluster.to_owned(), cause: Distrust::Authority };
        let mut told = BTreeSet::new();
        assert_eq!(news(&mut told, [one("backend/a/a")].into()).len(), 1);
        assert_eq!(news(&mut told, [one("backend/a/a"), one("backend/a/b")].into()).len(), 1);
        assert_eq!(news(&mut told, [one("backend/a/a"), one("backend/a/b")].into()), [""; 0]);
    }
}
