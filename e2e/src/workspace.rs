//! Where the checkout is.

use std::path::{Path, PathBuf};

/// The folder of the workspace's `Cargo.toml`: the one above this crate's.
pub fn workspace_root() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}
