//! Destinations of several clusters, in groups: each attempt goes to the next group.

use ai_config::{GROUPS_NAMESPACE, Pool, VERSION};
use ir::{ClusterName, Timeouts};
use proto::core::TypedExtensionConfig;
use proto::priority_group::{ClusterWeight, PriorityGroup, PriorityGroupClusterSpecifier};
use proto::route::route_action::ClusterSpecifier;
use proto::route::{ClusterSpecifierPlugin, RetryPolicy};
use proto::{duration, pack, u32_value};

/// Failures after which the next group is tried, beside answers of [`NEXT_ON_STATUS`]: nothing has been answered yet.
const NEXT_ON: &str = "connect-failure,refused-stream,reset,retriable-status-codes";

/// Answers after which the next group is tried: the provider is at its limit, its account is, or it is broken. Not 401
/// and 403, which somebody has to mend, and not what another provider would say, too. 529 is Anthropic's "overloaded".
const NEXT_ON_STATUS: [u32; 7] = [402, 429, 500, 502, 503, 504, 529];

/// The choice of a cluster.
pub(super) fn specifier(groups: &[Vec<ClusterName>]) -> ClusterSpecifier {
    let cluster =
        |name: &ClusterName| ClusterWeight { cluster_name: name.to_string(), weight: Some(u32_value(1)) };
    let group = |(index, clusters): (usize, &Vec<ClusterName>)| PriorityGroup {
        name: index.to_string(),
        clusters: clusters.iter().map(cluster).collect(),
    };
    let specifier = PriorityGroupClusterSpecifier {
        priority_groups: groups.iter().enumerate().map(group).collect(),
        // The AI engine passes over members that have asked for it (`Retry-After`).
        override_metadata_namespace: GROUPS_NAMESPACE.to_owned(),
        ..PriorityGroupClusterSpecifier::default()
    };
    ClusterSpecifier::InlineClusterSpecifierPlugin(ClusterSpecifierPlugin {
        extension: Some(TypedExtensionConfig {
            name: "envoy.router.cluster_specifier_plugin.priority_group".to_owned(),
            typed_config: Some(pack(&specifier)),
        }),
        is_optional: false,
    })
}

/// The groups as the AI engine reads them from the route's metadata.
pub(super) fn pool(groups: &[Vec<ClusterName>]) -> String {
    let names = |group: &Vec<ClusterName>| group.iter().map(ToString::to_string).collect();
    let pool = Pool { version: VERSION, groups: groups.iter().map(names).collect() };
    // Plain types, whose serialisation cannot fail.
    serde_json::to_string(&pool).unwrap_or_default()
}

/// As many attempts as there are groups; a single group of several has a second attempt.
pub(super) fn retry_policy(groups: &[Vec<ClusterName>], timeouts: &Timeouts) -> RetryPolicy {
    let retries = match groups {
        [only] if only.len() > 1 => 1,
        groups => groups.len().saturating_sub(1),
    };
    let limit = timeouts.backend_request.filter(|limit| !limit.is_zero());
    RetryPolicy {
        retry_on: NEXT_ON.to_owned(),
        retriable_status_codes: NEXT_ON_STATUS.to_vec(),
        num_retries: Some(u32_value(u32::try_from(retries).unwrap_or(u32::MAX))),
        per_try_timeout: limit.map(duration),
        // Without it Envoy stays with the cluster of the first attempt.
        refresh_cluster_on_retry: true,
        ..RetryPolicy::default()
    }
}
