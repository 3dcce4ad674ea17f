//! Takes the protobuf descriptors of Envoy's API out of an Envoy binary.
//!
//! ```text
//! extract-descriptors ENVOY [DIRECTORY]
//! ```
//!
//! Protobuf's C++ runtime embeds every compiled `.proto` file as an encoded `FileDescriptorProto`, so the
//! binary itself says which messages, fields and annotations it understands. This tool finds them, keeps
//! those of Envoy's API and what they import, and writes to DIRECTORY (default: `proto/descriptors`)
//! a gzipped `FileDescriptorSet` in a deterministic order and the version that the binary reports.

mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use prost::encoding::{WireType, encode_key, encode_varint};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Where the files of the API live; what they import comes along.
const ROOTS: [&str; 3] = ["envoy/", "udpa/", "xds/"];

fn main() -> ExitCode {
    closed_pipe::end_quietly();
    let mut args = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(envoy), directory, None) = (args.next(), args.next(), args.next()) else {
        eprintln!("usage: extract-descriptors ENVOY [DIRECTORY]");
        return ExitCode::from(2);
    };
    let directory = directory.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("descriptors"));
    match run(&envoy, &directory) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(envoy: &Path, directory: &Path) -> Result<String> {
    let version = version(envoy)?;
    let binary = std::fs::read(envoy).map_err(|e| format!("cannot read {}: {e}", envoy.display()))?;
    let found = scan::files(&binary)?;
    let names = closure(&found)?;
    let set = encode_set(names.iter().filter_map(|name| found.get(*name)).map(|file| file.bytes));
    let packed = gzip(&set)?;
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join("envoy.binpb.gz"), &packed)?;
    std::fs::write(directory.join("VERSION"), format!("{version}\n"))?;
    Ok(format!(
        "Envoy {version}: {} of {} embedded files, {} bytes, {} gzipped",
        names.len(),
        found.len(),
        set.len(),
        packed.len()
    ))
}

/// The version that the binary reports, for example `1.40.0`.
fn version(envoy: &Path) -> Result<String> {
    let output = Command::new(envoy)
        .arg("--version")
        .output()
        .map_err(|e| format!("cannot run {}: {e}", envoy.display()))?;
    // `envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL`
    let text = String::from_utf8_lossy(&output.stdout);
    text.split_once("version: ")
        .and_then(|(_, build)| build.split('/').nth(1))
        .map(str::to_owned)
        .ok_or_else(|| format!("`{} --version` says {text:?}", envoy.display()).into())
}

/// The names of the API's files and all that they import, every file after its imports.
fn closure<'a>(found: &'a BTreeMap<String, scan::File<'_>>) -> Result<Vec<&'a str>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for name in found.keys().filter(|name| ROOTS.iter().any(|root| name.starts_with(root))) {
        visit(name, found, &mut seen, &mut order)?;
    }
    if order.is_empty() {
        return Err("no descriptor of Envoy's API in this file".into());
    }
    Ok(order)
}

fn visit<'a>(
    name: &str,
    found: &'a BTreeMap<String, scan::File<'_>>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a str>,
) -> Result<()> {
    let (name, file) =
        found.get_key_value(name).ok_or_else(|| format!("{name} is imported but not embedded"))?;
    if seen.insert(name) {
        for import in &file.descriptor.dependency {
            visit(import, found, seen, order)?;
        }
        order.push(name);
    }
    Ok(())
}

/// Encodes a `FileDescriptorSet` from encoded files.
///
/// By hand, because a decoded `FileDescriptorProto` has lost the annotations, which are extensions.
fn encode_set<'a>(files: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    const FILE: u32 = 1;
    let mut set = Vec::new();
    for file in files {
        encode_key(FILE, WireType::LengthDelimited, &mut set);
        encode_varint(file.len() as u64, &mut set);
        set.extend_from_slice(file);
    }
    set
}

/// Gzips without name and time, so that equal input gives equal output.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}
