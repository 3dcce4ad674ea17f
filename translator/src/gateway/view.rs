//! What stages look things up in. The engine, which implements it, notes what was looked at and evaluates a stage anew
//! when that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crds::core::EndpointSlice;
use crds::gateway_api::{BackendTlsPolicy, ListenerSet};
use crds::{Kind, NamespacedName, ObjectKey, RouteParts, Typed};
use ir::{ClaimSet, Hostname, RouteTableId, Trust};

use super::address::AddressPlan;
use super::facts::{
    AuthoritiesValue, BackendFace, BackendValue, CertificateValue, ClassFace, GatewayFace, HostFace, KeyFace,
    Placed, PolicyEffect, PolicyFace, PortValue, RouteVersion, TranslatedRoute,
};
use crate::Settings;
use crate::gateway::facts::{BackendKey, GatewayKey, HostKey, RouteKey};
use crate::reference_grant::Party;
use crate::resources::PolicyAt;
use crate::status::{Reason, Rejection};

/// The inputs, and what other stages have come to.
pub(crate) trait View {
    // --- Inputs ---

    /// The settings. They change as a whole, and everything is evaluated anew then; but for [`View::trust`].
    fn settings(&self) -> &Settings;

    /// Who may have signed the certificates of backends that say nothing else.
    fn trust(&self) -> &Trust;

    /// An object.
    fn object<T: Typed>(&self, name: &NamespacedName) -> Option<&Arc<T>>;

    /// What routes of all kinds have in common.
    fn route_object(&self, key: &RouteKey) -> Option<RouteParts<'_>>;

    /// The EndpointSlices of a Service, sorted by name.
    fn slices_of(&self, service: &NamespacedName) -> impl Iterator<Item = &Arc<EndpointSlice>>;

    /// The EndpointSlices of an XBackend with that label, sorted by name.
    fn slices_of_x_backend(&self, backend: &NamespacedName) -> impl Iterator<Item = &Arc<EndpointSlice>>;

    /// The BackendTLSPolicies of a Service, sorted by name.
    fn tls_policies_of(&self, service: &NamespacedName) -> impl Iterator<Item = &Arc<BackendTlsPolicy>>;

    /// The ListenerSets that name a Gateway as their parent, sorted by name.
    fn listener_sets_of(&self, gateway: &GatewayKey) -> impl Iterator<Item = &Arc<ListenerSet>>;

    /// The objects of a type in a namespace, sorted by name: of the types that
    /// [`Group::InNamespace`](crate::resources::Group::InNamespace) has.
    fn objects_in<T: Typed>(&self, namespace: &str) -> impl Iterator<Item = &Arc<T>>;

    /// Whether `from` may refer to `to` of that name: within one namespace always, else by a ReferenceGrant.
    fn permits(&self, from: &Party, to: &Party, name: &str) -> bool;

    /// The same for one object.
    ///
    /// # Errors
    /// It may not, with words that do not tell whether there is such an object.
    fn permitted(&self, from: &Party, to: &Party, name: &str) -> Result<(), Rejection> {
        if self.permits(from, to, name) {
            return Ok(());
        }
        let message = format!(
            "{} {}/{name} is in another namespace, and no ReferenceGrant there permits {} from {}",
            to.kind, to.namespace, from.kind, from.namespace
        );
        Err(Rejection::new(Reason::RefNotPermitted, message))
    }

    /// The labels of a namespace. Its name is always one of them, as Kubernetes does it, also
    /// where nobody wrote a Namespace object (standalone mode).
    fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String>;

    /// Whether a controller that also serves Backends and Upstreams has a GatewayClass here.
    fn has_peers(&self) -> bool;

    // --- What other stages have come to ---

    /// A class, if it is ours.
    fn class(&self, name: &str) -> Option<Arc<ClassFace>>;

    /// The names of the classes that are ours.
    fn classes(&self) -> Arc<Vec<String>>;

    /// The certificate in a Secret; `None` if there is no such Secret.
    fn certificate(&self, secret: &NamespacedName) -> Option<Arc<CertificateValue>>;

    /// The certificate authorities in a ConfigMap; `None` if there is no such ConfigMap.
    fn authorities(&self, map: &NamespacedName) -> Option<Arc<AuthoritiesValue>>;

    /// A virtual key; `None` if there is no such object.
    fn client_key(&self, key: &NamespacedName) -> Option<Arc<KeyFace>>;

    /// The budgets over claims of a namespace; `None` if there are none.
    fn claim_set(&self, namespace: &str) -> Option<Arc<ClaimSet>>;

    /// A Gateway, if it is ours.
    fn gateway(&self, key: &GatewayKey) -> Option<Arc<GatewayFace>>;

    /// Every Gateway of ours. Whoever asks is evaluated anew when there is another one.
    fn gateways(&self) -> Vec<(GatewayKey, Arc<GatewayFace>)>;

    /// Who has which address, where Gateways share them.
    fn address_plan(&self) -> Option<Arc<AddressPlan>>;

    /// A Gateway of ours with its addresses.
    fn placement(&self, key: &GatewayKey) -> Option<Arc<Placed>>;

    /// A backend; `None` if there is no such object.
    fn backend(&self, key: &BackendKey) -> Option<Arc<BackendValue>>;

    /// What of a backend a route may know.
    fn backend_face(&self, key: &BackendKey) -> Result<BackendFace, Rejection>;

    /// A route, if it is ours.
    fn route(&self, key: &RouteKey) -> Option<Arc<TranslatedRoute>>;

    /// The version of a route that is served.
    fn served(&self, key: &RouteKey) -> Option<Arc<RouteVersion>>;

    /// A port of a Gateway, if something is served there.
    fn port(&self, gateway: &GatewayKey, port: u16) -> Option<Arc<PortValue>>;

    /// A virtual host, if it exists.
    fn host(&self, key: &Arc<HostKey>) -> Option<Arc<HostFace>>;

    /// Whether a Gateway is ours.
    fn is_ours(&self, key: &GatewayKey) -> bool;

    /// What of a policy routes and listeners may know; `None` if there is no such object.
    fn policy(&self, key: &ObjectKey) -> Option<Arc<PolicyFace>>;

    // --- What is known across stages; whoever asks is told by the engine when it changes ---

    /// The routes that are served under exactly this hostname, each with its listener; one may stand there several
    /// times.
    fn routes_at(
        &self,
        gateway: &GatewayKey,
        table: &Arc<RouteTableId>,
        hostname: &Hostname,
    ) -> impl Iterator<Item = (&RouteKey, &Arc<str>)>;

    /// The routes of connections or datagrams that a listener serves: for each hostname the one that goes before the others.
    fn l4_routes(&self, gateway: &GatewayKey, listener: &Arc<str>) -> Vec<(Hostname, RouteKey)>;

    /// How many routes count as attached to a listener.
    fn attached_routes(&self, gateway: &GatewayKey, listener: &str) -> i32;

    /// Whether a class or a Gateway of ours names parameters.
    fn are_parameters_named(&self, key: &ObjectKey) -> bool;

    /// The policies that name a Gateway or an HTTPRoute, or a part of it, or select it.
    fn policies_at(&self, target: &ObjectKey) -> BTreeSet<PolicyAt>;

    /// The objects that a policy names or selects, as far as they exist.
    fn targets_of(&self, policy: &ObjectKey) -> BTreeSet<ObjectKey>;

    /// What routes tell about a policy.
    fn policy_facts(&self, policy: &ObjectKey) -> Vec<(GatewayKey, PolicyEffect)>;

    /// The Gateways with routes that name a Service, a Backend or an XBackend.
    fn gateways_naming(&self, object: &ObjectKey) -> Vec<GatewayKey>;

    /// The Services, Backends or XBackends of a namespace that routes of Gateways name, whether they exist or not.
    fn backends_named_in(&self, kind: Kind, namespace: &str) -> Vec<(ObjectKey, Vec<GatewayKey>)>;

    /// Whether a route of ours names a backend.
    fn is_named(&self, key: &BackendKey) -> bool;
}
