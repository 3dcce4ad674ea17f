//! The cluster's DNS server.

use crate::{images, node};

/// The manifest with places to fill in.
const MANIFEST: &str = include_str!("coredns.yaml");

/// The objects of a DNS server that answers each (name, target) of `aliases` with the target's addresses.
pub(crate) fn manifest(aliases: &[(String, String)]) -> String {
    let rewrite =
        |(name, target): &(String, String)| format!("rewrite name exact {name} {target} answer auto");
    let rewrites = aliases.iter().map(rewrite).collect::<Vec<_>>().join("\n      ");
    MANIFEST
        .replace("@IMAGE@", images::COREDNS)
        .replace("@ADDRESS@", node::DNS_ADDRESS)
        .replace("@ALIASES@", &rewrites)
}
