//! What a stage looks things up in: it notes what was looked at.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::core::{EndpointSlice, Namespace};
use crds::gateway_api::{BackendTlsPolicy, GatewayClass, ListenerSet, ReferenceGrant};
use crds::{Kind, NamespacedName, ObjectKey, RouteParts, Typed};
use ir::{ClaimSet, Hostname, RouteTableId, Trust};

use super::Hold;
use super::graph::Graph;
use super::index::Index;
use super::key::Key;
use super::value::{IsOurs, OfValue};
use crate::gateway::address::AddressPlan;
use crate::gateway::class::{self};
use crate::gateway::facts::{
    Attachment, AuthoritiesValue, BackendFace, BackendKey, BackendValue, CertificateValue, ClassFace,
    GatewayFace, GatewayKey, HostFace, HostKey, KeyFace, Placed, PolicyEffect, PolicyFace, PortValue,
    RouteKey, RouteVersion, TranslatedRoute,
};
use crate::gateway::view::View;
use crate::reference_grant::{self, Party};
use crate::resources::{Group, PolicyAt};
use crate::status::{Reason, Rejection};
use crate::{Resources, Settings};

/// The inputs, and the units that were evaluated so far.
pub(crate) struct Reading<'a> {
    pub(super) resources: &'a Resources,
    pub(super) settings: &'a Settings,
    pub(super) graph: &'a Graph,
    pub(super) index: &'a Index,
    pub(super) holds: &'a BTreeMap<RouteKey, Hold>,
    pub(super) reads: RefCell<Vec<Key>>,
    /// Units that were looked at and never evaluated.
    pub(super) missing: RefCell<Vec<Key>>,
}

impl<'a> Reading<'a> {
    /// What is served instead of the newest version of a route.
    pub(super) fn hold(&self, route: &RouteKey) -> Option<&'a Hold> {
        self.holds.get(route)
    }

    /// Where a route attaches.
    pub(super) fn attachment(&self, key: &RouteKey) -> Option<Arc<Attachment>> {
        self.unit(Key::Attachment(key.clone()))
    }

    fn unit<T: OfValue>(&self, key: Key) -> Option<Arc<T>> {
        if !self.graph.is_evaluated(&key) {
            self.missing.borrow_mut().push(key.clone());
        }
        let value = self.graph.value(&key).and_then(T::of).cloned();
        self.note(key);
        value
    }

    /// The members of a group, sorted by name.
    fn members<T: Typed>(&self, group: Group) -> impl Iterator<Item = &'a Arc<T>> + use<'a, T> {
        let members = self.resources.members(&group);
        self.note(Key::Group(group));
        members
    }

    fn note(&self, key: Key) {
        self.reads.borrow_mut().push(key);
    }
}

impl View for Reading<'_> {
    // --- Inputs ---

    fn settings(&self) -> &Settings {
        self.settings
    }

    fn trust(&self) -> &Trust {
        self.note(Key::Trust);
        &self.settings.trust
    }

    fn object<T: Typed>(&self, name: &NamespacedName) -> Option<&Arc<T>> {
        self.note(Key::Object(ObjectKey::of::<T>(name.clone())));
        self.resources.get::<T>(name)
    }

    fn route_object(&self, key: &RouteKey) -> Option<RouteParts<'_>> {
        self.note(Key::Object(key.clone()));
        self.resources.object(key)?.route()
    }

    fn slices_of(&self, service: &NamespacedName) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        self.members(Group::SlicesOf(service.clone()))
    }

    fn slices_of_x_backend(&self, backend: &NamespacedName) -> impl Iterator<Item = &Arc<EndpointSlice>> {
        self.members(Group::SlicesOfXBackend(backend.clone()))
    }

    fn tls_policies_of(&self, service: &NamespacedName) -> impl Iterator<Item = &Arc<BackendTlsPolicy>> {
        self.members(Group::TlsPoliciesOf(service.clone()))
    }

    fn listener_sets_of(&self, gateway: &GatewayKey) -> impl Iterator<Item = &Arc<ListenerSet>> {
        self.members(Group::ListenerSetsOf(gateway.clone()))
    }

    fn objects_in<T: Typed>(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>> {
        self.members(Group::InNamespace(T::KIND, namespace.into()))
    }

    fn permits(&self, from: &Party, to: &Party, name: &str) -> bool {
        if from.namespace == to.namespace {
            return true;
        }
        let mut grants = self.objects_in::<ReferenceGrant>(&to.namespace);
        grants.any(|grant| reference_grant::permits(grant, from, to, name))
    }

    fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        self.note(Key::Labels(namespace.to_owned()));
        let object = self.resources.get::<Namespace>(&NamespacedName::new("", namespace));
        let mut labels = object.and_then(|object| object.metadata.labels.clone()).unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }

    fn has_peers(&self) -> bool {
        self.note(Key::Peers);
        self.resources.of_type::<GatewayClass>().any(|class| class::is_of_a_peer(class))
    }

    // --- Units ---

    fn class(&self, name: &str) -> Option<Arc<ClassFace>> {
        self.unit(Key::Class(name.to_owned()))
    }

    fn classes(&self) -> Arc<Vec<String>> {
        self.unit(Key::Classes).unwrap_or_default()
    }

    fn certificate(&self, secret: &NamespacedName) -> Option<Arc<CertificateValue>> {
        self.unit(Key::Certificate(secret.clone()))
    }

    fn authorities(&self, map: &NamespacedName) -> Option<Arc<AuthoritiesValue>> {
        self.unit(Key::Authorities(map.clone()))
    }

    fn client_key(&self, key: &NamespacedName) -> Option<Arc<KeyFace>> {
        self.unit(Key::Client(key.clone()))
    }

    fn claim_set(&self, namespace: &str) -> Option<Arc<ClaimSet>> {
        self.unit(Key::Claims(namespace.to_owned()))
    }

    fn gateway(&self, key: &GatewayKey) -> Option<Arc<GatewayFace>> {
        self.unit(Key::Gateway(key.clone()))
    }

    fn gateways(&self) -> Vec<(GatewayKey, Arc<GatewayFace>)> {
        let gateways = self.index.gateways.iter();
        gateways.filter_map(|key| Some((key.clone(), self.gateway(key)?))).collect()
    }

    fn address_plan(&self) -> Option<Arc<AddressPlan>> {
        AddressPlan::is_needed(self.settings).then(|| self.unit(Key::AddressPlan))?
    }

    fn placement(&self, key: &GatewayKey) -> Option<Arc<Placed>> {
        self.unit(Key::Placement(key.clone()))
    }

    fn backend(&self, key: &BackendKey) -> Option<Arc<BackendValue>> {
        self.unit(Key::Backend(key.clone()))
    }

    fn backend_face(&self, key: &BackendKey) -> Result<BackendFace, Rejection> {
        match self.unit::<Result<BackendFace, Rejection>>(Key::BackendFace(key.clone())) {
            Some(face) => Result::clone(&face),
            // Not evaluated yet: whatever comes of this is discarded.
            None => Err(Rejection::new(Reason::Pending, "is not known yet")),
        }
    }

    fn route(&self, key: &RouteKey) -> Option<Arc<TranslatedRoute>> {
        self.unit(Key::Route(key.clone()))
    }

    fn served(&self, key: &RouteKey) -> Option<Arc<RouteVersion>> {
        self.unit(Key::Served(key.clone()))
    }

    fn port(&self, gateway: &GatewayKey, port: u16) -> Option<Arc<PortValue>> {
        self.unit(Key::Port(gateway.clone(), port))
    }

    fn host(&self, key: &Arc<HostKey>) -> Option<Arc<HostFace>> {
        self.unit(Key::Host(key.clone()))
    }

    fn is_ours(&self, key: &GatewayKey) -> bool {
        self.unit::<IsOurs>(Key::IsOurs(key.clone())).is_some()
    }

    fn policy(&self, key: &ObjectKey) -> Option<Arc<PolicyFace>> {
        self.unit(Key::Policy(key.clone()))
    }

    // --- What is known across units; whoever asks is told by the engine when it changes ---

    fn routes_at(
        &self,
        gateway: &GatewayKey,
        table: &Arc<RouteTableId>,
        hostname: &Hostname,
    ) -> impl Iterator<Item = (&RouteKey, &Arc<str>)> {
        self.index.routes_at(&(gateway.clone(), table.clone()), hostname)
    }

    fn l4_routes(&self, gateway: &GatewayKey, listener: &Arc<str>) -> Vec<(Hostname, RouteKey)> {
        self.index.l4_routes(gateway, listener)
    }

    fn attached_routes(&self, gateway: &GatewayKey, listener: &str) -> i32 {
        let count = self.index.attached.get(gateway).map(|counts| counts.get(&listener.into()));
        i32::try_from(count.unwrap_or_default()).unwrap_or(i32::MAX)
    }

    fn are_parameters_named(&self, key: &ObjectKey) -> bool {
        self.index.parameters.get(key) > 0
    }

    fn policies_at(&self, target: &ObjectKey) -> BTreeSet<PolicyAt> {
        self.resources.policies_at(target)
    }

    fn targets_of(&self, policy: &ObjectKey) -> BTreeSet<ObjectKey> {
        self.resources.object(policy).map(|object| self.resources.targets_of(object)).unwrap_or_default()
    }

    fn policy_facts(&self, policy: &ObjectKey) -> Vec<(GatewayKey, PolicyEffect)> {
        self.index.policy_facts(policy)
    }

    fn gateways_naming(&self, object: &ObjectKey) -> Vec<GatewayKey> {
        let gateways = self.index.naming.get(object);
        gateways.iter().flat_map(|gateways| gateways.keys()).cloned().collect()
    }

    fn backends_named_in(&self, kind: Kind, namespace: &str) -> Vec<(ObjectKey, Vec<GatewayKey>)> {
        let first = ObjectKey { kind, name: NamespacedName::new(namespace, "") };
        let found = self.index.naming.range(first..);
        let found = found.take_while(|(key, _)| key.kind == kind && *key.name.namespace == *namespace);
        found.map(|(key, gateways)| (key.clone(), gateways.keys().cloned().collect())).collect()
    }

    fn is_named(&self, key: &BackendKey) -> bool {
        self.index.named.get(key) > 0
    }
}
