//! Virtual keys: hashed, with the budgets of each, and put together to what policies ask for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use ai_config::digest_input;
use crds::core::Time;
use crds::virtual_key::{KeyDemand as Demand, KeyReference, PreviousKey, VirtualKey, VirtualKeySpec};
use crds::{NamespacedName, ObjectKey};
use ir::{ClientKey, KeyDemand, KeySet, KeySetName};
use limit_rule::Counted;
use sha2::{Digest, Sha256};

use super::backend::ai::credential;
use super::budget::{self, Applied};
use super::facts::{FaceKeys, KeyFace};
use super::view::View;
use crate::resources::has_labels;
use crate::status::{Condition, ConditionType, Detail, Facts, Reason, Rejection, Report};

/// A shorter key could be found by trying.
const SHORTEST: usize = 16;

/// More budgets of one sort a key does not have: a proxy asks for each.
const MOST_BUDGETS: usize = 8;

/// What a policy asks for. Keys that are the same are noted.
pub(super) fn required(
    view: &impl View,
    policy: &ObjectKey,
    demand: &Demand,
    notes: &mut Vec<Detail>,
) -> FaceKeys {
    let Demand::Labels(wanted) = demand else { return FaceKeys::Disabled };
    let NamespacedName { namespace, name } = &policy.name;
    let all = view.objects_in::<VirtualKey>(namespace);
    let selected = all.filter(|key| has_labels(key.metadata.labels.as_ref(), wanted));
    let names = selected.map(|key| NamespacedName::of(&key.metadata));
    let mut keys: BTreeMap<String, ClientKey> = BTreeMap::new();
    let mut budgets: BTreeMap<Counted, usize> = BTreeMap::new();
    let mut falls_back = false;
    for face in names.filter_map(|name| view.client_key(&name)) {
        for (counted, of_key) in &face.key.budgets {
            let most = budgets.entry(*counted).or_default();
            *most = of_key.len().max(*most);
            falls_back |= of_key.iter().any(|budget| !budget.fallback.is_empty());
        }
        for (hash, until) in &face.hashes {
            let expires = face.key.expires.into_iter().chain(*until).min();
            let key = ClientKey { expires, ..face.key.clone() };
            match keys.entry(hash.clone()) {
                Entry::Vacant(free) => drop(free.insert(key)),
                // The first one by name has it.
                Entry::Occupied(known) => notes.push(Detail::new(format!(
                    "VirtualKey {} has the same key as VirtualKey {}, as which it counts",
                    key.name,
                    known.get().name
                ))),
            }
        }
    }
    let kind = policy.kind.info().kind.to_ascii_lowercase();
    let set = KeySetName::of_object(&kind, namespace, name);
    let demand = KeyDemand { set: set.clone(), budgets, falls_back };
    FaceKeys::Required(demand, Arc::new(KeySet { name: set, salt: salt(namespace), keys }))
}

/// What keys of a namespace are hashed with.
fn salt(namespace: &str) -> String {
    format!("chancery.dev/{namespace}")
}

/// What is known of a key; `None` if there is no such object.
pub(crate) fn face(view: &impl View, name: &NamespacedName) -> Option<KeyFace> {
    let object = view.object::<VirtualKey>(name)?;
    let VirtualKeySpec { secret_ref, previous, models, expires } = &object.spec;
    let mut faults = Vec::new();
    let previous = previous.iter().enumerate().map(|(index, PreviousKey { secret_ref, until })| {
        (format!("spec.previous[{index}].secretRef"), secret_ref, Some(until))
    });
    let all = std::iter::once(("spec.secretRef".to_owned(), secret_ref, None)).chain(previous);
    let mut hashes = Vec::new();
    for (field, reference, until) in all {
        match hash(view, name, reference) {
            Ok(hash) => hashes.push((hash, until.map(seconds))),
            Err(rejection) => faults.push(rejection.within(&field)),
        }
    }
    let mut budgets: BTreeMap<Counted, Vec<_>> = BTreeMap::new();
    let (mut is_blocked, mut refuses_unpriced) = (false, false);
    for budget in budget::of_key(view, name, &object.metadata) {
        match budget {
            Ok(Applied { rule, refuses_unpriced: refuses }) => {
                refuses_unpriced |= refuses;
                budgets.entry(rule.counted).or_default().push(rule);
            }
            Err(rejection) => {
                is_blocked = true;
                faults.push(rejection);
            }
        }
    }
    if let Some((counted, of_key)) = budgets.iter().find(|(_, of_key)| of_key.len() > MOST_BUDGETS) {
        is_blocked = true;
        let (count, counted) = (of_key.len(), counted.name());
        let text = format!("it has {count} budgets of {counted}, and at most {MOST_BUDGETS} can be applied");
        faults.push(Rejection::new(Reason::Invalid, text));
    }
    if is_blocked {
        budgets.clear();
    }
    let expires = expires.as_ref().map(seconds);
    let (name, models) = (name.to_string(), models.clone());
    let key = ClientKey { name, models, expires, budgets, is_blocked, refuses_unpriced };
    Some(KeyFace { hashes, key, faults })
}

/// The hash of a key that a Secret holds.
fn hash(view: &impl View, name: &NamespacedName, reference: &KeyReference) -> Result<String, Rejection> {
    let object = ObjectKey::of::<VirtualKey>(name.clone());
    let secret = NamespacedName::new(&*name.namespace, &reference.name);
    let text = credential::entry(view, &object, &secret, reference.entry())?.trim();
    let refuse = |text: &str| Err(credential::invalid(&secret, text));
    if text.len() < SHORTEST {
        return refuse(&format!("a key has at least {SHORTEST} characters"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("a key has letters, digits and punctuation of ASCII alone");
    }
    let digest = Sha256::digest(digest_input(&salt(&name.namespace), text.as_bytes()));
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn seconds(Time(time): &Time) -> i64 {
    time.as_second()
}

/// What to tell about a VirtualKey.
pub(crate) fn report(view: &impl View, name: &NamespacedName) -> Option<Report> {
    let object = view.object::<VirtualKey>(name)?;
    let face = view.client_key(name)?;
    let condition = match face.faults.first() {
        None => Condition::good(ConditionType::Accepted, Reason::Accepted, "the key can be used"),
        Some(fault) => Condition::rejected(ConditionType::Accepted, fault),
    };
    Some(Report {
        object: ObjectKey::of::<VirtualKey>(name.clone()).to_ref(),
        generation: object.metadata.generation.unwrap_or_default(),
        facts: Facts::Conditions(vec![condition]),
    })
}
