//! Tells of certificates of backends that an Envoy cannot verify: its clients hear of a failed connection only, and its
//! own log has nothing at the level that we read.

use std::collections::BTreeSet;
use std::time::Duration;

use ir::GatewayName;
use tokio::time::sleep;

use crate::envoy_admin::{Distrust, EnvoyAdmin, Unverified};

/// How often Envoy is asked. It costs one answer of a few bytes.
const INTERVAL: Duration = Duration::from_secs(2);

/// Watches one Envoy, and tells of each backend once. Does not end.
pub(super) async fn watch(admin: EnvoyAdmin, gateway: &GatewayName) {
    let mut told = BTreeSet::new();
    loop {
        sleep(INTERVAL).await;
        // While it starts or ends, it does not answer.
        let unverified = admin.unverified().await.unwrap_or_default();
        for one in unverified {
            if told.insert(one.clone()) {
                tracing::warn!(%gateway, "{}", words(&one));
            }
        }
    }
}

fn words(unverified: &Unverified) -> String {
    let Unverified { cluster, cause } = unverified;
    let backend = backend(cluster);
    match cause {
        Distrust::Authority => format!(
            "{backend}: its certificate cannot be verified, so that requests to it fail: no trusted certificate authority \
             has signed it, or it has expired; name the authority that signs it with --upstream-ca FILE"
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
}
