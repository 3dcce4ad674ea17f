//! The replicas of the control plane.

use cluster::Error;

use crate::{DEADLINE, RELEASE, SYSTEM, World};

/// Selects the control plane's pods.
const SELECTOR: &str = "app.kubernetes.io/name=chancery";

impl World {
    /// The names of the pods that a selector finds and that were not told to end, in order.
    ///
    /// # Panics
    /// The API server does not answer.
    #[must_use]
    pub fn pods(&self, namespace: &str, selector: &str) -> Vec<String> {
        let pods = self.cluster.kubectl_json(&["get", "pods", "-n", namespace, "-l", selector]);
        let pods = pods.expect("the API server answers");
        let all = pods["items"].as_array().into_iter().flatten();
        let staying = all.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let mut names: Vec<_> =
            staying.filter_map(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned).collect();
        names.sort();
        names
    }

    /// The names of the control plane's pods.
    ///
    /// # Panics
    /// The API server does not answer.
    #[must_use]
    pub fn control_planes(&self) -> Vec<String> {
        self.pods(SYSTEM, SELECTOR)
    }

    /// The pod that leads, by the Lease; empty for none.
    ///
    /// # Panics
    /// There is no Lease.
    #[must_use]
    pub fn leader(&self) -> String {
        self.field(&["lease", "chancery-leader", "-n", SYSTEM], ".spec.holderIdentity")
    }

    /// Waits until one of the control plane's pods leads, and names it.
    ///
    /// # Panics
    /// None does within the deadline.
    #[must_use]
    pub fn wait_for_leader(&self) -> String {
        let leads = || match self.leader() {
            leader if self.control_planes().contains(&leader) => Ok(leader),
            other => Err(Error::Unexpected(format!("the leader is {other:?}"))),
        };
        self.cluster.wait_until("a leader", DEADLINE, leads).expect("a leader")
    }

    /// Waits until all replicas of the control plane are ready.
    ///
    /// # Panics
    /// They are not within the deadline.
    pub fn wait_for_control_planes(&self) {
        let deployment = format!("deployment/{RELEASE}");
        let timeout = format!("--timeout={}s", DEADLINE.as_secs());
        let rollout = ["rollout", "status", &deployment, "-n", SYSTEM, &timeout];
        self.cluster.kubectl(&rollout).expect("the control plane is ready");
    }
}
