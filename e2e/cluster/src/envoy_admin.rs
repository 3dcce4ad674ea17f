//! The admin interface of Envoys in pods, which listens on a socket in a volume of the pod and nowhere else.

use std::fs;

use crate::Cluster;
use crate::error::{Error, Result};

/// What is looked for in the volumes of a pod.
const SOCKET: &str = "admin.sock";

/// What is kept of every Envoy when a test fails.
const DUMPS: [(&str, &str); 3] = [
    ("config_dump.json", "/config_dump?include_eds"),
    ("stats.txt", "/stats"),
    ("clusters.txt", "/clusters"),
];

impl Cluster {
    /// What a GET of `path` (such as `/config_dump`) at the admin interface of the Envoy in a pod answers.
    ///
    /// # Errors
    /// No such pod, no such socket, or no answer with a 2xx status.
    pub fn envoy_admin(&self, namespace: &str, pod: &str, path: &str) -> Result<String> {
        let uid = self.pod_uid(namespace, pod)?;
        let volumes = format!("/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~empty-dir");
        let sockets = self.exec_inside("find", &[&volumes, "-name", SOCKET])?;
        let socket = sockets.lines().next().ok_or_else(|| {
            Error::Unexpected(format!("the pod {namespace}/{pod} has no {SOCKET} in its volumes"))
        })?;
        let url = format!("http://admin{path}");
        let patience = ["--silent", "--show-error", "--fail", "--max-time", "10"];
        self.exec_inside("curl", &[patience.as_slice(), &["--unix-socket", socket, &url]].concat())
    }

    /// Writes what every Envoy of a Gateway says of itself into the folder of the logs.
    pub(crate) fn dump_envoys(&self) {
        let label = "gateway.networking.k8s.io/gateway-name";
        let names = "jsonpath={range .items[*]}{.metadata.namespace} {.metadata.name}{\"\\n\"}{end}";
        let arguments = ["get", "pods", "-A", "-l", label, "-o", names, "--request-timeout=10s"];
        let Ok(pods) = self.kubectl(&arguments) else { return };
        for (namespace, pod) in pods.lines().filter_map(|line| line.split_once(' ')) {
            for (file, path) in DUMPS {
                let text = self.envoy_admin(namespace, pod, path).unwrap_or_else(|error| error.to_string());
                // This is a service to someone who looks for another error.
                let _ = fs::write(self.logs().join(format!("envoy-{namespace}-{pod}-{file}")), text);
            }
        }
    }
}
