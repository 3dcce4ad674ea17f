//! The pods of a Gateway's proxies and what belongs to them.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentStrategy;
use k8s_openapi::api::core::v1::{
    Affinity, EnvVar, LocalObjectReference, PodSecurityContext, Probe, ResourceRequirements, SecurityContext,
    Toleration, TopologySpreadConstraint, Volume, VolumeMount,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AiExtensionStats;
use crate::{schema, sensitive::Opaque};

/// The pods of a Gateway's proxies and what belongs to them. Everything is optional.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct KubeParameters {
    /// The Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentParameters>,
    /// The container that runs Envoy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envoy_container: Option<ContainerParameters>,
    /// Accepted; has no effect, since certificates come by xDS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sds_container: Option<Opaque>,
    /// The pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodParameters>,
    /// The Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceParameters>,
    /// The ServiceAccount.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountParameters>,
    /// Integration with Istio. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istio: Option<Opaque>,
    /// The metrics of Envoy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<StatsParameters>,
    /// The AI sidecar of other implementations, of which none is needed; where traces go, and labels of metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ai_extension: Option<AiExtension>,
    /// Another proxy than Envoy. Not served yet; may be present when it is not enabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agentgateway: Option<Opaque>,
    /// Leaves the user of the containers to the platform, as OpenShift wants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floating_user_id: Option<bool>,
    /// Leaves out the security contexts that would be set by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omit_default_security_context: Option<bool>,
}

/// The Deployment of the proxies.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.replicas) && has(self.omitReplicas) && self.omitReplicas)")
        .message("replicas and omitReplicas exclude each other")
)]
pub struct DeploymentParameters {
    /// How many pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Leaves the number of pods to somebody else, such as a HorizontalPodAutoscaler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub omit_replicas: Option<bool>,
    /// How pods are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<DeploymentStrategy>,
}

/// The container that runs Envoy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContainerParameters {
    /// What Envoy is started with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapParameters>,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageParameters>,
    /// Replaces the security context of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Compute resources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Environment variables, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<EnvVar>>,
    /// Volume mounts, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_volume_mounts: Option<Vec<VolumeMount>>,
}

/// What Envoy is started with.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapParameters {
    /// Level of the log; info if absent. Below info, Envoy logs headers, and so credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_level: Option<LogLevel>,
    /// Levels of components of Envoy, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_log_levels: Option<BTreeMap<String, LogLevel>>,
}

/// A level of Envoy's log.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "Envoy's own words; a variant's doc would reach the CRD")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
    Off,
}

/// An image.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ImageParameters {
    /// Host of the registry, perhaps with a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// Name of the image within the registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Digest, such as sha256:…; wins over the tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// When the image is pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_policy: Option<ImagePullPolicy>,
}

/// When an image is pulled.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kubernetes' own words; a variant's doc would reach the CRD")]
pub enum ImagePullPolicy {
    Always,
    Never,
    IfNotPresent,
}

/// The pods of the proxies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodParameters {
    /// Labels, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_labels: Option<BTreeMap<String, String>>,
    /// Annotations, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_annotations: Option<BTreeMap<String, String>>,
    /// Replaces the security context of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// Secrets with which images are pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_secrets: Option<Vec<LocalObjectReference>>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,
    /// Scheduling by affinity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// Taints that are tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerations: Option<Vec<Toleration>>,
    /// What a pod does before it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graceful_shutdown: Option<GracefulShutdown>,
    /// Seconds that a pod has to end; 60 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub termination_grace_period_seconds: Option<i64>,
    /// Replaces the readiness probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<Probe>,
    /// A liveness probe; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness_probe: Option<Probe>,
    /// How pods are spread over the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// Name of a PriorityClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
    /// Volumes, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_volumes: Option<Vec<Volume>>,
}

/// What a pod does before it ends.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct GracefulShutdown {
    /// Whether requests are finished first; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds that a pod goes on serving at least, for clients to learn that it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub sleep_time_seconds: Option<i64>,
}

/// The Service of the proxies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceParameters {
    /// Type; LoadBalancer if absent.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<ServiceType>,
    /// The cluster IP to have.
    #[serde(default, rename = "clusterIP", skip_serializing_if = "Option::is_none")]
    pub cluster_ip: Option<String>,
    /// Class of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer_class: Option<String>,
    /// Labels, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_labels: Option<BTreeMap<String, String>>,
    /// Annotations, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_annotations: Option<BTreeMap<String, String>>,
    /// More about the ports of listeners; a port that no listener has is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<ServicePortParameters>>,
    /// Whether traffic from outside stays on the node that it comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<TrafficPolicy>,
    /// Whether it has addresses of both IP families. If absent, it has where the cluster's network has both. An extension of
    /// Chancery's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
}

/// Of which IP families a Service has addresses.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kubernetes' own words; a variant's doc would reach the CRD")]
pub enum IpFamilyPolicy {
    SingleStack,
    PreferDualStack,
    RequireDualStack,
}

/// More about the port of a listener.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServicePortParameters {
    /// Port of the listener.
    #[schemars(schema_with = "schema::port")]
    pub port: u16,
    /// The port to have on every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::port")]
    pub node_port: Option<u16>,
}

/// Type of a Service.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kubernetes' own words; a variant's doc would reach the CRD")]
pub enum ServiceType {
    ClusterIP,
    NodePort,
    #[default]
    LoadBalancer,
}

/// Whether traffic stays on the node that it comes to.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kubernetes' own words; a variant's doc would reach the CRD")]
pub enum TrafficPolicy {
    Cluster,
    Local,
}

/// The ServiceAccount of the proxies.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ServiceAccountParameters {
    /// Labels, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_labels: Option<BTreeMap<String, String>>,
    /// Annotations, added to ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_annotations: Option<BTreeMap<String, String>>,
}

/// The metrics of Envoy: `/metrics` at port 9091 of each pod.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct StatsParameters {
    /// Whether they can be read; true if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Path of Envoy's admin interface behind /metrics; /stats/prometheus?usedonly if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/stats"))]
    pub route_prefix_rewrite: Option<String>,
    /// Whether /stats can be read too; false if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_stats_route: Option<bool>,
    /// Path of Envoy's admin interface behind /stats; /stats if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/stats"))]
    pub stats_route_prefix_rewrite: Option<String>,
}

/// The AI sidecar of other implementations. None is needed; what is said of it has no effect, but for where traces go and
/// for labels of metrics.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AiExtension {
    /// Whether AI backends are wanted; they always work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Image of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageParameters>,
    /// Security context of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<Opaque>,
    /// Compute resources of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Opaque>,
    /// Environment variables of the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<Opaque>>,
    /// Ports of the sidecar, such as ai-monitoring 9092.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<AiExtensionPort>>,
    /// Labels of the metrics of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<AiExtensionStats>,
    /// Where the traces of the proxies go: endpoint, sampler, timeout and protocol, or grpc and insecure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Opaque>,
}

/// A port of the AI sidecar.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AiExtensionPort {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Port number.
    #[schemars(schema_with = "schema::port")]
    pub container_port: u16,
    /// Protocol; TCP if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}
