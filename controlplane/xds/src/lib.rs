//! The xDS server: it brings immutable [`Snapshot`]s of named, versioned, opaque resources to Envoys over an
//! aggregated discovery stream, delta or state of the world.
//!
//! ```text
//! SnapshotWriter ──► SnapshotCache ──► Connection<Delta │ Sotw> ──► AdsServer ──► Envoy
//!   (one)             per NodeGroup      pure: no IO, no clock      tonic, sockets
//!                                             │
//!                                             └──► ClientEvent (acknowledged, rejected), Metrics
//! ```
//!
//! A resource is encoded once; every stream sends the same bytes. Which snapshot a client gets is decided by
//! [`Identify`], never by what the client says of itself.
//!
//! This crate may not depend on `kube`, `ir` or `translator`: what a resource means is not its business.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod cache;
mod connection;
mod delta;
mod event;
mod identity;
mod ledger;
mod metrics;
mod observation;
mod resource;
mod resource_type;
mod response;
mod segments;
mod server;
mod session;
mod snapshot;
mod sotw;
mod subscription;
mod version;
mod wire;
mod words;

pub use cache::{NodeGroup, SnapshotCache, SnapshotWatch, SnapshotWriter};
pub use connection::{Connection, Protocol};
pub use delta::{Delta, DeltaConnection};
pub use event::{Client, ClientEvent};
pub use identity::{FixedGroup, Identify};
pub use metrics::Metrics;
pub use observation::{Cause, Observation, Rejection};
pub use resource::Resource;
pub use resource_type::ResourceType;
pub use response::Response;
pub use server::{AdsServer, serve_tcp, serve_unix};
pub use session::Settings;
pub use snapshot::{ResourceChange, ResourceIter, ResourceSet, Snapshot, SnapshotBuilder};
pub use sotw::{Sotw, SotwConnection};
pub use version::{ForeignVersion, ResourceVersion};
