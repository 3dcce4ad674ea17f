//! GatewayParameters: how the proxies of a Gateway are run, in the dialects of kgateway and Gloo.
//!
//! Both dialects have one field tree; what it holds is in [`KubeParameters`]. A Gateway's parameters are
//! laid over those of its class by [`KubeParameters::over`].
#![allow(unreachable_pub, reason = "the KubeSchema derive makes a hidden copy of the struct")]

mod effect;
mod kube_parameters;
mod merge;
mod metric_labels;
#[cfg(test)]
mod tests;
mod tracing;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use metric_labels::{AiExtensionStats, CustomLabel, MetadataNamespace, MetricLabel};
pub use tracing::{OtlpProtocol, Tracing};

pub use kube_parameters::{
    AiExtension, AiExtensionPort, BootstrapParameters, ContainerParameters, DeploymentParameters,
    GracefulShutdown, ImageParameters, ImagePullPolicy, IpFamilyPolicy, KubeParameters, LogLevel,
    PodParameters, ServiceAccountParameters, ServiceParameters, ServicePortParameters, ServiceType,
    StatsParameters, TrafficPolicy,
};

use crate::{core::Condition, sensitive::Opaque};

/// API group of kgateway's GatewayParameters.
pub const GROUP: &str = "gateway.kgateway.dev";

/// API group of Gloo's GatewayParameters.
pub const GLOO_GROUP: &str = "gateway.gloo.solo.io";

/// How the proxies of a Gateway are run.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.kgateway.dev",
    version = "v1alpha1",
    kind = "GatewayParameters",
    plural = "gatewayparameters",
    shortname = "gwp",
    namespaced,
    status = "GatewayParametersStatus",
    derive = "PartialEq",
    category = "kgateway",
    label("app", "kgateway"),
    doc = "How the proxies of a Gateway are run.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the parameters are usable; empty if nothing uses them"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.kube) && has(self.selfManaged))").message("kube and selfManaged exclude each other")
)]
pub struct GatewayParametersSpec {
    /// The proxies are pods, deployed by the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube: Option<KubeParameters>,
    /// The proxies are run by somebody else. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_managed: Option<Opaque>,
}

/// How the proxies of a Gateway are run.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "gateway.gloo.solo.io",
    version = "v1alpha1",
    kind = "GatewayParameters",
    root = "GlooGatewayParameters",
    plural = "gatewayparameters",
    shortname = "gwp",
    namespaced,
    status = "GatewayParametersStatus",
    derive = "PartialEq",
    category = "gloo",
    doc = "How the proxies of a Gateway are run.",
    printcolumn(
        name = "Accepted",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Accepted')].status",
        description = "Whether the parameters are usable; empty if nothing uses them"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!(has(self.kube) && has(self.selfManaged))").message("kube and selfManaged exclude each other")
)]
pub struct GlooGatewayParametersSpec {
    /// The proxies are pods, deployed by the control plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube: Option<KubeParameters>,
    /// The proxies are run by somebody else. Not served yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_managed: Option<Opaque>,
}

/// Observed state of GatewayParameters.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
pub struct GatewayParametersStatus {
    /// Conditions, of type Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// GatewayParameters of either dialect, without what tells them apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParametersRef<'a> {
    /// How the pods are made; `None` if nothing is said.
    pub kube: Option<&'a KubeParameters>,
    /// Set if somebody else runs the proxies.
    pub self_managed: Option<&'a Opaque>,
}

impl GatewayParameters {
    /// What they say.
    pub fn parameters(&self) -> ParametersRef<'_> {
        ParametersRef { kube: self.spec.kube.as_ref(), self_managed: self.spec.self_managed.as_ref() }
    }
}

impl GlooGatewayParameters {
    /// What they say.
    pub fn parameters(&self) -> ParametersRef<'_> {
        ParametersRef { kube: self.spec.kube.as_ref(), self_managed: self.spec.self_managed.as_ref() }
    }
}

impl ParametersRef<'_> {
    /// Fields that ask for something that is not done yet, as paths. Parameters that have one cannot be
    /// used: the proxies would run otherwise than their owner believes.
    pub fn unsupported(&self) -> Vec<&'static str> {
        let kube = self.kube;
        let is_enabled =
            |opaque: &Opaque| opaque.0.get("enabled").and_then(serde_json::Value::as_bool) == Some(true);
        let rows = [
            ("spec.selfManaged", self.self_managed.is_some()),
            ("spec.kube.istio", kube.is_some_and(|kube| kube.istio.is_some())),
            (
                "spec.kube.agentgateway",
                kube.and_then(|kube| kube.agentgateway.as_ref()).is_some_and(is_enabled),
            ),
        ];
        rows.into_iter().filter(|(_, present)| *present).map(|(path, _)| path).collect()
    }

    /// Fields that are understood and have no effect, with the reason.
    pub fn without_effect(&self) -> Vec<&'static str> {
        self.kube.map(KubeParameters::without_effect).unwrap_or_default()
    }
}
