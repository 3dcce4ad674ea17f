//! Services that are asked whether a request may pass.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{AuthServiceName, ClusterName, FilterName};

/// A service that is asked whether requests may pass. Routes refer to it by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AuthService {
    /// Its name.
    pub name: AuthServiceName,
    /// Where it is.
    pub cluster: ClusterName,
    /// How it is spoken to.
    pub protocol: AuthProtocol,
    /// How long it may take; above zero.
    pub timeout: Duration,
    /// The headers of the request that it gets, in lower case; without any, all by gRPC, and by HTTP only those that
    /// it always gets.
    pub headers: Vec<String>,
    /// Whether requests pass if it cannot be asked.
    pub fails_open: bool,
    /// Whether the route is chosen again after it has changed headers.
    pub chooses_route: bool,
    /// The status of the answer if it cannot be asked.
    pub status_on_error: u16,
    /// What stands before the names of its counters.
    pub stat_prefix: Option<String>,
    /// Of how many requests in a hundred it is asked; the others pass.
    pub percentage: u32,
    /// Whether it gets bodies as bytes, and not as texts: Envoy takes that from the service alone.
    pub bodies_as_bytes: bool,
}

/// How a service is spoken to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum AuthProtocol {
    /// By Envoy's own protocol (`envoy.service.auth.v3.Authorization`), under this `:authority`.
    Grpc(String),
    /// By a request of HTTP.
    Http(HttpAuth),
}

/// How a service is asked by HTTP.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct HttpAuth {
    /// What is put before the path.
    pub path_prefix: String,
    /// Headers that it gets beside: the name in lower case, and the value.
    pub added: Vec<(String, String)>,
    /// Headers of its answer that the backend gets.
    pub to_backend: AnswerHeaders,
    /// Headers of its answer that the client gets when it refuses the request; all, if empty.
    pub to_client: Vec<String>,
    /// Headers of its answer that the client gets when it lets the request pass.
    pub to_client_on_success: Vec<String>,
}

/// Headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum AnswerHeaders {
    /// These, in lower case.
    Named(Vec<String>),
    /// All but those that frame a message, belong to a connection, or say who is asked.
    All,
}

/// What a route has a service asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthQuestion {
    /// The service.
    pub service: AuthServiceName,
    /// What it is told beside the request.
    pub context: BTreeMap<String, String>,
    /// How much of the body it gets; nothing if absent.
    pub body: Option<AuthBody>,
    /// Whether another route may follow.
    pub chooses_route: bool,
}

/// What a service is asked about the requests of a listener before a route is chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerQuestion {
    /// The service.
    pub service: AuthService,
    /// How much of the body it gets; nothing if absent.
    pub body: Option<AuthBody>,
}

/// One of the places in front of the choice of a route at which services are asked about the requests of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerAuthIr {
    /// The name of its filter.
    pub name: FilterName,
    /// What is asked there, by listener. Requests of a listener that has questions there, but none that can be put, are answered
    /// with 500.
    pub questions: BTreeMap<Arc<str>, ListenerQuestion>,
}

/// The places at which services are asked about the requests of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListenerPlaces {
    /// The listener, by its name among those of its Gateway.
    pub listener: Arc<str>,
    /// The filters of the places, in order.
    pub filters: Vec<FilterName>,
}

/// How much of the body of a request a service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthBody {
    /// At most so many bytes; above zero. Requests wait until so much, or all of it, is there.
    pub max_bytes: u32,
    /// Whether it gets the beginning of a larger one; otherwise that is answered with 413.
    pub is_partial_allowed: bool,
}
