//! Who is calling: decided by the server from how the call arrives, never from the `node` it claims to be.

use tonic::Status;
use tonic::metadata::MetadataMap;

use crate::cache::NodeGroup;

/// Decides which group a caller belongs to.
pub trait Identify: Send + Sync + 'static {
    /// The group of the caller, from the request's metadata and from `extensions`, which hold what tonic
    /// knows of the connection (peer address, socket credentials, certificates).
    ///
    /// # Errors
    /// A caller that may not have any snapshot gets this status instead of a stream.
    fn identify(&self, metadata: &MetadataMap, extensions: &http::Extensions) -> Result<NodeGroup, Status>;
}

/// Every caller belongs to this group: for a socket that only one fleet can reach.
#[derive(Debug, Clone)]
pub struct FixedGroup(pub NodeGroup);

impl Identify for FixedGroup {
    fn identify(&self, _: &MetadataMap, _: &http::Extensions) -> Result<NodeGroup, Status> {
        Ok(self.0.clone())
    }
}
