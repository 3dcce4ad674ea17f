//! What stands in the cluster and is no longer wanted. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ir::GatewayName;

use super::object::{ObjectKey, Observed};

/// The objects to delete, the Deployment first.
///
/// Only objects that a Gateway owns. Those of a Gateway that is `unserved` stay: a mistake in an edit must
/// not end what serves. Those of a Gateway that is not there any more are being removed by the cluster
/// itself; to delete them as well does no harm, and removes what a Gateway of another class has left.
pub(super) fn unwanted(
    observed: &BTreeMap<ObjectKey, Observed>,
    wanted: &BTreeSet<&ObjectKey>,
    unserved: &BTreeSet<GatewayName>,
) -> Vec<(ObjectKey, String)> {
    let unwanted = observed.iter().rev().filter(|(key, observed)| {
        let Some(gateway) = &observed.gateway else { return false };
        !wanted.contains(*key) && !unserved.contains(gateway)
    });
    unwanted.map(|(key, observed)| (key.clone(), observed.uid.clone())).collect()
}
