//! The images that every cluster can use, made from the programs on this machine when first wanted.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::error::{Error, Result};
use crate::image::Image;
use crate::tools::{Tools, workspace_root};

/// What holds the namespaces of every pod.
pub(crate) const PAUSE: &str = "pause:one-node";

/// The cluster's DNS server.
pub(crate) const COREDNS: &str = "coredns:one-node";

/// The stock Envoy of `.envoy-version`.
pub const ENVOY: &str =
    concat!("envoyproxy/envoy:distroless-v", include_str!("../../../.envoy-version")).trim_ascii();

/// The echo server of the Gateway API conformance suite; listens on `HTTP_PORT` (3000).
pub const ECHO: &str = "echo-basic:one-node";

/// Certificates of public authorities, which the stock Envoy image holds, too.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Names another Envoy than the one that `make envoy` installs.
const ENVOY_VARIABLE: &str = "CHANCERY_ENVOY";

/// The tarball of [`PAUSE`].
pub(crate) fn pause(tools: &Tools) -> Result<PathBuf> {
    cached(tools, Image::new(PAUSE), &tools.program("pause"))
}

/// The tarball of [`COREDNS`].
pub(crate) fn coredns(tools: &Tools) -> Result<PathBuf> {
    cached(tools, Image::new(COREDNS), &tools.program("coredns"))
}

/// The tarball of [`ECHO`].
///
/// # Errors
/// It cannot be written.
pub fn echo(tools: &Tools) -> Result<PathBuf> {
    cached(tools, Image::new(ECHO), &tools.program("echo-basic"))
}

/// The tarball of an image of the Gateway API conformance suite, under the name that the suite's manifests give it:
/// its echo server, or CoreDNS.
///
/// # Errors
/// It is another image, or it cannot be written.
pub fn of_suite(tools: &Tools, name: &str) -> Result<PathBuf> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let image = Image::new(name);
    match last.split(':').next() {
        Some("echo-basic") => cached(tools, image, &tools.program("echo-basic")),
        // Root: in the suite's image the program has the capability to listen on port 53, which a file of ours has not.
        Some("coredns") => cached(tools, image.user("0:0"), &tools.program("coredns")),
        _ => Err(Error::Unexpected(format!("nothing here stands in for the suite's image {name}"))),
    }
}

/// The tarball of [`ENVOY`]: the binary that `CHANCERY_ENVOY` names, or that of `make envoy`.
///
/// # Errors
/// There is no Envoy, or the tarball cannot be written.
pub fn envoy(tools: &Tools) -> Result<PathBuf> {
    let installed = || workspace_root().join(".tools/bin/envoy");
    let program = env::var_os(ENVOY_VARIABLE).map_or_else(installed, PathBuf::from);
    if !program.is_file() {
        return Err(Error::Missing { what: "the stock Envoy".to_owned(), remedy: "run `make envoy`" });
    }
    let mut image = Image::new(ENVOY).arguments(&["-c", "/etc/envoy/envoy.yaml"]);
    if Path::new(AUTHORITIES).is_file() {
        image = image.file(AUTHORITIES, AUTHORITIES);
    }
    cached(tools, image, &program)
}

/// The tarball of `image` with `program` added; written anew when the program, or this code, is newer.
fn cached(tools: &Tools, image: Image, program: &Path) -> Result<PathBuf> {
    let name = image.name();
    let file = name.rsplit('/').next().unwrap_or(name).replace(':', "-");
    let target = tools.images().join(format!("{file}.tar"));
    let code = env::current_exe().ok();
    let newest_source = [Some(program), code.as_deref()].into_iter().flatten().filter_map(modified).max();
    if modified(&target) <= newest_source {
        image.program(program).write(&target)?;
    }
    Ok(target)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
