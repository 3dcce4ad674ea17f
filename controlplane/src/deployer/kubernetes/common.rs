//! What all objects of one Gateway share.

use std::collections::BTreeMap;

use crds::gateway_parameters::KubeParameters;
use ir::{
    COMPONENT_LABEL, CONTROLLER_LABEL, GATEWAY_NAME_LABEL, INSTANCE_LABEL, IpFamilies, MANAGED_BY_LABEL,
    PROXY_NAME_LABEL, ProxyInfra, is_reserved_annotation, is_reserved_label,
};
use serde_json::{Value, json};

use super::object::{ManifestKind, ObjectKey};
use crate::controller_name::ControllerName;

/// The label that says that an object is ours, and its value.
pub const MANAGED_BY: (&str, &str) = (MANAGED_BY_LABEL, "chancery");

/// The longest value of a label.
pub(super) const LONGEST_LABEL: usize = 63;

/// What the control plane decides once, for all proxies of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploySettings {
    /// The control plane that the proxies belong to.
    pub controller: ControllerName,
    /// The DNS name by which pods reach the xDS port, such as `chancery.chancery-system.svc`; the port's
    /// certificate is for it.
    pub xds_host: String,
    /// The xDS port.
    pub xds_port: u16,
    /// The audience of the tokens with which proxies show who they are.
    pub token_audience: String,
    /// The image of Envoy, unless parameters name another.
    pub image: String,
    /// The families of the cluster's network.
    pub families: IpFamilies,
}

/// One object to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which object.
    pub key: ObjectKey,
    /// The object as it is applied; holds every field that is ours and no other.
    pub object: Value,
}

/// What all objects of one Gateway share.
pub(super) struct Common<'a> {
    pub(super) infra: &'a ProxyInfra,
    pub(super) parameters: &'a KubeParameters,
    pub(super) settings: &'a DeploySettings,
}

impl Common<'_> {
    /// The labels by which the Deployment finds its pods; they can never change. Users of Gloo look for
    /// pods by the name of the proxy, not of the Gateway.
    pub(super) fn selector(&self) -> BTreeMap<String, String> {
        let ProxyInfra { gateway, name: proxy, .. } = self.infra;
        // A label is shorter than a name may be.
        let gateway = if gateway.name.len() <= LONGEST_LABEL { &gateway.name } else { proxy };
        let labels = [(PROXY_NAME_LABEL, proxy), (INSTANCE_LABEL, proxy), (GATEWAY_NAME_LABEL, gateway)];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
    }

    /// The labels of an object: what parameters add, what the Gateway asks for, ours; the last wins.
    pub(super) fn labels(&self, extra: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let (key, value) = MANAGED_BY;
        let mut labels = extra.cloned().unwrap_or_default();
        labels.extend(self.infra.labels.clone());
        // Also one that we do not set here: another control plane would take the object for its own.
        labels.retain(|key, _| !is_reserved_label(key));
        labels.extend(self.selector());
        labels.insert(COMPONENT_LABEL.to_owned(), "proxy".to_owned());
        labels.insert(key.to_owned(), value.to_owned());
        if let Some(name) = self.settings.controller.label() {
            labels.insert(CONTROLLER_LABEL.to_owned(), name);
        }
        labels
    }

    pub(super) fn annotations(&self, extra: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
        let mut annotations = extra.cloned().unwrap_or_default();
        annotations.extend(self.infra.annotations.clone());
        annotations.retain(|key, _| !is_reserved_annotation(key));
        annotations
    }

    /// The manifest of an object with the metadata that all of ours have.
    pub(super) fn manifest(&self, kind: ManifestKind, metadata: Metadata<'_>, body: Value) -> Manifest {
        let ProxyInfra { gateway, name, .. } = self.infra;
        let key = ObjectKey { kind, namespace: gateway.namespace.clone(), name: name.clone() };
        let mut meta = json!({
            "name": name,
            "namespace": gateway.namespace,
            "labels": self.labels(metadata.extra_labels),
        });
        let annotations = self.annotations(metadata.extra_annotations);
        if !annotations.is_empty() {
            meta["annotations"] = json!(annotations);
        }
        if let Some(uid) = &self.infra.uid {
            meta["ownerReferences"] = json!([{
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "Gateway",
                "name": gateway.name,
                "uid": uid,
                "controller": true,
            }]);
        }
        let mut object = json!({ "apiVersion": kind.api_version(), "kind": kind.kind(), "metadata": meta });
        if let (Value::Object(object), Value::Object(body)) = (&mut object, body) {
            object.extend(body);
        }
        Manifest { key, object }
    }
}

/// What parameters add to an object's metadata.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Metadata<'a> {
    pub(super) extra_labels: Option<&'a BTreeMap<String, String>>,
    pub(super) extra_annotations: Option<&'a BTreeMap<String, String>>,
}

/// Inserts the members that are not null.
pub(super) fn insert_present<const N: usize>(object: &mut Value, members: [(&str, Value); N]) {
    for (name, value) in members {
        if !value.is_null() {
            object[name] = value;
        }
    }
}
