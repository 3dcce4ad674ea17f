//! Services of users that count requests for all proxies together.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{ClusterName, LimitServiceName};

/// A service that counts requests. Routes refer to it by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct LimitService {
    /// Its name.
    pub name: LimitServiceName,
    /// Where it is.
    pub cluster: ClusterName,
    /// The `:authority` under which it is asked.
    pub authority: String,
    /// Which of its sets of limits is meant; not empty.
    pub domain: String,
    /// How long it may take; above zero.
    pub timeout: Duration,
    /// Whether requests pass if it cannot be asked.
    pub fails_open: bool,
    /// Whether clients are told what is left.
    pub tells_clients: bool,
}

/// What a route has a service count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalLimit {
    /// The service.
    pub service: LimitServiceName,
    /// What it is told of a request; neither the list nor one of its lists is empty. A descriptor of which the request lacks a part
    /// is left out.
    pub descriptors: Vec<Vec<DescriptorEntry>>,
}

/// A part of a descriptor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DescriptorEntry {
    /// A constant; neither text is empty.
    Constant {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// The value of a header, in lower case, under its name.
    Header(String),
    /// The key `remote_address`, with the client's address.
    RemoteAddress,
    /// The key `path`, with the path and the query.
    Path,
}
