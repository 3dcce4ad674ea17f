//! What proxies refuse, as facts: which resource, in whose words, and whose objects it comes from.

use std::collections::{BTreeMap, BTreeSet};

use crds::ObjectRef;
use ir::GatewayName;
use serde::{Deserialize, Serialize};

/// What proxies of each Gateway refuse at this time. None of it is secret.
pub type Refusals = BTreeMap<GatewayName, BTreeSet<Refusal>>;

/// Something that proxies of a Gateway refuse.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Refusal {
    /// The kind of resource, such as `route`.
    pub kind: String,
    /// The resource's name.
    pub name: String,
    /// The objects that it comes from, as far as they are known; empty if only the Gateway is.
    pub objects: BTreeSet<ObjectRef>,
    /// What becomes of it, and the proxy's words.
    pub message: String,
    /// Whether it waits for something outside, such as a port, and is tried again until it has that.
    #[serde(default)]
    pub is_retried: bool,
}

/// Adds what another replica heard to what we did.
pub fn merge(ours: &mut Refusals, theirs: &Refusals) {
    for (gateway, refusals) in theirs {
        ours.entry(gateway.clone()).or_default().extend(refusals.iter().cloned());
    }
}
