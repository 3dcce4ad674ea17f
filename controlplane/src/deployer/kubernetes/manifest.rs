//! What is made for one Gateway in a cluster: plain data, rendered by a pure function.

use std::collections::BTreeMap;

use crds::gateway_parameters::{
    IpFamilyPolicy, KubeParameters, ServiceAccountParameters, ServiceParameters, ServiceType,
};
use ir::{InfraPort, IpFamilies, PortProtocol, ProxyInfra};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::bootstrap::{self, CA_FILE, ClusterBootstrap};
use super::common::{Common, DeploySettings, LONGEST_LABEL, Manifest, Metadata, insert_present};
use super::deployment;
use super::object::ManifestKind;

/// The image of the pinned Envoy, without a shell.
pub const DEFAULT_IMAGE: &str = "envoyproxy/envoy:distroless-v1.40.0";

/// Renders all that a Gateway's proxies need, in the order in which it is to be applied. Pure.
///
/// `ca` holds the certificates (PEM) of the authority that signs the xDS port's. It stands in the
/// ConfigMap alone: that it changes restarts no pod.
pub fn render_manifests(
    infra: &ProxyInfra,
    parameters: Option<&KubeParameters>,
    settings: &DeploySettings,
    ca: &str,
) -> Vec<Manifest> {
    let defaults = KubeParameters::default();
    let common = Common { infra, parameters: parameters.unwrap_or(&defaults), settings };
    let files = common.files();
    vec![
        common.service_account(),
        common.config_map(&files, ca),
        common.service(),
        common.disruption_budget(),
        deployment::render(&common, &hash(&files)),
    ]
}

impl Common<'_> {
    fn files(&self) -> Vec<(&'static str, String)> {
        let (parameters, settings) = (self.parameters, self.settings);
        let path = deployment::drain_path(self);
        let metrics = deployment::metrics(parameters);
        let bootstrap = ClusterBootstrap {
            gateway: &self.infra.gateway,
            xds_host: &settings.xds_host,
            xds_port: settings.xds_port,
            drain: deployment::drain(parameters, &path),
            metrics,
            families: settings.families,
        };
        let files = bootstrap::render_files(&bootstrap).into_iter();
        files.map(|(name, content)| (name, format!("{content:#}\n"))).collect()
    }

    /// Without any right, and without a token that nobody asked for.
    fn service_account(&self) -> Manifest {
        let parameters: Option<&ServiceAccountParameters> = self.parameters.service_account.as_ref();
        let metadata = Metadata {
            extra_labels: parameters.and_then(|parameters| parameters.extra_labels.as_ref()),
            extra_annotations: parameters.and_then(|parameters| parameters.extra_annotations.as_ref()),
        };
        self.manifest(
            ManifestKind::ServiceAccount,
            metadata,
            json!({ "automountServiceAccountToken": false }),
        )
    }

    fn config_map(&self, files: &[(&'static str, String)], ca: &str) -> Manifest {
        let files = files.iter().map(|(name, content)| (*name, content.as_str()));
        let data: BTreeMap<&str, &str> = files.chain([(CA_FILE, ca)]).collect();
        self.manifest(ManifestKind::ConfigMap, Metadata::default(), json!({ "data": data }))
    }

    fn service(&self) -> Manifest {
        let defaults = ServiceParameters::default();
        let parameters = self.parameters.service.as_ref().unwrap_or(&defaults);
        let type_ = parameters.type_.unwrap_or_default();
        let ports: Vec<Value> =
            self.infra.ports.iter().map(|port| self.service_port(port, parameters)).collect();
        let mut spec = json!({ "type": type_, "selector": self.selector(), "ports": ports });
        let of_load_balancers = |value: Value| match type_ {
            ServiceType::LoadBalancer => value,
            ServiceType::ClusterIP | ServiceType::NodePort => Value::Null,
        };
        let optional = [
            ("clusterIP", json!(parameters.cluster_ip)),
            ("ipFamilyPolicy", json!(self.ip_family_policy(parameters))),
            // Deprecated, and what load balancers understand nevertheless: there is no other field for it.
            ("loadBalancerIP", of_load_balancers(json!(self.infra.wanted_address))),
            // Kubernetes refuses it for other types.
            ("loadBalancerClass", of_load_balancers(json!(parameters.load_balancer_class))),
            (
                "externalTrafficPolicy",
                match type_ {
                    ServiceType::LoadBalancer | ServiceType::NodePort => {
                        json!(parameters.external_traffic_policy)
                    }
                    ServiceType::ClusterIP => Value::Null,
                },
            ),
        ];
        insert_present(&mut spec, optional);
        let metadata = Metadata {
            extra_labels: parameters.extra_labels.as_ref(),
            extra_annotations: parameters.extra_annotations.as_ref(),
        };
        self.manifest(ManifestKind::Service, metadata, json!({ "spec": spec }))
    }

    /// Addresses of both families where the network has both, unless parameters say otherwise.
    fn ip_family_policy(&self, parameters: &ServiceParameters) -> Option<IpFamilyPolicy> {
        let has_both = self.settings.families == IpFamilies::Both;
        parameters.ip_family_policy.or(has_both.then_some(IpFamilyPolicy::PreferDualStack))
    }

    /// Clients and the proxy use the same port number: a proxy may bind low ports.
    fn service_port(&self, port: &InfraPort, parameters: &ServiceParameters) -> Value {
        let InfraPort { port, protocol, listener } = port;
        let name = if is_label(listener) { listener.clone() } else { unnamed_port(*port, *protocol) };
        let mut value =
            json!({ "name": name, "port": port, "targetPort": port, "protocol": protocol.as_str() });
        let more = parameters.ports.iter().flatten().find(|more| more.port == *port);
        let wants_node_port = parameters.type_ != Some(ServiceType::ClusterIP);
        let node_port = more.and_then(|more| more.node_port).filter(|_| wants_node_port);
        insert_present(&mut value, [("nodePort", json!(node_port))]);
        value
    }

    /// One pod at a time may be away on purpose. Also with a single pod: a minimum of one would keep its
    /// node from ever being drained.
    fn disruption_budget(&self) -> Manifest {
        let spec = json!({
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": { "matchLabels": self.selector() },
        });
        self.manifest(ManifestKind::PodDisruptionBudget, Metadata::default(), json!({ "spec": spec }))
    }
}

/// The name of a port whose listener has one that no port can have.
fn unnamed_port(port: u16, protocol: PortProtocol) -> String {
    match protocol {
        PortProtocol::Tcp => format!("port-{port}"),
        PortProtocol::Udp => format!("port-{port}-udp"),
    }
}

/// Names of listeners may be longer than those of ports, and hold dots.
fn is_label(name: &str) -> bool {
    name.len() <= LONGEST_LABEL && !name.contains('.')
}

/// What of the files needs a restart of Envoy: all of them, as they are written.
fn hash(files: &[(&'static str, String)]) -> String {
    let all: Vec<&str> = files.iter().flat_map(|(name, content)| [*name, content.as_str()]).collect();
    format!("{:016x}", xxh3_64(all.join("\0").as_bytes()))
}
