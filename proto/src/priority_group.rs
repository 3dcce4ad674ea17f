//! `envoy.extensions.router.cluster_specifiers.priority_group.v3`, which is newer than the generated messages: clusters
//! in groups, of which each attempt uses the next one. A test compares it with the descriptors of the pinned Envoy.

use envoy_types::pb::google::protobuf::{BoolValue, UInt32Value};

/// `PriorityGroupClusterSpecifier`: picks a cluster of the group whose place is the number of the attempt.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PriorityGroupClusterSpecifier {
    /// The groups, in the order of their use. The last one serves all further attempts.
    #[prost(message, repeated, tag = "1")]
    pub priority_groups: Vec<PriorityGroup>,
    /// The namespace of dynamic metadata under which a request may bring groups of its own.
    #[prost(string, tag = "2")]
    pub override_metadata_namespace: String,
    /// What the random choice within a group is replaced by.
    #[prost(oneof = "RandomValueSpecifier", tags = "3, 4")]
    pub random_value_specifier: Option<RandomValueSpecifier>,
}

/// What the random choice within a group is replaced by.
#[derive(Clone, PartialEq, Eq, prost::Oneof)]
pub enum RandomValueSpecifier {
    /// The number in this header.
    #[prost(string, tag = "3")]
    HeaderName(String),
    /// The hash of the route's hash policy.
    #[prost(message, tag = "4")]
    UseHashPolicy(BoolValue),
}

/// A group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PriorityGroup {
    /// Its name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its clusters.
    #[prost(message, repeated, tag = "2")]
    pub clusters: Vec<ClusterWeight>,
}

/// A cluster of a group.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ClusterWeight {
    /// Its name.
    #[prost(string, tag = "1")]
    pub cluster_name: String,
    /// Its share of the sum of all weights of the group.
    #[prost(message, optional, tag = "2")]
    pub weight: Option<UInt32Value>,
}

const PACKAGE: &str = "envoy.extensions.router.cluster_specifiers.priority_group.v3";

impl prost::Name for PriorityGroupClusterSpecifier {
    const NAME: &'static str = "PriorityGroupClusterSpecifier";
    const PACKAGE: &'static str = PACKAGE;
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{message_to_json, u32_value};

    /// The JSON is made from Envoy's own descriptors: a field that had another number or type would not be there.
    #[test]
    fn fields_are_those_of_envoy() {
        let cluster = ClusterWeight { cluster_name: "c".to_owned(), weight: Some(u32_value(3)) };
        let specifier = PriorityGroupClusterSpecifier {
            priority_groups: vec![PriorityGroup { name: "g".to_owned(), clusters: vec![cluster] }],
            override_metadata_namespace: "n".to_owned(),
            random_value_specifier: Some(RandomValueSpecifier::HeaderName("h".to_owned())),
        };
        assert_eq!(
            message_to_json(&specifier).unwrap(),
            json!({
                "priority_groups": [{"name": "g", "clusters": [{"cluster_name": "c", "weight": 3}]}],
                "override_metadata_namespace": "n",
                "header_name": "h",
            })
        );
    }
}
