//! What is sent, before it is encoded.

use std::sync::Arc;

use crate::resource::Resource;
use crate::resource_type::ResourceType;
use crate::version::ResourceVersion;

/// One response, not yet encoded: it refers to the shared bytes of its resources.
#[derive(Debug, Clone)]
pub struct Response {
    /// The type of everything in it.
    pub resource_type: ResourceType,
    /// `version_info`, or `system_version_info` in the delta protocol.
    pub version: ResourceVersion,
    /// Increases with every response of the stream.
    pub nonce: u64,
    /// New or changed resources; for state-of-the-world clusters and listeners, all of them.
    pub resources: Vec<Arc<Resource>>,
    /// Names that are gone (delta only).
    pub removed: Vec<Arc<str>>,
}

impl Response {
    pub(crate) fn new(
        resource_type: ResourceType,
        version: ResourceVersion,
        resources: Vec<Arc<Resource>>,
    ) -> Self {
        Self { resource_type, version, nonce: 0, resources, removed: Vec::new() }
    }
}
