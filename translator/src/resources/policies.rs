//! Which policies apply to an object, and to which objects a policy applies.

use std::collections::{BTreeMap, BTreeSet};

use crds::policy::{Target, TargetName};
use crds::{Kind, NamespacedName, Object, ObjectKey};

use super::{Group, Resources, as_policy};

/// A policy that applies to an object, or to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PolicyAt {
    /// The policy.
    pub policy: ObjectKey,
    /// The listener or the rule; the whole object if absent.
    pub section: Option<String>,
}

impl Resources {
    /// The policies that apply to a Gateway or an HTTPRoute, or to a part of it; sorted, each once per part.
    pub(crate) fn policies_at(&self, target: &ObjectKey) -> BTreeSet<PolicyAt> {
        let named = self.index.members(&Group::PoliciesOf(target.clone()));
        let selecting = Group::PoliciesSelecting(target.kind, (&*target.name.namespace).into());
        let selecting = self.index.members(&selecting);
        let candidates = named.into_iter().chain(selecting).flatten();
        let found = candidates.flat_map(|key| {
            let policy = self.objects.get(key).and_then(as_policy);
            let targets = policy.map(|policy| policy.targets()).unwrap_or_default().into_iter().flatten();
            let meant = targets.filter(|meant| self.is_meant(meant, target));
            meant.map(|meant| PolicyAt { policy: key.clone(), section: meant.section })
        });
        found.collect()
    }

    /// The Gateways and HTTPRoutes that exist and that a policy applies to, or to a part of which.
    pub(crate) fn targets_of(&self, policy: &Object) -> BTreeSet<ObjectKey> {
        let namespace = policy.key().name.namespace;
        let targets = as_policy(policy).map(|policy| policy.targets()).unwrap_or_default();
        let mut found = BTreeSet::new();
        for target in targets.into_iter().flatten() {
            let kind = target.kind;
            let name = match &target.name {
                TargetName::Name(name) => name,
                TargetName::Labels(_) => "",
            };
            let first = ObjectKey { kind, name: NamespacedName::new(&namespace, name) };
            let of_namespace = self
                .objects
                .range(first..)
                .map(|(key, _)| key)
                .take_while(|key| key.kind == kind && key.name.namespace == namespace);
            let candidates = of_namespace.take(if name.is_empty() { usize::MAX } else { 1 });
            found.extend(candidates.filter(|key| self.is_meant(&target, key)).cloned());
        }
        found
    }

    /// The policies that select Gateways of a namespace by their labels.
    pub(crate) fn policies_selecting_gateways(&self, namespace: &str) -> impl Iterator<Item = &ObjectKey> {
        let group = Group::PoliciesSelecting(Kind::Gateway, namespace.into());
        self.index.members(&group).into_iter().flatten()
    }

    /// Whether a target of a policy in the namespace of an object means that object.
    fn is_meant(&self, target: &Target, object: &ObjectKey) -> bool {
        target.kind == object.kind
            && match &target.name {
                TargetName::Name(name) => **name == *object.name.name,
                TargetName::Labels(wanted) => self.objects.get(object).is_some_and(|object| {
                    let labels = object.metadata().labels();
                    has_labels(labels, wanted)
                }),
            }
    }
}

pub(crate) fn has_labels(
    labels: Option<&BTreeMap<String, String>>,
    wanted: &BTreeMap<String, String>,
) -> bool {
    wanted.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
}
