//! Several policies become one, field by field: each field is that of the most specific policy that has it.

use std::collections::BTreeMap;

use crds::ObjectKey;

use crate::gateway::facts::PolicyEffect;

/// Which policy each field is taken from, and what there is to tell about that.
///
/// Policies are asked in their order, the most specific first.
#[derive(Debug)]
pub(super) struct Merge {
    /// What stands before the fields' names.
    prefix: &'static str,
    /// The object that each field is taken from.
    winners: BTreeMap<String, ObjectKey>,
    /// The winners that are no policies.
    foreign: Vec<ObjectKey>,
    effects: Vec<(ObjectKey, PolicyEffect)>,
}

impl Merge {
    /// Fields below the member `prefix` of `spec`, which ends in a dot, or of `spec` itself.
    pub(super) fn of(prefix: &'static str) -> Self {
        Self { prefix, winners: BTreeMap::new(), foreign: Vec::new(), effects: Vec::new() }
    }

    /// Has a field yield to an object that is no policy and says the same thing itself.
    pub(super) fn yield_to(&mut self, object: &ObjectKey, field: &str) {
        self.winners.insert(field.to_owned(), object.clone());
        self.foreign.push(object.clone());
    }

    /// Whether a field that a policy has is taken from it.
    pub(super) fn wins(&mut self, policy: &ObjectKey, field: &str) -> bool {
        let by = self.winners.entry(field.to_owned()).or_insert_with(|| policy.clone());
        let is_first = by == policy;
        if !is_first {
            let field = format!("{}{field}", self.prefix).into();
            self.effects.push((policy.clone(), PolicyEffect::Overridden { field, by: by.clone() }));
        }
        is_first
    }

    /// Takes a field from a policy, if the policy has it and wins.
    pub(super) fn take<T: Clone>(
        &mut self,
        policy: &ObjectKey,
        field: &str,
        from: &Option<T>,
        to: &mut Option<T>,
    ) {
        if from.is_some() && self.wins(policy, field) {
            to.clone_from(from);
        }
    }

    /// What there is to tell about each policy.
    pub(super) fn effects(self) -> Vec<(ObjectKey, PolicyEffect)> {
        let Self { winners, foreign, mut effects, .. } = self;
        let mut keys: Vec<_> = winners.values().filter(|key| !foreign.contains(key)).collect();
        keys.sort();
        keys.dedup();
        for own in &keys {
            let others = keys.iter().filter(|other| *other != own);
            let merged = others.map(|other| PolicyEffect::MergedWith(ObjectKey::clone(other)));
            let told = merged.chain([PolicyEffect::InEffect]);
            effects.extend(told.map(|effect| (ObjectKey::clone(own), effect)));
        }
        effects
    }
}
