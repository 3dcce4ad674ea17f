//! Which objects there are for a Gateway, and what is known of those that stand in the cluster.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crds::gateway_api;
use ir::GatewayName;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;

/// A kind of object that is made for a Gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is named after its kind")]
pub enum ManifestKind {
    ServiceAccount,
    ConfigMap,
    Service,
    PodDisruptionBudget,
    Deployment,
}

impl ManifestKind {
    /// Every kind, in the order in which objects are applied.
    pub const ALL: [Self; 5] =
        [Self::ServiceAccount, Self::ConfigMap, Self::Service, Self::PodDisruptionBudget, Self::Deployment];

    /// The kind's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Service => "Service",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Deployment => "Deployment",
        }
    }

    /// `GROUP/VERSION`, or `v1`.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ServiceAccount | Self::ConfigMap | Self::Service => "v1",
            Self::PodDisruptionBudget => "policy/v1",
            Self::Deployment => "apps/v1",
        }
    }

    /// How the API server is asked about it.
    pub fn api_resource(self) -> ApiResource {
        let (group, version) = self.api_version().split_once('/').unwrap_or(("", self.api_version()));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version().to_owned(),
            kind: self.kind().to_owned(),
            plural: format!("{}s", self.kind().to_lowercase()),
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: ManifestKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.kind(), self.namespace, self.name)
    }
}

/// An object of ours as it stands in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Observed {
    /// The Gateway that owns it.
    pub(super) owner: Option<Owner>,
    pub(super) uid: String,
    /// Of all that somebody could have edited: neither the status nor what the API server keeps.
    content: u64,
}

impl Observed {
    pub(super) fn new(object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        let mut data = object.data.clone();
        if let Value::Object(members) = &mut data {
            members.remove("status");
        }
        let mut hasher = DefaultHasher::new();
        (data.to_string(), &metadata.labels, &metadata.annotations).hash(&mut hasher);
        metadata.owner_references.iter().flatten().for_each(|owner| owner.uid.hash(&mut hasher));
        Self { owner: owner(object), uid: metadata.uid.clone().unwrap_or_default(), content: hasher.finish() }
    }
}

/// A Gateway that owns an object: this one, and no other that had the name before or gets it later.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Owner {
    pub(super) gateway: GatewayName,
    pub(super) uid: String,
}

/// The Gateway that owns an object.
pub(super) fn owner(object: &DynamicObject) -> Option<Owner> {
    let namespace = object.metadata.namespace.clone()?;
    let owner = object.metadata.owner_references.iter().flatten().find(|owner| {
        let (group, _) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        group == gateway_api::GROUP && owner.kind == "Gateway"
    })?;
    Some(Owner { gateway: GatewayName { namespace, name: owner.name.clone() }, uid: owner.uid.clone() })
}
