//! Chancery in a real cluster, installed as a user installs it: the chart by Helm, objects by kubectl, answers by
//! curl. Providers are replaced from outside, by the cluster's DNS and a certificate authority.
//!
//! A [`World`] is one cluster. Tests that leave the control plane alone share one ([`World::shared`]) and keep to
//! namespaces of their own; tests that stop, kill or upgrade something start their own.
//!
//! The tests need root and what `make test-cluster` builds.

mod api_server;
mod ask;
pub mod audit;
mod backend;
mod client;
mod collection;
mod control_plane;
mod echo_gateway;
pub mod fault_proxy;
mod local_control_plane;
mod network;
mod process;
mod provider;
mod proxy_identity;
mod recorder;
mod seed;
mod table;
mod traffic;
mod world;
pub mod xds_port;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use api_server::{APPLY, ApiConnection, ApiServer, MERGE};
pub use backend::EchoApp;
pub use client::{Answer, QUESTION, ask_gemini, ask_gemini_until, assert_native_gemini};
pub use collection::{Collection, ENDPOINT_SLICES, HTTP_ROUTES, READ, SECRETS, SERVICES, object_name};
pub use echo_gateway::EchoGateway;
pub use local_control_plane::{LocalChart, LocalControlPlane, admin_get, held_objects};
pub use network::Network;
pub use process::{Process, Usage};
pub use provider::{GEMINI, header};
pub use proxy_identity::{ProxyIdentity, XDS_PORT};
pub use recorder::{Recorder, Recording};
pub use seed::{KEY, apply_seed};
pub use table::Table;
pub use traffic::{RATE, Traffic, gateway_socket, wait_for_answer};
pub use world::{RELEASE, SYSTEM, Setup, World};

/// How long anything in a cluster may take, unless a test is about that time.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// A namespace that enforces the `restricted` pod security level, as YAML.
#[must_use]
pub fn restricted_namespace(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels: {{pod-security.kubernetes.io/enforce: restricted}}\n"
    )
}

/// The root of the repository.
#[must_use]
pub fn workspace() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is where it was built")
}
