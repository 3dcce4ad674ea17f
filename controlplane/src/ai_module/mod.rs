//! The module of the AI engine: where it is on this machine, whether an Envoy loads it, and how proxies in a cluster
//! get it.

pub mod delivery;
mod probe;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context as _, Result, bail};
use ir::ModuleSource;
use translator::AiEngine;

use self::delivery::Module;
use crate::source::file::io_message;

/// The file's name, as Cargo builds it.
pub const FILE_NAME: &str = "libchancery_ai.so";

/// The version of the dynamic-module ABI that Envoy 1.40 has; a module says which one it is built for.
const ABI_VERSION: &[u8] = b"v0.2.0\0";

/// The first function that Envoy looks up in a module.
const ENTRY_POINT: &[u8] = b"envoy_dynamic_module_on_program_init";

/// An Envoy checks a configuration in a tenth of a second.
const CHECK_LIMIT: Duration = Duration::from_secs(10);

/// What `--ai-module` can say instead of a file.
const OFF: &str = "off";

/// Where the module stands beside this program: in the same folder, as Cargo builds it, and in `lib/chancery` beside
/// `bin`, as packages are laid out. Images have there a file for each architecture (`libchancery_ai.amd64.so`,
/// `libchancery_ai.arm64.so`), of which this program's own counts.
pub fn beside(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let installed = folder.parent().map(|prefix| prefix.join("lib/chancery"));
    let of_architecture = format!("libchancery_ai.{}.so", architecture());
    let names = [FILE_NAME, &of_architecture];
    let installed = installed.iter().flat_map(|folder| names.map(|name| folder.join(name)));
    std::iter::once(folder.join(FILE_NAME)).chain(installed).find(|candidate| candidate.is_file())
}

/// This program's architecture, as images call it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The engine of proxies on this machine: the one that `--ai-module` names, or else the one that was found.
///
/// # Errors
/// The file that is named cannot be read, or is no such module.
pub fn engine(given: Option<&Path>, found: Option<&Path>) -> Result<AiEngine> {
    let read = |path: &Path| check(path).map(|_| available(path));
    Ok(choose(given, found, read)?.unwrap_or_else(AiEngine::Unavailable))
}

/// The module for proxies in a cluster, by the same rules. Without one, the reason why: a part of a sentence.
///
/// # Errors
/// The file that is named cannot be read, or is no such module.
pub fn for_cluster(given: Option<&Path>, found: Option<&Path>) -> Result<Result<Module, String>> {
    choose(given, found, Module::read)
}

/// What `read` makes of the file that `--ai-module` names, or else of the one that was found.
fn choose<T>(
    given: Option<&Path>,
    found: Option<&Path>,
    read: impl FnOnce(&Path) -> Result<T, String>,
) -> Result<Result<T, String>> {
    match (given, found) {
        (Some(given), _) if given == Path::new(OFF) => {
            Ok(Err("--ai-module off has turned it off".to_owned()))
        }
        (Some(given), _) => {
            let path = std::path::absolute(given).context("--ai-module")?;
            match read(&path) {
                Ok(read) => Ok(Ok(read)),
                Err(reason) => bail!("--ai-module: {reason}"),
            }
        }
        (None, Some(found)) => Ok(read(found)),
        (None, None) => {
            Ok(Err(format!("no {FILE_NAME} stands beside this program, and --ai-module names none")))
        }
    }
}

fn available(path: &Path) -> AiEngine {
    AiEngine::Available(ModuleSource::File(path.display().to_string()))
}

/// Reads a file, if it is a module for the Envoy that this program is made for.
fn check(path: &Path) -> Result<Vec<u8>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {}", path.display(), io_message(&error)))?;
    let holds = |text: &[u8]| memchr::memmem::find(&bytes, text).is_some();
    if !holds(ENTRY_POINT) {
        return Err(format!("{} is no module of Envoy", path.display()));
    }
    if !holds(ABI_VERSION) {
        let version = crate::envoy::PINNED_VERSION;
        return Err(format!("{} is built for another Envoy than {version}", path.display()));
    }
    Ok(bytes)
}

/// Copies the module into a folder of this process, and has an Envoy load it from there: a file that is replaced or
/// removed later is no concern of an Envoy that starts again, and one that Envoy cannot load is known before anything
/// depends on it.
pub fn settle(engine: AiEngine, envoy: &Path, folder: &Path) -> AiEngine {
    let AiEngine::Available(ModuleSource::File(path)) = engine else { return engine };
    let copy = folder.join(FILE_NAME);
    let settled = fs::copy(&path, &copy)
        .map_err(|error| format!("{path} cannot be copied into {}: {}", folder.display(), io_message(&error)))
        .and_then(|_| load(envoy, &copy, folder));
    match settled {
        Ok(()) => available(&copy),
        Err(reason) => {
            tracing::warn!("no AI engine: {reason}");
            AiEngine::Unavailable(reason)
        }
    }
}

/// Has an Envoy check a configuration that loads the module.
fn load(envoy: &Path, module: &Path, folder: &Path) -> Result<(), String> {
    let config = folder.join("ai-module-check.json");
    let text = probe::configuration(available(module))
        .map_err(|error| format!("{} cannot be checked: {error:#}", module.display()))?;
    fs::write(&config, text).map_err(|error| format!("{}: {}", config.display(), io_message(&error)))?;
    let mut command = Command::new(envoy);
    command
        .args(["--mode", "validate", "--disable-hot-restart", "--log-level", "error", "--log-format", "%v"])
        .arg("--config-path")
        .arg(&config);
    let output = output_within(command, CHECK_LIMIT);
    drop(fs::remove_file(&config));
    let output = output.map_err(|error| format!("{}: {}", envoy.display(), io_message(&error)))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let told = told.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it does not say why");
    Err(format!("Envoy does not load {}: {told}", module.display()))
}

/// Runs a command; one that takes longer than `limit` is ended.
fn output_within(mut command: Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let deadline = Instant::now() + limit;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "it does not end when asked to check a configuration",
            ));
        }
        // The standard library cannot wait for a child with a limit.
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn it_is_found_beside_the_program_or_where_packages_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("bin/chancery");
        assert_eq!(beside(&program), None);
        let in_image = format!("lib/chancery/libchancery_ai.{}.so", architecture());
        file(folder.path(), "lib/chancery/libchancery_ai.other.so", b"");
        assert_eq!(beside(&program), None, "the one of another architecture");
        let in_image = file(folder.path(), &in_image, b"");
        assert_eq!(beside(&program), Some(in_image));
        let packaged = file(folder.path(), "lib/chancery/libchancery_ai.so", b"");
        assert_eq!(beside(&program), Some(packaged));
        let built = file(folder.path(), "bin/libchancery_ai.so", b"");
        assert_eq!(beside(&program), Some(built));
    }

    #[test]
    fn a_file_that_is_no_module_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let module = [b"..".as_slice(), ENTRY_POINT, b"\0..", ABI_VERSION].concat();
        let good = file(folder.path(), "good", &module);
        let older = file(folder.path(), "older", &[ENTRY_POINT, b"\0v0.1.0\0"].concat());
        let other = file(folder.path(), "other", b"ELF");
        let unavailable = |engine| match engine {
            AiEngine::Unavailable(reason) => reason,
            AiEngine::Available(module) => panic!("{module:?}"),
        };
        assert_eq!(engine(Some(&good), None).unwrap(), available(&good));
        assert_eq!(engine(None, Some(&good)).unwrap(), available(&good));
        assert!(unavailable(engine(Some(Path::new("off")), Some(&good)).unwrap()).contains("turned it off"));
        assert!(unavailable(engine(None, None).unwrap()).contains("--ai-module names none"));
        for (path, words) in [(&older, "another Envoy than 1.40"), (&other, "is no module of Envoy")] {
            let error = engine(Some(path), Some(&good)).unwrap_err().to_string();
            assert!(error.starts_with("--ai-module: ") && error.contains(words), "{error}");
            assert!(unavailable(engine(None, Some(path)).unwrap()).contains(words), "{words}");
        }
        let missing = folder.path().join("missing");
        assert!(engine(Some(&missing), None).unwrap_err().to_string().ends_with("no such file or folder"));
    }
}
