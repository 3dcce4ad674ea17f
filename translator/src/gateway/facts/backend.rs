//! Backends.

use std::sync::Arc;

use ir::{ClusterIr, ClusterName, Rewrite, SecretIr};

use super::key::BackendKey;
use crate::status::{Condition, ConditionType, Reason, Rejection};
use crate::xds::EncodedResource;

/// A backend that can be sent requests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResolvedBackend {
    pub cluster: ClusterIr,
    /// What the cluster refers to.
    pub secrets: Vec<SecretIr>,
    /// What every request to it needs, whatever its route says.
    pub rewrite: Rewrite,
    pub is_ai: bool,
    /// What of the object is not carried out, though the rest is.
    pub partial: Vec<String>,
    /// What was understood although it is not written as it should be.
    pub warnings: Vec<String>,
}

/// What of a backend a route may know: what stands in the routes that lead to it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BackendFace {
    /// Which one. Whoever keeps its name takes this one, which costs no memory.
    pub key: BackendKey,
    pub cluster: ClusterName,
    pub rewrite: Rewrite,
    pub is_ai: bool,
}

impl ResolvedBackend {
    /// A backend that needs nothing but its cluster.
    pub(crate) fn plain(cluster: ClusterIr) -> Self {
        Self {
            cluster,
            secrets: Vec::new(),
            rewrite: Rewrite::default(),
            is_ai: false,
            partial: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What of it a route may know.
    pub(crate) fn face(&self, key: &BackendKey) -> BackendFace {
        BackendFace {
            key: key.clone(),
            cluster: self.cluster.name.clone(),
            rewrite: self.rewrite.clone(),
            is_ai: self.is_ai,
        }
    }

    /// What to tell about it.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let mut message = "the backend is valid".to_owned();
        self.warnings.iter().for_each(|warning| message.push_str(&format!("; note: {warning}")));
        let mut conditions = vec![Condition::good(ConditionType::Accepted, Reason::Accepted, message)];
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
    pub cluster: Arc<EncodedResource>,
    pub secrets: Vec<Arc<EncodedResource>>,
}
