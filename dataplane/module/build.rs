//! Links the unwinder into the module.
//!
//! Rust's standard library asks for `libgcc_s.so.1`, which Envoy's distroless image does not have: there, the module
//! could not be loaded. GCC ships the same code as an archive. A linker script of the library's name, in a folder that
//! is searched first, leads to it.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| env::var(variable).is_ok_and(|actual| actual == value);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        let folder = env::var("OUT_DIR").map_err(io::Error::other)?;
        fs::write(Path::new(&folder).join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n")?;
        println!("cargo::rustc-link-search=native={folder}");
    }
    Ok(())
}
