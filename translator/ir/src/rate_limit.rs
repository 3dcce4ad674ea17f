//! How much clients may ask for in a unit of time, as a service counts it that all proxies share.

use limit_rule::{Counted, Rules};
use serde::{Deserialize, Serialize};

use crate::TextMatch;

/// A question that the proxy asks the service for each request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// What is counted; tokens of requests to AI backends and requests to others if absent. A request that does not fit any more
    /// is refused. Tokens are known when an answer is complete: a request is refused once nothing is left, and those that run
    /// then may go beyond.
    pub counted: Option<Counted>,
    /// The limits that the entries may come to.
    pub rules: Rules,
    /// What is known of the request. Without one of the entries there is no limit.
    pub entries: Vec<LimitEntry>,
}

/// An entry that the proxy makes of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitEntry {
    /// A constant.
    Constant {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// The key `remote_address`, with the client's address.
    RemoteAddress,
    /// The key `destination_cluster`, with the name of the backend's cluster.
    DestinationCluster,
    /// The value of a header, if the request has it.
    Header {
        /// The key.
        key: String,
        /// The header.
        header: String,
    },
    /// The key `header_match` with a constant, if headers match.
    HeaderMatch {
        /// The constant.
        value: String,
        /// Whether they must match, or must not.
        is_expected: bool,
        /// The headers.
        headers: Vec<LimitHeader>,
    },
    /// A value of metadata.
    Metadata {
        /// The key.
        key: String,
        /// Where it stands.
        namespace: String,
        /// The way from there.
        path: Vec<String>,
        /// The value where there is none.
        default: Option<String>,
        /// Whether the metadata is the route's, and not the request's.
        is_of_route: bool,
    },
}

/// What a header must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitHeader {
    /// The header.
    pub name: String,
    /// What its value must be like; absent: it must be there.
    pub value: Option<TextMatch>,
    /// Whether that is turned round.
    pub is_inverted: bool,
}
