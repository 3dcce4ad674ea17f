//! The guides' rows in a cluster: setup, both seeds side by side, broken references, cleanup, and what
//! `kubectl get` prints. All tests share one world; each has its own namespaces.

mod access;
mod cleanup;
mod guide;
mod references;
mod setup;
mod side_by_side;
mod statuses;
