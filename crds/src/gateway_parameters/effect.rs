//! What parameters say that nothing comes of.

use super::{AiExtension, KubeParameters, ServiceParameters, ServiceType, StatsParameters};

/// A text for the status, and whether it is to be said.
type Row = (&'static str, bool);

impl KubeParameters {
    /// Fields that are understood and have no effect, with the reason.
    pub(super) fn without_effect(&self) -> Vec<&'static str> {
        let sds =
            ("spec.kube.sdsContainer has no effect: certificates come by xDS", self.sds_container.is_some());
        let parts = [
            self.ai_extension.as_ref().map(ai_extension),
            self.service.as_ref().map(service),
            self.stats.as_ref().map(stats),
        ];
        let rows = parts.into_iter().flatten().flatten().chain([sds]);
        rows.filter(|(_, is_said)| *is_said).map(|(text, _)| text).collect()
    }
}

impl StatsParameters {
    /// Whether a path leads to a page of Envoy's admin interface that may be shown. Others stop Envoy or
    /// show its configuration.
    pub fn is_page(path: &str) -> bool {
        let page = path.split('?').next().unwrap_or_default();
        page == "/stats" || page == "/stats/prometheus"
    }
}

/// Of an extension that is switched off nobody expects anything.
fn ai_extension(extension: &AiExtension) -> Vec<Row> {
    let AiExtension { enabled, image, security_context, resources, env, ports, stats: _, tracing: _ } =
        extension;
    if *enabled == Some(false) || *extension == AiExtension::default() {
        return Vec::new();
    }
    let sidecar = image.is_some() || security_context.is_some() || resources.is_some() || env.is_some();
    vec![
        (
            "spec.kube.aiExtension.enabled has no effect: AI backends need no sidecar here",
            *enabled == Some(true),
        ),
        ("spec.kube.aiExtension has no effect in what it says of the sidecar: there is none", sidecar),
        ("spec.kube.aiExtension.ports is not opened: metrics are at port 9091 of each pod", ports.is_some()),
    ]
}

/// Kubernetes refuses these fields for other types of Services.
fn service(service: &ServiceParameters) -> Vec<Row> {
    let type_ = service.type_.unwrap_or_default();
    let is_inner = type_ == ServiceType::ClusterIP;
    let has_node_port = service.ports.iter().flatten().any(|port| port.node_port.is_some());
    vec![
        (
            "spec.kube.service.loadBalancerClass has no effect: the type is not LoadBalancer",
            type_ != ServiceType::LoadBalancer && service.load_balancer_class.is_some(),
        ),
        (
            "spec.kube.service.externalTrafficPolicy has no effect: the type is ClusterIP",
            is_inner && service.external_traffic_policy.is_some(),
        ),
        (
            "spec.kube.service.ports[].nodePort has no effect: the type is ClusterIP",
            is_inner && has_node_port,
        ),
    ]
}

fn stats(stats: &StatsParameters) -> Vec<Row> {
    let is_wrong =
        |path: &Option<String>| path.as_deref().is_some_and(|path| !StatsParameters::is_page(path));
    vec![
        (
            "spec.kube.stats.routePrefixRewrite has no effect: only /stats and /stats/prometheus can be shown",
            is_wrong(&stats.route_prefix_rewrite),
        ),
        (
            "spec.kube.stats.statsRoutePrefixRewrite has no effect: only /stats and /stats/prometheus can be shown",
            is_wrong(&stats.stats_route_prefix_rewrite),
        ),
    ]
}
