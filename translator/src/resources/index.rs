//! Groups of objects that are looked up together, kept up to date as objects come and go.

use std::collections::{BTreeMap, BTreeSet};

use crds::gateway_api::listener_set;
use crds::policy::{Policy, TargetName};
use crds::{Kind, NamespacedName, Object, ObjectKey};
use ir::X_BACKEND_LABEL;

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// What objects are looked up by, other than their own name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Group {
    /// The EndpointSlices of a Service.
    SlicesOf(NamespacedName),
    /// The EndpointSlices of an XBackend, by their namespace and the value of the label.
    SlicesOfXBackend(NamespacedName),
    /// The objects of a kind in a namespace: ReferenceGrants, Secrets, VirtualKeys, Budgets and BackendConfigPolicies.
    InNamespace(Kind, Box<str>),
    /// The ListenerSets that name a Gateway as their parent.
    ListenerSetsOf(NamespacedName),
    /// The policies that name an object as their target.
    PoliciesOf(ObjectKey),
    /// The BackendTLSPolicies of a Service.
    TlsPoliciesOf(NamespacedName),
    /// The policies in a namespace that select objects of a kind by their labels.
    PoliciesSelecting(Kind, Box<str>),
}

/// The groups that an object belongs to.
pub(crate) fn groups(object: &Object) -> Vec<Group> {
    match object {
        Object::EndpointSlice(slice) => {
            let labels = slice.metadata.labels.as_ref();
            let namespace = slice.metadata.namespace.as_deref().unwrap_or_default();
            let named = |label| Some(NamespacedName::new(namespace, labels?.get(label)?));
            let service = named(SERVICE_NAME_LABEL).map(Group::SlicesOf);
            service.into_iter().chain(named(X_BACKEND_LABEL).map(Group::SlicesOfXBackend)).collect()
        }
        Object::BackendTlsPolicy(policy) => {
            let namespace = policy.metadata.namespace.as_deref().unwrap_or_default();
            let targets = policy.spec.target_refs.iter();
            let services = targets.filter(|target| target.group.is_empty() && target.kind == "Service");
            let services = services.map(|target| NamespacedName::new(namespace, &target.name));
            services.collect::<BTreeSet<_>>().into_iter().map(Group::TlsPoliciesOf).collect()
        }
        Object::ReferenceGrant(_)
        | Object::Secret(_)
        | Object::VirtualKey(_)
        | Object::Budget(_)
        | Object::BackendConfigPolicy(_)
        | Object::PriceList(_) => {
            let namespace = object.metadata().namespace().unwrap_or_default();
            vec![Group::InNamespace(object.kind(), namespace.into())]
        }
        Object::ListenerSet(set) => {
            listener_set::gateway(set).map(Group::ListenerSetsOf).into_iter().collect()
        }
        _ => as_policy(object).map_or_else(Vec::new, |policy| groups_of_policy(&object.key(), policy)),
    }
}

/// The object, if it is a policy.
pub(crate) fn as_policy(object: &Object) -> Option<&dyn Policy> {
    match object {
        Object::TrafficPolicy(policy) => Some(&**policy),
        Object::RouteOption(option) => Some(&**option),
        Object::HttpListenerOption(option) => Some(&**option),
        Object::HttpListenerPolicy(policy) => Some(&**policy),
        Object::ListenerOption(option) => Some(&**option),
        Object::VirtualHostOption(option) => Some(&**option),
        _ => None,
    }
}

fn groups_of_policy(key: &ObjectKey, policy: &dyn Policy) -> Vec<Group> {
    let namespace = &key.name.namespace;
    let targets = policy.targets().into_iter().flatten().map(|target| match target.name {
        TargetName::Name(name) => {
            Group::PoliciesOf(ObjectKey { kind: target.kind, name: NamespacedName::new(namespace, name) })
        }
        TargetName::Labels(_) => Group::PoliciesSelecting(target.kind, (&**namespace).into()),
    });
    targets.collect()
}

/// The members of every group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    members: BTreeMap<Group, BTreeSet<ObjectKey>>,
}

impl Index {
    /// Notes an object in its groups.
    pub(crate) fn put(&mut self, key: &ObjectKey, object: &Object) {
        for group in groups(object) {
            self.members.entry(group).or_default().insert(key.clone());
        }
    }

    /// Takes an object out of groups. A group without members is forgotten.
    pub(crate) fn take(&mut self, key: &ObjectKey, groups: impl Iterator<Item = Group>) {
        for group in groups {
            let Some(members) = self.members.get_mut(&group) else { continue };
            members.remove(key);
            if members.is_empty() {
                self.members.remove(&group);
            }
        }
    }

    /// The members of a group; `None` if there is none.
    pub(crate) fn members(&self, group: &Group) -> Option<&BTreeSet<ObjectKey>> {
        self.members.get(group)
    }
}
