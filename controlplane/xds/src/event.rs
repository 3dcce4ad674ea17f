//! What the rest of the control plane hears about clients, to write it into statuses.

use std::sync::Arc;

use crate::cache::NodeGroup;
use crate::observation::Rejection;
use crate::resource_type::ResourceType;
use crate::version::ResourceVersion;

/// One stream of one Envoy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The group whose snapshot it gets.
    pub group: NodeGroup,
    /// The `node.id` it claims. A label for people; nothing may depend on it.
    pub node: String,
    /// The version of Envoy that it claims to be, "major.minor.patch"; empty if it states none.
    pub build: String,
    /// Distinguishes the streams of this process.
    pub stream: u64,
}

/// Something worth a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The client rejected a response and goes on with what it had.
    Nack {
        /// Who.
        client: Arc<Client>,
        /// What, and why.
        rejection: Rejection,
    },
    /// Resources that the client had rejected are so no more; others of the type may still be.
    Recovered {
        /// Who.
        client: Arc<Client>,
        /// The type.
        resource_type: ResourceType,
        /// The names.
        names: Vec<String>,
    },
    /// The client took over resources that were new to it: those of an acknowledged response, or those of a
    /// rejected one that it does not blame. Nothing is said of what a reconnecting client has already.
    Accepted {
        /// Who.
        client: Arc<Client>,
        /// The type.
        resource_type: ResourceType,
        /// The names, with the versions that it took over.
        resources: Vec<(String, ResourceVersion)>,
    },
    /// The client holds everything it asked for of a type: earlier rejections of that type are overcome.
    Ack {
        /// Who.
        client: Arc<Client>,
        /// The type.
        resource_type: ResourceType,
        /// The snapshot's version of that type.
        version: ResourceVersion,
    },
    /// The stream is over; what it said last no longer holds.
    Disconnected {
        /// Who.
        client: Arc<Client>,
    },
}
