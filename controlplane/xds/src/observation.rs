//! What a stream learns about its client.

use std::time::Duration;

use crate::resource_type::ResourceType;
use crate::version::ResourceVersion;

/// What a stream learned about its client, for status and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// A response was accepted.
    Acked {
        /// Its type.
        resource_type: ResourceType,
        /// From sending to the answer.
        latency: Duration,
    },
    /// The client took over resources that were new to it: those of an accepted response, or those of a
    /// rejected one that are not among its culprits.
    Accepted {
        /// Their type.
        resource_type: ResourceType,
        /// Their names and versions.
        resources: Vec<(String, ResourceVersion)>,
    },
    /// A response was rejected; the client keeps what it had.
    Nacked(Rejection),
    /// A response was rejected because the client cannot use some resources yet; they are sent again.
    NotReady {
        /// Their type.
        resource_type: ResourceType,
        /// Their names.
        names: Vec<String>,
    },
    /// A response with several resources was rejected, and it was not said which of them is to blame. They are
    /// sent again one by one, and what the client says to these counts; there are no culprits yet.
    Split(Rejection),
    /// The client holds everything it asked for of a type, and nothing of it is rejected. Said once per
    /// version, and again after a rejection was overcome.
    InSync {
        /// The type.
        resource_type: ResourceType,
        /// The snapshot's version of that type.
        version: ResourceVersion,
    },
    /// Resources that were rejected are so no more: a newer version was accepted, or they are gone. Others of
    /// the type may still be rejected.
    Recovered {
        /// Their type.
        resource_type: ResourceType,
        /// Their names.
        names: Vec<String>,
    },
    /// Listeners or routes went out although these clusters were not acknowledged in time.
    GateTimeout {
        /// Names of the clusters.
        clusters: Vec<String>,
    },
}

/// A response that the client refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Its type.
    pub resource_type: ResourceType,
    /// Its version.
    pub version: ResourceVersion,
    /// Its nonce.
    pub nonce: u64,
    /// The client's words, without the messages that they quote; of secrets, that nothing is told.
    pub message: String,
    /// The resources that were new in it, with their versions.
    pub resources: Vec<(String, ResourceVersion)>,
    /// Those of them that the message names, or all if it names none (none if that is to be found out).
    pub culprits: Vec<String>,
    /// Why.
    pub cause: Cause,
}

/// Why a client refuses a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It finds fault with it.
    Refused,
    /// It could not use the resource yet, each time that it was sent: the dynamic module that the resource needs has
    /// not been fetched, or another program has the listener's port. It is sent again and again all the same.
    NotReady,
}
