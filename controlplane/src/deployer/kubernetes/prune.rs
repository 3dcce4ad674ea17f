//! What stands in the cluster and is no longer wanted. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ir::GatewayName;

use super::object::{ObjectKey, Observed, Owner};

/// The objects that nobody wants, with their uids, by the Gateway that owns them; of each Gateway the Deployment
/// first.
///
/// Only objects that a Gateway owns. Those of a Gateway that is `unserved` stay: a mistake in an edit must not
/// end what serves.
pub(super) fn unwanted(
    observed: &BTreeMap<ObjectKey, Observed>,
    wanted: &BTreeSet<&ObjectKey>,
    unserved: &BTreeSet<GatewayName>,
) -> BTreeMap<Owner, Vec<(ObjectKey, String)>> {
    let mut unwanted: BTreeMap<Owner, Vec<(ObjectKey, String)>> = BTreeMap::new();
    for (key, observed) in observed.iter().rev() {
        let Some(owner) = &observed.owner else { continue };
        if !wanted.contains(key) && !unserved.contains(&owner.gateway) {
            unwanted.entry(owner.clone()).or_default().push((key.clone(), observed.uid.clone()));
        }
    }
    unwanted
}
