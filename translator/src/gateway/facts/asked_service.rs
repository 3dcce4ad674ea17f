//! Services that have a part in requests, as a policy names them: those that count, and those that see and change messages.

use std::sync::Arc;

use ir::{GlobalLimit, LimitService, Processing, Processor};

use super::key::BackendKey;

/// What a service is to count, with the service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AskedLimit {
    pub limit: GlobalLimit,
    pub service: Arc<LimitService>,
    /// The backend that it is.
    pub backend: BackendKey,
}

/// What a service sees, with the service.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AskedProcessor {
    pub processing: Processing,
    pub service: Arc<Processor>,
    /// The backend that it is.
    pub backend: BackendKey,
}
