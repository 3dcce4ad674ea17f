//! What a cluster's start can be told.

use std::path::PathBuf;
use std::time::Duration;

/// What [`Cluster::start`] can be told. The default is a cluster with DNS and nothing else.
#[derive(Clone, Debug)]
pub struct Options {
    /// Tarballs of images that pods will use; see [`crate::Image`] and [`crate::images`].
    pub images: Vec<PathBuf>,
    /// Names outside of the cluster that its DNS answers with the addresses of another name: (name, target),
    /// such as (`api.example.com`, `mock.default.svc.cluster.local`).
    pub dns_aliases: Vec<(String, String)>,
    /// Whether node, pods, Services and load balancers have addresses of IPv6 beside those of IPv4, which come first.
    pub dual_stack: bool,
    /// Keep the folder with all logs in any case, not only when a test fails.
    pub keep_logs: bool,
    /// The most memory that images, containers and etcd may take, as `mount -o size=` takes it.
    pub state_size: String,
    /// How long the start may take.
    pub deadline: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            images: Vec::new(),
            dns_aliases: Vec::new(),
            dual_stack: false,
            keep_logs: false,
            state_size: "8g".to_owned(),
            deadline: Duration::from_secs(120),
        }
    }
}
