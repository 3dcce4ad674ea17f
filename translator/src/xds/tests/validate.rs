//! The real Envoy's opinion of the sample. Its binary is the one that `make envoy` installs, or that `CHANCERY_ENVOY`
//! names.

use std::path::{Path, PathBuf};
use std::process::Command;

use prost::Message as _;

use super::build_sample;
use crate::xds::to_static_bootstrap;

#[test]
fn the_real_envoy_accepts_the_sample() {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/envoy");
    let envoy = std::env::var_os("CHANCERY_ENVOY").map_or(installed, PathBuf::from);
    assert!(envoy.is_file(), "{} is not there: run `make envoy`", envoy.display());
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("bootstrap.pb");
    std::fs::write(&config, to_static_bootstrap(&build_sample()).encode_to_vec()).unwrap();
    let output =
        Command::new(envoy).args(["--mode", "validate", "--config-path"]).arg(&config).output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("deprecated"), "{log}");
}
