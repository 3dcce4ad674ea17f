//! What is kept for whoever looks for the reason of a failed test.

use std::fs;
use std::path::PathBuf;
use std::thread;

use crate::Cluster;
use crate::error::{IoContext as _, Result};

impl Cluster {
    /// Keeps the folder of the logs when the cluster ends, and gives it.
    ///
    /// # Errors
    /// The mark cannot be written.
    pub fn keep_logs(&self) -> Result<PathBuf> {
        let mark = self.folder().join("keep");
        fs::write(&mark, "").context(|| format!("write {}", mark.display()))?;
        Ok(self.logs())
    }

    /// Keeps the logs, and all objects as they are then, when the test that holds this panics; names the
    /// folder. For clusters that several tests share; one that is dropped in a panic does so by itself.
    #[must_use]
    pub fn keep_logs_on_panic(&self) -> FailureGuard<'_> {
        FailureGuard { cluster: self }
    }

    /// Writes all objects and events, and the configurations of all Envoys, into the folder of the logs, as far
    /// as the API server and they answer.
    pub fn dump_objects(&self) {
        self.dump_envoys();
        let dumps: [(&str, &[&str]); 3] = [
            (
                "objects.yaml",
                &["get", "all,configmaps,endpointslices,pdb,serviceaccounts,crds", "-A", "-o", "yaml"],
            ),
            ("events.txt", &["get", "events", "-A", "--sort-by=.lastTimestamp"]),
            ("pods.txt", &["describe", "pods", "-A"]),
        ];
        for (file, arguments) in dumps {
            let arguments = [arguments, &["--request-timeout=10s"]].concat();
            let text = self.kubectl(&arguments).unwrap_or_else(|error| error.to_string());
            // This is a service to someone who looks for another error.
            let _ = fs::write(self.logs().join(file), text);
        }
    }
}

/// See [`Cluster::keep_logs_on_panic`].
#[derive(Debug)]
pub struct FailureGuard<'a> {
    cluster: &'a Cluster,
}

impl Drop for FailureGuard<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.cluster.dump_objects();
            if let Ok(logs) = self.cluster.keep_logs() {
                eprintln!("the cluster's logs, objects and Envoy dumps are in {}", logs.display());
            }
        }
    }
}
