//! Backends.

use std::sync::Arc;

use ai_config::Offer;
use ir::{ClusterIr, Clusters, Rewrite, SecretIr};

use super::key::BackendKey;
use crate::status::{Condition, ConditionType, Detail, Reason, Rejection};
use crate::xds::EncodedResource;

/// A backend that can be sent requests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResolvedBackend {
    /// Never empty; several for a pool.
    pub clusters: Vec<ClusterIr>,
    /// How requests are sent to the clusters.
    pub routing: Clusters,
    /// What the clusters refer to.
    pub secrets: Vec<SecretIr>,
    /// Whether a Gateway that has a certificate for backends shows it to this one.
    pub takes_client_certificate: bool,
    /// What every request to it needs, whatever its route says.
    pub rewrite: Rewrite,
    pub is_ai: bool,
    /// Whether its connections may become WebSockets.
    pub websocket: bool,
    /// Whether its answers may be streams without end, so that a request has no time limit unless its route says one.
    pub streams: bool,
    /// Whether the AI engine handles its requests.
    pub has_engine: bool,
    /// What requests to it may be billed for, where it is an AI backend.
    pub offers: Vec<Offer>,
    /// What of the object is not carried out, though the rest is.
    pub partial: Vec<String>,
    /// What was understood although it is not written as it should be.
    pub warnings: Vec<Detail>,
}

/// What of a backend a route may know: what stands in the routes that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendFace {
    /// Which one. Whoever keeps its name takes this one, which costs no memory.
    pub key: BackendKey,
    pub clusters: Clusters,
    pub rewrite: Rewrite,
    pub is_ai: bool,
    /// Whether its connections may become WebSockets.
    pub websocket: bool,
    /// Whether its answers may be streams without end.
    pub streams: bool,
    /// Whether the AI engine handles its requests.
    pub has_engine: bool,
    /// What requests to it may be billed for, where it is an AI backend.
    pub offers: Vec<Offer>,
}

impl ResolvedBackend {
    /// A backend that needs nothing but its cluster.
    pub(crate) fn plain(cluster: ClusterIr) -> Self {
        Self {
            routing: Clusters::One(cluster.name.clone()),
            clusters: vec![cluster],
            secrets: Vec::new(),
            takes_client_certificate: false,
            rewrite: Rewrite::default(),
            is_ai: false,
            websocket: false,
            streams: false,
            has_engine: false,
            offers: Vec::new(),
            partial: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What of it a route may know.
    pub(crate) fn face(&self, key: &BackendKey) -> BackendFace {
        BackendFace {
            key: key.clone(),
            clusters: self.routing.clone(),
            rewrite: self.rewrite.clone(),
            is_ai: self.is_ai,
            websocket: self.websocket,
            streams: self.streams,
            has_engine: self.has_engine,
            offers: self.offers.clone(),
        }
    }

    /// What to tell about it.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let accepted = Condition::good(ConditionType::Accepted, Reason::Accepted, "the backend is valid");
        let mut conditions = vec![accepted.with_notes(&self.warnings)];
        if !self.partial.is_empty() {
            let message = self.partial.join("; ");
            let partial = Condition::bad(ConditionType::PartiallyInvalid, Reason::UnsupportedValue, message);
            conditions.push(partial);
        }
        conditions
    }
}

/// A backend: what it is, and what is sent to the proxies for it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendValue {
    pub result: Result<ResolvedBackend, Rejection>,
    /// `None` if it cannot be used.
    pub encoded: Option<EncodedBackend>,
}

/// What is sent to the proxies for a backend, without endpoints.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EncodedBackend {
    pub clusters: Vec<Arc<EncodedResource>>,
    /// The same for Gateways that show their certificate to backends; empty where that makes no difference.
    pub with_client_certificate: Vec<Arc<EncodedResource>>,
    pub secrets: Vec<Arc<EncodedResource>>,
}
