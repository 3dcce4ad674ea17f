//! Services that see requests and answers, and may change them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ClusterName, ProcessorName};

/// A service that sees requests and answers. Routes refer to it by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Processor {
    /// Its name.
    pub name: ProcessorName,
    /// Where it is.
    pub cluster: ClusterName,
    /// The `:authority` under which it is asked.
    pub authority: String,
    /// Whether messages pass as they are if it is away.
    pub fails_open: bool,
    /// What it sees, if a policy says nothing else.
    pub mode: ProcessingMode,
    /// The modes that it may choose instead, of which there may be any if the list is empty; none if absent.
    pub other_modes: Option<Vec<ProcessingMode>>,
    /// How long it may take for a message; above zero.
    pub message_timeout: Duration,
    /// The longest time that it may choose itself.
    pub max_message_timeout: Option<Duration>,
    /// What stands before the names of its counters.
    pub stat_prefix: Option<String>,
    /// Whether the route is chosen again when it has seen a request's headers.
    pub route: RouteAfter,
    /// The namespaces of dynamic metadata that it sees as messages of their own type.
    pub typed_metadata: Vec<String>,
    /// The namespaces of dynamic metadata that it sees as structures.
    pub untyped_metadata: Vec<String>,
    /// Whether it says the length of bodies: it must, where it changes one that it gets as a whole.
    pub sets_lengths: bool,
}

/// What a route has a service see.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processing {
    /// The service.
    pub processor: ProcessorName,
    /// What it sees.
    pub mode: ProcessingMode,
    /// Whether another route may follow.
    pub may_choose_route: bool,
}

/// Whether a route is chosen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RouteAfter {
    /// If the service says so.
    AsAnswered,
    /// Always.
    ChosenAgain,
    /// Never.
    Kept,
}

/// What a service sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessingMode {
    /// Of requests.
    pub request: MessageMode,
    /// Of answers.
    pub response: MessageMode,
}

/// What a service sees of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageMode {
    /// Whether it sees its headers.
    pub headers: bool,
    /// How it sees its body.
    pub body: BodyMode,
    /// Whether it sees its trailers; always with [`BodyMode::FullDuplex`].
    pub trailers: bool,
}

/// How a service sees a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BodyMode {
    /// Not at all.
    None,
    /// Piece by piece, and answers each.
    Streamed,
    /// As a whole. One that is too long to be held is refused.
    Whole,
    /// As a whole, or the beginning of one that is too long to be held.
    Beginning,
    /// Piece by piece, and sends its own pieces when it likes.
    FullDuplex,
}
