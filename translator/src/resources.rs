//! The input: every object that the translator reads, indexed and sorted. Looks up, never fetches.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::backend::Backend;
use crds::core::{EndpointSlice, Namespace, Secret, Service};
use crds::gateway_api::{Gateway, GatewayClass, HttpRoute, ReferenceGrant};
use crds::gateway_parameters::{GLOO_GROUP, GatewayParameters, GlooGatewayParameters};
use crds::upstream::Upstream;
use crds::{NamespacedName, Object, ObjectRef};

/// An immutable set of objects; cheap to clone, since the objects are shared.
///
/// Maps are sorted, so that the order in which objects arrived never shows.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    pub(crate) gateway_classes: BTreeMap<String, Arc<GatewayClass>>,
    pub(crate) gateways: BTreeMap<NamespacedName, Arc<Gateway>>,
    pub(crate) http_routes: BTreeMap<NamespacedName, Arc<HttpRoute>>,
    pub(crate) reference_grants: BTreeMap<NamespacedName, Arc<ReferenceGrant>>,
    pub(crate) services: BTreeMap<NamespacedName, Arc<Service>>,
    pub(crate) endpoint_slices: BTreeMap<NamespacedName, Arc<EndpointSlice>>,
    pub(crate) secrets: BTreeMap<NamespacedName, Arc<Secret>>,
    pub(crate) namespaces: BTreeMap<String, Arc<Namespace>>,
    pub(crate) backends: BTreeMap<NamespacedName, Arc<Backend>>,
    pub(crate) upstreams: BTreeMap<NamespacedName, Arc<Upstream>>,
    pub(crate) gateway_parameters: BTreeMap<NamespacedName, Arc<GatewayParameters>>,
    pub(crate) gloo_gateway_parameters: BTreeMap<NamespacedName, Arc<GlooGatewayParameters>>,
}

impl Resources {
    /// Puts an object in, in place of an earlier version of it.
    pub fn apply(&mut self, object: Object) {
        let reference = object.object_ref();
        let name = reference.name.clone();
        let key = NamespacedName { namespace: reference.namespace.unwrap_or_default(), name: name.clone() };
        match object {
            Object::GatewayClass(object) => drop(self.gateway_classes.insert(name, object)),
            Object::Gateway(object) => drop(self.gateways.insert(key, object)),
            Object::HttpRoute(object) => drop(self.http_routes.insert(key, object)),
            Object::ReferenceGrant(object) => drop(self.reference_grants.insert(key, object)),
            Object::Service(object) => drop(self.services.insert(key, object)),
            Object::EndpointSlice(object) => drop(self.endpoint_slices.insert(key, object)),
            Object::Secret(object) => drop(self.secrets.insert(key, object)),
            Object::Namespace(object) => drop(self.namespaces.insert(name, object)),
            Object::Backend(object) => drop(self.backends.insert(key, object)),
            Object::Upstream(object) => drop(self.upstreams.insert(key, object)),
            Object::GatewayParameters(object) => drop(self.gateway_parameters.insert(key, object)),
            Object::GlooGatewayParameters(object) => drop(self.gloo_gateway_parameters.insert(key, object)),
        }
    }

    /// Takes an object out; says whether it was there.
    pub fn delete(&mut self, object: &ObjectRef) -> bool {
        let key = NamespacedName {
            namespace: object.namespace.clone().unwrap_or_default(),
            name: object.name.clone(),
        };
        match object.kind.as_str() {
            "GatewayClass" => self.gateway_classes.remove(&key.name).is_some(),
            "Gateway" => self.gateways.remove(&key).is_some(),
            "HTTPRoute" => self.http_routes.remove(&key).is_some(),
            "ReferenceGrant" => self.reference_grants.remove(&key).is_some(),
            "Service" => self.services.remove(&key).is_some(),
            "EndpointSlice" => self.endpoint_slices.remove(&key).is_some(),
            "Secret" => self.secrets.remove(&key).is_some(),
            "Namespace" => self.namespaces.remove(&key.name).is_some(),
            "Backend" => self.backends.remove(&key).is_some(),
            "Upstream" => self.upstreams.remove(&key).is_some(),
            "GatewayParameters" if object.group == GLOO_GROUP => {
                self.gloo_gateway_parameters.remove(&key).is_some()
            }
            "GatewayParameters" => self.gateway_parameters.remove(&key).is_some(),
            _ => false,
        }
    }
}

impl FromIterator<Object> for Resources {
    fn from_iter<I: IntoIterator<Item = Object>>(objects: I) -> Self {
        let mut resources = Self::default();
        objects.into_iter().for_each(|object| resources.apply(object));
        resources
    }
}
