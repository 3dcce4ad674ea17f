//! The seeds, as a user applies them.

use std::fs;

use crate::{World, restricted_namespace, workspace};

/// The key that the seeds' secrets hold.
pub const KEY: &str = "canary-4f1c9d27a8";

/// Applies the seed `examples/{seed}`, byte for byte but for the key, into its namespace, and waits until its
/// Gateway has an address, which is given back.
///
/// # Panics
/// The API server refuses an object, or the Gateway does not get ready.
pub fn apply_seed(world: &World, seed: &str, namespace: &str) -> String {
    let cluster = &world.cluster;
    cluster.apply(&restricted_namespace(namespace)).expect("the namespace");
    let folder = workspace().join("examples").join(seed);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("the seed").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).expect("a document").replace("$GOOGLE_KEY", KEY);
        cluster.apply(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    world.programmed("ai-gateway", namespace)
}
