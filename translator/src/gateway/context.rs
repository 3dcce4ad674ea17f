//! What every pass looks things up in.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crds::NamespacedName;
use crds::core::EndpointSlice;

use super::backend::{self, BackendTable, RefError, ResolvedBackend};
use super::service;
use crate::reference_grant::ReferenceGrants;
use crate::{Resources, Settings};

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The inputs of one translation, with the indexes that its passes share.
pub(crate) struct Context<'a> {
    pub resources: &'a Resources,
    pub settings: &'a Settings,
    pub grants: ReferenceGrants,
    slices: BTreeMap<NamespacedName, Vec<&'a EndpointSlice>>,
    pub backends: BackendTable,
    /// The Services that were asked for so far: many routes share one, and it may have many endpoints.
    services: RefCell<BTreeMap<(NamespacedName, u16), ServiceResult>>,
}

type ServiceResult = Result<Rc<ResolvedBackend>, RefError>;

impl<'a> Context<'a> {
    pub(crate) fn new(resources: &'a Resources, settings: &'a Settings) -> Self {
        let grants = ReferenceGrants::new(resources);
        let backends = backend::resolve_all(resources, settings, &grants);
        let slices = index_slices(resources);
        Self { resources, settings, grants, slices, backends, services: RefCell::default() }
    }

    /// Resolves one port of a Service.
    pub(crate) fn service(&self, key: &NamespacedName, port: u16) -> ServiceResult {
        let key = (key.clone(), port);
        let known = self.services.borrow().get(&key).cloned();
        known.unwrap_or_else(|| {
            let resolved = service::resolve(self, &key.0, port).map(Rc::new);
            self.services.borrow_mut().insert(key, resolved.clone());
            resolved
        })
    }

    /// The slices of a Service, sorted by name.
    pub(crate) fn slices_of(&self, service: &NamespacedName) -> &[&'a EndpointSlice] {
        self.slices.get(service).map_or(&[], Vec::as_slice)
    }

    /// The labels of a namespace. Its name is always one of them, as Kubernetes does it, also
    /// where nobody wrote a Namespace object (standalone mode).
    pub(crate) fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let object = self.resources.namespaces.get(namespace);
        let mut labels = object.and_then(|object| object.metadata.labels.clone()).unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }
}

fn index_slices(resources: &Resources) -> BTreeMap<NamespacedName, Vec<&EndpointSlice>> {
    let mut index: BTreeMap<NamespacedName, Vec<&EndpointSlice>> = BTreeMap::new();
    for (key, slice) in &resources.endpoint_slices {
        if let Some(service) =
            slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL))
        {
            let service = NamespacedName { namespace: key.namespace.clone(), name: service.clone() };
            index.entry(service).or_default().push(slice);
        }
    }
    index
}
