//! A real one-node Kubernetes without a container engine, for tests and for people.
//!
//! What `kind` runs inside its node container runs here directly: etcd, kube-apiserver,
//! kube-controller-manager, kube-scheduler, containerd, kubelet and kube-proxy, in a process, a mount
//! and a network namespace of their own. A cluster is ready in seconds, and leaves nothing behind.
//!
//! ```no_run
//! use cluster::{Cluster, Options};
//!
//! let cluster = Cluster::start(&Options::default())?;
//! println!("{}", cluster.kubectl(&["get", "nodes"])?);
//! # Ok::<(), cluster::Error>(())
//! ```
//!
//! It needs Linux, root, the packages of `make cluster-system-packages` and the programs of
//! `make cluster-tools`; what is missing is said with the command that gets it.
//!
//! Addresses, the same in every cluster because each has a network of its own: the node is 10.89.0.2,
//! pods are 10.244.0.0/16, Services 10.96.0.0/16, load balancers 10.90.0.0/16 (given by this library;
//! `spec.loadBalancerIP` asks for one).

mod cgroup;
mod cluster;
mod component;
mod dns;
mod envoy_admin;
mod error;
mod failure;
mod image;
pub mod images;
mod load_balancer;
mod namespaces;
mod node;
mod options;
mod pod_process;
mod supervisor;
mod tools;

pub use cluster::{Cluster, GatewayApi};
pub use component::Component;
pub use error::{Error, Result};
pub use failure::FailureGuard;
pub use image::{Image, NONROOT};
pub use namespaces::Entrance;
pub use options::Options;
pub use tools::{Tools, kubernetes_version};
