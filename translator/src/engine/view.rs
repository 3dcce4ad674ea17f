//! The only way for a stage to look at anything: it notes what was looked at.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use crds::core::{EndpointSlice, Namespace};
use crds::gateway_api::GatewayClass;
use crds::{NamespacedName, ObjectKey, Typed};
use ir::{Hostname, Trust};

use super::Hold;
use super::graph::Graph;
use super::index::Index;
use super::key::{BackendKey, GatewayKey, Key, RouteKey};
use super::value::{BackendValue, IsOurs, OfValue, PortValue, RouteVersion};
use crate::gateway::address::AddressPlan;
use crate::gateway::attach::Attachment;
use crate::gateway::backend::BackendFace;
use crate::gateway::class::{self, ClassFace};
use crate::gateway::face::{GatewayFace, Placed};
use crate::gateway::host::HostFace;
use crate::gateway::http_route::TranslatedRoute;
use crate::reference_grant::{self, Party};
use crate::resources::Group;
use crate::status::{Reason, Rejection};
use crate::{Resources, Settings};

/// The inputs, and the units that were evaluated so far.
pub(crate) struct View<'a> {
    pub(super) resources: &'a Resources,
    pub(super) settings: &'a Settings,
    pub(super) graph: &'a Graph,
    pub(super) index: &'a Index,
    pub(super) holds: &'a BTreeMap<RouteKey, Hold>,
    pub(super) reads: RefCell<Vec<Key>>,
    /// Units that were looked at and never evaluated.
    pub(super) missing: RefCell<Vec<Key>>,
}

impl<'a> View<'a> {
    // --- Inputs ---

    /// The settings. They change as a whole, and everything is evaluated anew then; but for [`View::trust`].
    pub(crate) fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// Who may have signed the certificates of backends that say nothing else.
    pub(crate) fn trust(&self) -> &'a Trust {
        self.note(Key::Trust);
        &self.settings.trust
    }

    /// An object.
    pub(crate) fn object<T: Typed + 'a>(&self, name: &NamespacedName) -> Option<&'a Arc<T>> {
        self.note(Key::Object(ObjectKey::of::<T>(name.clone())));
        self.resources.get::<T>(name)
    }

    /// The EndpointSlices of a Service, sorted by name.
    pub(crate) fn slices_of(
        &self,
        service: &NamespacedName,
    ) -> impl Iterator<Item = &'a Arc<EndpointSlice>> + use<'a> {
        self.note(Key::Group(Group::SlicesOf(service.clone())));
        self.resources.slices_of(service)
    }

    /// Whether `from` may refer to `to` of that name: within one namespace always, else by a ReferenceGrant.
    pub(crate) fn permits(&self, from: &Party, to: &Party, name: &str) -> bool {
        if from.namespace == to.namespace {
            return true;
        }
        self.note(Key::Group(Group::GrantsIn(to.namespace.clone())));
        let mut grants = self.resources.grants_in(&to.namespace);
        grants.any(|grant| reference_grant::permits(grant, from, to, name))
    }

    /// The labels of a namespace. Its name is always one of them, as Kubernetes does it, also
    /// where nobody wrote a Namespace object (standalone mode).
    pub(crate) fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        self.note(Key::Labels(namespace.to_owned()));
        let object = self.resources.get::<Namespace>(&NamespacedName::new("", namespace));
        let mut labels = object.and_then(|object| object.metadata.labels.clone()).unwrap_or_default();
        labels.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
        labels
    }

    /// Whether a controller that also serves Backends and Upstreams has a GatewayClass here.
    pub(crate) fn has_peers(&self) -> bool {
        self.note(Key::Peers);
        self.resources.of_type::<GatewayClass>().any(|class| class::is_of_a_peer(class))
    }

    /// What is served instead of the newest version of a route.
    pub(super) fn hold(&self, route: &RouteKey) -> Option<&'a Hold> {
        self.holds.get(route)
    }

    // --- Units ---

    /// A class, if it is ours.
    pub(crate) fn class(&self, name: &str) -> Option<Arc<ClassFace>> {
        self.unit(Key::Class(name.to_owned()))
    }

    /// The names of the classes that are ours.
    pub(crate) fn classes(&self) -> Arc<Vec<String>> {
        self.unit(Key::Classes).unwrap_or_default()
    }

    /// A Gateway, if it is ours.
    pub(crate) fn gateway(&self, key: &GatewayKey) -> Option<Arc<GatewayFace>> {
        self.unit(Key::Gateway(key.clone()))
    }

    /// Every Gateway of ours. Whoever asks is evaluated anew when there is another one.
    pub(crate) fn gateways(&self) -> Vec<(GatewayKey, Arc<GatewayFace>)> {
        let gateways = self.index.gateways.iter();
        gateways.filter_map(|key| Some((key.clone(), self.gateway(key)?))).collect()
    }

    /// Whether a Gateway is ours.
    pub(crate) fn is_ours(&self, key: &GatewayKey) -> bool {
        self.unit::<IsOurs>(Key::IsOurs(key.clone())).is_some()
    }

    /// Who has which address, where Gateways share them.
    pub(crate) fn address_plan(&self) -> Option<Arc<AddressPlan>> {
        AddressPlan::is_needed(self.settings).then(|| self.unit(Key::AddressPlan))?
    }

    /// A Gateway of ours with its addresses.
    pub(crate) fn placement(&self, key: &GatewayKey) -> Option<Arc<Placed>> {
        self.unit(Key::Placement(key.clone()))
    }

    /// A backend; `None` if there is no such object.
    pub(crate) fn backend(&self, key: &BackendKey) -> Option<Arc<BackendValue>> {
        self.unit(Key::Backend(key.clone()))
    }

    /// What of a backend a route may know.
    pub(crate) fn backend_face(&self, key: &BackendKey) -> Result<BackendFace, Rejection> {
        match self.unit::<Result<BackendFace, Rejection>>(Key::BackendFace(key.clone())) {
            Some(face) => Result::clone(&face),
            // Not evaluated yet: whatever comes of this is discarded.
            None => Err(Rejection::new(Reason::Pending, "is not known yet")),
        }
    }

    /// A route, if it is ours.
    pub(crate) fn route(&self, key: &RouteKey) -> Option<Arc<TranslatedRoute>> {
        self.unit(Key::Route(key.clone()))
    }

    /// Where a route attaches.
    pub(super) fn attachment(&self, key: &RouteKey) -> Option<Arc<Attachment>> {
        self.unit(Key::Attachment(key.clone()))
    }

    /// The version of a route that is served.
    pub(crate) fn served(&self, key: &RouteKey) -> Option<Arc<RouteVersion>> {
        self.unit(Key::Served(key.clone()))
    }

    /// A port of a Gateway, if something is served there.
    pub(crate) fn port(&self, gateway: &GatewayKey, port: u16) -> Option<Arc<PortValue>> {
        self.unit(Key::Port(gateway.clone(), port))
    }

    /// A virtual host, if it exists.
    pub(crate) fn host(&self, gateway: &GatewayKey, port: u16, hostname: &Hostname) -> Option<Arc<HostFace>> {
        self.unit(Key::Host(gateway.clone(), port, hostname.clone()))
    }

    // --- What is known across units; whoever asks is told by the engine when it changes ---

    /// The routes that are served under exactly this hostname, each with its listener.
    pub(crate) fn routes_at(
        &self,
        gateway: &GatewayKey,
        port: u16,
        hostname: &Hostname,
    ) -> impl Iterator<Item = (&'a RouteKey, &'a String)> + use<'a> {
        self.index.routes_at(&(gateway.clone(), port), hostname)
    }

    /// How many routes count as attached to a listener.
    pub(crate) fn attached_routes(&self, gateway: &GatewayKey, listener: &str) -> i32 {
        let count = self.index.attached.get(gateway).map(|counts| counts.get(&listener.to_owned()));
        i32::try_from(count.unwrap_or_default()).unwrap_or(i32::MAX)
    }

    /// Whether a class or a Gateway of ours names parameters.
    pub(crate) fn are_parameters_named(&self, key: &ObjectKey) -> bool {
        self.index.parameters.get(key) > 0
    }

    /// Whether a route of ours names a backend.
    pub(crate) fn is_named(&self, key: &BackendKey) -> bool {
        self.index.named.get(key) > 0
    }

    fn unit<T: OfValue>(&self, key: Key) -> Option<Arc<T>> {
        if !self.graph.is_evaluated(&key) {
            self.missing.borrow_mut().push(key.clone());
        }
        let value = self.graph.value(&key).and_then(T::of).cloned();
        self.note(key);
        value
    }

    fn note(&self, key: Key) {
        self.reads.borrow_mut().push(key);
    }
}
