//! Which version of Gateway API a cluster has.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

/// The CRD whose annotation says which version of Gateway API is installed. All CRDs of a release carry the same one,
/// and without this one there is no class to tell it in.
pub const VERSIONED_CRD: &str = "gatewayclasses.gateway.networking.k8s.io";

/// The annotation of Gateway API's CRDs that holds their version, such as `v1.6.3`.
pub const BUNDLE_VERSION: &str = "gateway.networking.k8s.io/bundle-version";

/// A CRD, of which nothing is kept but the metadata.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "Written")]
pub struct CustomResourceDefinition {
    /// Its metadata.
    pub metadata: ObjectMeta,
}

/// A CRD as it is written: the members that are not kept are named, so that they are not reported as unknown.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default, rename = "spec")]
    _spec: Option<Value>,
    #[serde(default, rename = "status")]
    _status: Option<Value>,
}

impl From<Written> for CustomResourceDefinition {
    fn from(Written { metadata, .. }: Written) -> Self {
        Self { metadata }
    }
}

/// As it is read: with what it is.
impl Serialize for CustomResourceDefinition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("CustomResourceDefinition", 3)?;
        object.serialize_field("apiVersion", "apiextensions.k8s.io/v1")?;
        object.serialize_field("kind", "CustomResourceDefinition")?;
        object.serialize_field("metadata", &self.metadata)?;
        object.end()
    }
}

impl CustomResourceDefinition {
    /// The version of Gateway API that it is part of, as its annotation says it; `None` if it says nothing.
    pub fn bundle_version(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(BUNDLE_VERSION).map(String::as_str)
    }
}
