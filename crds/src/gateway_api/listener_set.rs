//! ListenerSets: their listeners are those of a Gateway.
#![allow(unreachable_pub, reason = "the derive makes a hidden copy of the struct")]

use gateway_api::experimental::listenersets::{ListenerSetParentRef, ListenerSetStatus};
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::GROUP;
use super::gateway::Listener;
use crate::NamespacedName;

/// What a ListenerSet says.
#[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "gateway.networking.k8s.io",
    version = "v1",
    kind = "ListenerSet",
    plural = "listenersets",
    namespaced,
    status = "ListenerSetStatus",
    schema = "disabled",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct ListenerSetSpec {
    /// The listeners that it adds.
    pub listeners: Vec<Listener>,
    /// The Gateway that it adds them to.
    pub parent_ref: ListenerSetParentRef,
}

/// The Gateway that a ListenerSet adds listeners to; `None` if its parent is of another kind.
pub fn gateway(set: &ListenerSet) -> Option<NamespacedName> {
    let parent = &set.spec.parent_ref;
    let group = parent.group.as_deref().unwrap_or(GROUP);
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let own = set.metadata.namespace.as_deref().unwrap_or_default();
    (group == GROUP && kind == "Gateway")
        .then(|| NamespacedName::new(parent.namespace.as_deref().unwrap_or(own), &parent.name))
}
